"""Standard output of every sort, and what happens when its reader goes away or takes nothing."""

import errno
import os
import subprocess
import sys
import threading
from io import StringIO
from pathlib import Path

import pytest

from gliaflow.terminal.pseudo import Size
from gliaflow.terminal.stream import ATOMIC, Stream
from tests.support.terminals import Terminal

TEXT = "".join(f"line {number} {'ä' * (number % 100)}\n" for number in range(5000))


def test_what_is_written_is_there_whole_and_after_what_others_printed(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("w") as file:
        file.write("first\n")
        stream = Stream(file)
        stream.write(TEXT)
        file.write("last\n")
    assert path.read_text() == f"first\n{TEXT}last\n"
    assert (stream.lost, stream.error, stream.size, stream.is_terminal, stream.moves) == (0, None, None, False, False)


def test_what_is_no_file_of_the_system_gets_it_too() -> None:
    file = StringIO()
    stream = Stream(file)
    stream.write("a\n")
    assert file.getvalue() == "a\n"
    assert stream.ready
    file.close()
    stream.write("b\nc\n")
    assert (stream.lost, stream.error is not None) == (2, True)


@pytest.mark.parametrize("kind", ["pipe", "file"])
def test_lines_of_several_runs_stay_whole(tmp_path: Path, kind: str) -> None:
    """As of two runs that print into one log."""
    path = tmp_path / "log"
    code = (
        "import sys\nfrom gliaflow.terminal.stream import Stream\nstream = Stream(sys.stdout)\n"
        "for number in range(300): stream.write((sys.argv[1] * 1000 + '\\n') * (number % 9))\n"
    )
    with path.open("w") as file:
        target = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=file) if kind == "pipe" else None
        output = target.stdin if target and target.stdin else file
        running = [subprocess.Popen([sys.executable, "-c", code, name], stdout=output) for name in "abc"]
        assert [one.wait() for one in running] == [0, 0, 0]
        if target and target.stdin:
            target.stdin.close()
            assert target.wait() == 0
    lines = path.read_text().splitlines()
    each = sum(number % 9 for number in range(300))
    assert sorted(lines) == sorted(name * 1000 for name in "abc" for _ in range(each))


def test_no_piece_is_larger_than_a_pipe_takes_unmixed() -> None:
    reading, writing = os.pipe2(os.O_DIRECT)  # each write is one read
    with os.fdopen(writing, "w") as file:
        thread = threading.Thread(target=Stream(file).write, args=(TEXT,))
        thread.start()
        found = b""
        while len(found) < len(TEXT.encode()):
            data = os.read(reading, 1 << 16)
            assert len(data) <= ATOMIC
            assert data.endswith(b"\n")
            found += data
        thread.join()
    os.close(reading)
    assert found.decode() == TEXT


def test_a_full_pipe_that_refuses_to_wait_gets_all() -> None:
    """A program that shares it has set O_NONBLOCK."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    found: list[bytes] = []

    def read() -> None:
        while data := os.read(reading, 1 << 16):
            found.append(data)

    with os.fdopen(writing, "w") as file:
        stream = Stream(file)
        while stream.ready:
            os.write(writing, b"x" * ATOMIC)
        thread = threading.Thread(target=read)
        thread.start()
        stream.write(f"\n{TEXT}")
    thread.join()
    os.close(reading)
    assert b"".join(found).decode().partition("\n")[2] == TEXT
    assert stream.lost == 0


def test_a_reader_who_has_left_is_no_error_and_what_he_misses_is_counted() -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as file:
        stream = Stream(file)
        stream.write("a\n")
        os.close(reading)
        stream.write("b\nc\n")
        stream.write("d\n")
        assert (stream.lost, stream.error and stream.error.errno) == (3, errno.EPIPE)


def test_a_terminal_that_was_closed_is_no_error() -> None:
    with Terminal(reads=False) as terminal:
        stream = Stream(terminal.file(), {"TERM": "xterm"})
        assert stream.moves
        os.close(terminal.reading)
        stream.write("a\n")
        stream.write("b\n")
        assert (stream.lost, stream.error and stream.error.errno, stream.size) == (2, errno.EIO, None)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_no_error_and_is_tried_again() -> None:
    with open("/dev/full", "w") as file:  # noqa: PTH123
        stream = Stream(file)
        stream.write("a\nb\n")
        assert (stream.lost, stream.error and stream.error.errno) == (2, errno.ENOSPC)
        reading, writing = os.pipe()
        os.dup2(writing, file.fileno())
        os.close(writing)
        stream.write("c\n")
        assert (stream.lost, stream.error) == (2, None)
    assert os.read(reading, 100) == b"c\n"
    os.close(reading)


def test_after_half_a_line_the_next_one_begins_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    written: list[bytes] = []
    full = [False]

    def write(_: int, data: memoryview) -> int:
        if full[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        full[0] = len(data) > 3
        written.append(bytes(data[:3]))
        return min(len(data), 3)

    monkeypatch.setattr(os, "write", write)
    with (tmp_path / "log").open("w") as file:
        stream = Stream(file)
        stream.write("long line\n")
        full[0] = False
        stream.write("b\n")
    assert (b"".join(written), stream.lost) == (b"lon\nb\n", 1)


def test_the_size_is_that_of_now() -> None:
    with Terminal(50, 10) as terminal:
        stream = Stream(terminal.file(), {"TERM": "xterm", "COLUMNS": "7"})
        sizes = [stream.size]
        for columns, lines in ((30, 5), (0, 0)):
            terminal.resize(columns, lines)
            sizes.append(stream.size)
        assert sizes == [Size(50, 10), Size(30, 5), None]


def test_what_would_wait_is_not_ready() -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as file:
        stream = Stream(file)
        os.set_blocking(writing, False)
        taken = 0
        while stream.ready:
            taken += os.write(writing, b"x" * ATOMIC)
        assert taken
        with pytest.raises(BlockingIOError):
            os.write(writing, b"x")
    os.close(reading)
