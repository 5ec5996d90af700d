"""Pseudo-terminals: programs find one of the right size, and what they print comes through unchanged and whole."""

import errno
import os
import subprocess
import sys
import threading

import pytest

from gliaflow.terminal.pseudo import Size, open_pair, read, resize


def through(line: list[str]) -> bytes:
    """What comes of a command's output."""
    reading, terminal = open_pair(Size(70, 20))
    try:
        with subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=terminal, stderr=terminal):
            os.close(terminal)
            found = b""
            while data := read(reading):
                found += data
        return found
    finally:
        os.close(reading)


def python(code: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", code]


def test_a_program_finds_a_terminal_of_the_size() -> None:
    code = "import os; print(os.isatty(1), os.isatty(2), *os.get_terminal_size(1))"
    assert through(python(code)) == b"True True 70 20\n"


def test_it_changes_no_byte() -> None:
    data = bytes(range(256)) * 10
    assert through(python(f"import os; os.write(1, {data!r})")) == data


@pytest.mark.parametrize("number", [1, 100, 5_000, 3_000_000])
def test_nothing_of_it_is_lost_at_the_end(number: int) -> None:
    code = f"import os, sys; sys.stdout.write('x' * {number} + 'end'); sys.stdout.flush(); os._exit(0)"
    assert through(python(code)) == b"x" * number + b"end"


def test_its_size_follows() -> None:
    reading, terminal = open_pair(Size(70, 20))
    resize(reading, Size(30, 5))
    assert os.get_terminal_size(terminal) == (30, 5)
    os.close(terminal)
    assert read(reading) == b""
    os.close(reading)


def test_nobody_waits_for_keys_on_it() -> None:
    reading, terminal = open_pair(Size(70, 20))
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.read(terminal, 1)
    os.close(terminal)
    os.close(reading)


def test_it_is_nobodys_controlling_terminal() -> None:
    code = (
        "import os\nos.setsid()\ntry: os.open('/dev/tty', os.O_RDWR)\nexcept OSError as error: print(error.strerror)\n"
    )
    assert through(python(code)) == f"{os.strerror(errno.ENXIO)}\n".encode()


def test_a_pipe_ends_as_well() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"a")
    os.close(writing)
    assert (read(reading), read(reading)) == (b"a", b"")
    os.close(reading)
    with pytest.raises(OSError, match="Bad file descriptor"):
        read(reading)


def test_a_system_that_has_none_to_give_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> tuple[int, int]:
        raise OSError("out of pty devices")

    monkeypatch.setattr(os, "openpty", none)
    with pytest.raises(OSError, match="out of pty"):
        open_pair(Size(1, 1))


def test_one_that_cannot_be_opened_again_leaves_no_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "ttyname", lambda _: "/not/there")
    free = os.dup(0)
    os.close(free)
    with pytest.raises(OSError, match="No such file"):
        open_pair(Size(1, 1))
    assert os.dup(0) == free
    os.close(free)


def test_many_print_at_once() -> None:
    found: list[bytes] = []
    code = "for n in range(2000): print(n)"
    threads = [threading.Thread(target=lambda: found.append(through(python(code)))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["".join(f"{n}\n" for n in range(2000)).encode()] * 8
