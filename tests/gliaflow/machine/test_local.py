"""Stages as processes of this host: what they reserve, how often they are tried, and what their ends mean."""

import errno
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import psutil
import pytest

from gliaflow.core.graph import Stage
from gliaflow.core.ports import Commands, Ended, Prepared, Task
from gliaflow.core.report import Began, Line, Message, Outcome
from gliaflow.core.settings import Settings
from gliaflow.errors import CannotRun, CommandFailed, UserError
from gliaflow.machine.local import UNREAD, LocalExecutor, LocalRun, holds_something, kernel_kills, may_be_read, refusal
from gliaflow.terminal.pseudo import Size
from tests.gliaflow.machine.processes import LONG, eventually
from tests.support.fakes import Ear


@pytest.fixture
def executor(tmp_path: Path) -> Iterator[LocalExecutor]:
    """Two CPU slots of the test's own, and no GPU."""
    made = LocalExecutor(2, {"GLIAFLOW_SLOTS": str(tmp_path / "slots"), "PATH": "", "CUDA_VISIBLE_DEVICES": ""})
    yield made
    made.close()


def run(
    executor: LocalExecutor,
    line: str,
    settings: Settings | None = None,
    *more: str,
    cwd: Path | str = "/",
    env: Mapping[str, str] | None = None,
    meanwhile: Callable[[LocalRun], object] = lambda _: None,
) -> tuple[Ended, Ear]:
    """One try of a stage of these shell lines; its slots are free afterwards."""
    lines = [line, *more]
    commands = Commands(
        lines, [["/bin/sh", "-c", one] for one in lines], str(cwd), {"PATH": os.environ["PATH"], **(env or {})}
    )
    stage, ear = Stage("s", (), settings or Settings()), Ear()
    lease = executor.reserve(stage)
    assert lease
    launched = executor.launch(Task(stage, Prepared(Outcome.RUN, commands=commands)), lease)
    meanwhile(launched)
    ended = launched.wait(ear)
    launched.close()
    lease.release()
    return ended, ear


def test_slots_are_reserved_until_they_are_released(executor: LocalExecutor) -> None:
    one, both = Stage("one"), Stage("both", (), Settings(cpus=2))
    assert executor.ahead == 2
    first = executor.reserve(one)
    assert first
    assert executor.reserve(both) is None
    second = executor.reserve(one)
    assert second
    assert executor.reserve(one) is None
    first.release()
    second.release()
    whole = executor.reserve(both)
    assert whole
    whole.release()


def test_who_holds_its_slots_is_told_by_the_name_of_the_stage(executor: LocalExecutor) -> None:
    both = Stage("both", (), Settings(cpus=2))
    assert executor.holders(both) == ""
    lease = executor.reserve(Stage("one"))
    assert lease
    assert executor.holders(both) == "a CPU that stage 'one' of this run holds"
    lease.release()
    assert executor.holders(both) == ""


def test_a_stage_is_tried_once_and_as_often_as_it_may_again(executor: LocalExecutor) -> None:
    assert [executor.tries(Stage("s", (), Settings(retries=number))) for number in (0, 2)] == [1, 3]
    assert executor.accepts(Stage("s", (), Settings(pool="gpu")))
    assert not executor.travels


def test_one_that_ends_well_told_its_lines(executor: LocalExecutor) -> None:
    ended, ear = run(executor, "echo a; echo b")
    assert ended == Ended()
    began, *lines = ear.events
    assert isinstance(began, Began)
    assert (began.address, began.commands) == ("s", ["echo a; echo b"])
    assert [(one.address, one.text) for one in lines if isinstance(one, Line) and one.whole] == [("s", "a"), ("s", "b")]


def test_a_stage_knows_its_threads_and_prints_unbuffered(executor: LocalExecutor) -> None:
    line = '[ "$OMP_NUM_THREADS" = 3 ] && [ "$PYTHONUNBUFFERED" = 1 ]'
    assert run(executor, line, Settings(threads=3))[0] == Ended()


def test_threads_that_wait_soon_leave_the_core_to_others(executor: LocalExecutor) -> None:
    assert run(executor, '[ "$GOMP_SPINCOUNT" = 3000 ]')[0] == Ended()


def test_how_threads_wait_is_what_somebody_said(executor: LocalExecutor) -> None:
    assert run(executor, '[ "$GOMP_SPINCOUNT" = 7 ]', env={"GOMP_SPINCOUNT": "7"})[0] == Ended()
    active = '[ "$OMP_WAIT_POLICY" = ACTIVE ] && [ -z "${GOMP_SPINCOUNT+set}" ]'
    assert run(executor, active, env={"OMP_WAIT_POLICY": "ACTIVE"})[0] == Ended()


@pytest.mark.parametrize(("code", "again"), [(3, False), (75, True), (42, True)])
def test_an_exit_code_is_an_error_and_some_are_worth_another_try(
    executor: LocalExecutor, code: int, again: bool
) -> None:
    ended, _ = run(executor, f"exit {code}", Settings(retries=1, retry_delay=4.0, retry_on=(42,)))
    assert isinstance(ended.error, CommandFailed)
    assert ended.error.code == code
    assert (ended.again, ended.delay) == (again, 4.0)


def test_a_program_that_is_not_there_is_the_users(executor: LocalExecutor) -> None:
    ended, _ = run(executor, "no-such-program-at-all")
    assert isinstance(ended.error, UserError)
    assert str(ended.error) == "there is no command 'no-such-program-at-all'; install it or change `cmd:`"
    assert not ended.again


def test_a_stage_that_takes_too_long_is_ended_and_may_be_tried_again(executor: LocalExecutor) -> None:
    ended, _ = run(executor, "sleep 1200", Settings(timeout=0.2))
    assert isinstance(ended.error, TimeoutError)
    assert str(ended.error) == "ran longer than its timeout of 0.2 s and was ended"
    assert ended.again


def test_what_is_left_running_is_ended_and_told(executor: LocalExecutor) -> None:
    ended, ear = run(executor, "sleep 1200 &")
    assert ended == Ended()
    assert [one.text for one in ear.events if isinstance(one, Message)] == ["s: ended 1 processes that it left running"]


# How a command ends, in words


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("exit 1", "exited with 1: exit 1"),
        ("echo why >&2; exit 1", "exited with 1: why"),
        ("echo why; exit 2", "exited with 2: why"),
        ("echo why; exit 75", "exited with 75 (try again later): why"),
        ("echo why; exit 126", "exited with 126 (cannot execute): why"),
        ("echo why; exit 127", "exited with 127 (not found): why"),
        ("echo why; exit 255", "exited with 255: why"),
        ("sh -c 'kill -SEGV $$'; exit $?", "exited with 139, as after SIGSEGV: Segmentation fault"),
        ("echo at 3; kill -SEGV $$", "crashed (SIGSEGV): at 3"),
        ("echo at 3; kill -ABRT $$", "crashed (SIGABRT): at 3"),
        ("kill -KILL $$", "was killed by SIGKILL (out of memory?)"),
        ("echo at 3; kill -PIPE $$", "was ended by SIGPIPE: what it wrote to had gone: at 3"),
        ("echo at 3; kill -TERM $$", "was ended by SIGTERM, which gliaflow did not send: at 3"),
        ("echo at 3; kill -HUP $$", "was ended by SIGHUP, which gliaflow did not send: at 3"),
        ("echo at 3; kill -USR1 $$", "was ended by SIGUSR1, which gliaflow did not send: at 3"),
        ("echo 'no room' >&2; cat /proc/self/none", "exited with 1: cat: /proc/self/none: No such file or directory"),
        ("cat /etc/passwd > /dev/full", "exited with 1: cat: write error: No space left on device"),
        ("true && none", "there is no command 'none'; install it or change `cmd:`"),
        ("true && /etc/passwd", "'/etc/passwd' is not executable; chmod +x /etc/passwd"),
        ("true && /etc", "'/etc' is a folder, no program; change `cmd:`"),
    ],
)
def test_each_end_is_told_truly(executor: LocalExecutor, line: str, words: str) -> None:
    ended, _ = run(executor, line)
    assert isinstance(ended.error, CommandFailed)
    assert str(ended.error) == words
    assert ended.error.command == line


def test_the_cause_is_what_the_command_that_failed_said(executor: LocalExecutor) -> None:
    ended, _ = run(executor, "echo from the first", None, "exit 3", "echo never")
    assert str(ended.error) == "exited with 3: exit 3"


def test_a_code_is_dvcs(executor: LocalExecutor) -> None:
    ended, _ = run(executor, "kill -KILL $$")
    assert isinstance(ended.error, CommandFailed)
    assert ended.error.code == -signal.SIGKILL


@pytest.mark.parametrize("line", ["kill -KILL $$", "exit 137"])
def test_a_kill_while_memory_was_short_is_told_so(
    executor: LocalExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    kernel = tmp_path / "vmstat"
    monkeypatch.setattr("gliaflow.machine.local.KERNEL", kernel)
    assert kernel_kills() == 0
    kernel.write_text("nr_free_pages 1\noom_kill 4\nlast 9\n")
    assert kernel_kills() == 4
    ended, _ = run(executor, f"echo oom_kill 5 > {kernel}; {line}")
    assert "SIGKILL: the kernel was out of memory" in str(ended.error)
    assert "?" not in str(ended.error)
    ended, _ = run(executor, line)
    assert "the kernel" not in str(ended.error)


def test_a_stage_whose_warden_is_killed_is_told_as_lost(executor: LocalExecutor) -> None:
    def strike(launched: LocalRun) -> None:
        def soon() -> None:
            warden = psutil.Process(launched.pid)
            assert eventually(lambda: bool(warden.children()))
            warden.kill()

        threading.Thread(target=soon, daemon=True).start()

    ended, _ = run(executor, f"sleep {LONG}", meanwhile=strike)
    assert str(ended.error).startswith("was lost: the process that watches over it was killed")
    assert ended.again


def test_a_line_that_is_too_long_for_the_system(executor: LocalExecutor) -> None:
    ended, _ = run(executor, f": {'x' * 200_000}")
    assert isinstance(ended.error, CannotRun)
    assert str(ended.error).startswith("the line has 195 KiB and its environment ")
    assert str(ended.error).endswith(", more than the system takes: put them into files")


def test_too_many_arguments_of_a_command_in_it(executor: LocalExecutor) -> None:
    ended, _ = run(executor, "ls $(seq 400000)")
    assert str(ended.error).endswith("/bin/sh: 1: ls: Argument list too long")


def test_a_folder_that_goes_away_before_the_start(executor: LocalExecutor, tmp_path: Path) -> None:
    ended, _ = run(executor, "true", cwd=tmp_path / "none")
    assert isinstance(ended.error, UserError)
    where = f"'{tmp_path / 'none'}', in which it is to run"
    assert str(ended.error) == f"{where}: No such file or directory; make it or change `wdir:`"


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EAGAIN, "no process can be started: Resource temporarily unavailable; this user has too many processes"),
        (errno.ENOMEM, "no process can be started: Cannot allocate memory; this machine is out of memory"),
    ],
)
def test_a_process_that_the_system_does_not_give(number: int, words: str) -> None:
    assert refusal(number, "", "true", "/", {}).startswith(words)


def test_a_refusal_of_a_program_is_looked_into() -> None:
    assert refusal(errno.EACCES, "/etc/passwd", "x", "/", {}) == "'/etc/passwd' is not executable; chmod +x /etc/passwd"
    assert refusal(errno.ENOEXEC, "/bin/sh", "x", "/", {}) == "/bin/sh: Exec format error"


def test_each_command_is_told_as_it_begins_after_the_lines_of_the_one_before(executor: LocalExecutor) -> None:
    _, ear = run(executor, "seq 3", None, "printf half", "echo end")
    told = [
        (event.place, *event.commands) if isinstance(event, Began) else event.text
        for event in ear.events
        if isinstance(event, Began) or (isinstance(event, Line) and event.whole)
    ]
    assert told == [(0, "seq 3"), "1", "2", "3", (1, "printf half"), "half", (2, "echo end"), "end"]


def test_a_command_after_one_that_failed_is_not_told(executor: LocalExecutor) -> None:
    _, ear = run(executor, "exit 1", None, "echo never")
    assert ear.began["s"] == 1


# Standard input


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A pipe in place of standard input; what is written to it."""
    read, write = os.pipe()
    monkeypatch.setattr("gliaflow.machine.local.STDIN", read)
    yield write
    for descriptor in (read, write):
        os.close(descriptor)


@pytest.fixture
def reader(executor: LocalExecutor) -> LocalExecutor:
    """One whose stages read standard input."""
    executor._stdin = True
    return executor


def lines(ear: Ear) -> list[str]:
    return [event.text for event in ear.events if isinstance(event, Line) and event.whole]


def test_stages_read_on_where_the_one_before_stopped(reader: LocalExecutor, given: int) -> None:
    os.write(given, b"one\ntwo\nthree\nfour\n")
    _, first = run(reader, "read a; echo got $a", None, "read a; echo and $a")
    _, second = run(reader, "read a; echo got $a")
    assert (lines(first), lines(second)) == (["got one", "and two"], ["got three"])
    assert [event for event in first.events if isinstance(event, Message)] == []


def test_stages_side_by_side_read_nothing_and_it_is_told_once(executor: LocalExecutor, given: int) -> None:
    os.write(given, b"yes\n")
    _, first = run(executor, "read a || echo end")
    _, second = run(executor, "read a || echo end")
    assert lines(first) == lines(second) == ["end"]
    told = [event.text for event in [*first.events, *second.events] if isinstance(event, Message)]
    assert told == [UNREAD]


def test_what_comes_while_a_stage_runs_is_told_too(executor: LocalExecutor, given: int) -> None:
    _, ear = run(executor, "true", meanwhile=lambda _: None)
    assert not [event for event in ear.events if isinstance(event, Message)]
    _, ear = run(executor, f"echo yes > /proc/{os.getpid()}/fd/{given}")
    assert [event.text for event in ear.events if isinstance(event, Message)] == [UNREAD]


def test_what_holds_something(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("ab")
    with path.open("rb", buffering=0) as file, Path(os.devnull).open("rb") as nothing:
        assert holds_something(file.fileno())
        file.read()
        assert not holds_something(file.fileno())
        assert not holds_something(nothing.fileno())
        assert may_be_read(file.fileno())
        closed = file.fileno()
    assert not holds_something(closed)
    assert not may_be_read(closed)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert not holds_something(ours.fileno())
        theirs.send(b"x")
        assert holds_something(ours.fileno())
    read, write = os.pipe()
    os.close(write)
    assert not holds_something(read)
    os.close(read)


def test_a_terminal_holds_nothing_that_is_told_and_may_be_read() -> None:
    ours, theirs = os.openpty()
    os.write(ours, b"x\n")
    assert not holds_something(theirs)
    assert may_be_read(theirs)
    os.close(ours)
    os.close(theirs)


def test_a_stage_prints_to_a_pseudo_terminal_of_its_own_size_where_somebody_looks_at_one(tmp_path: Path) -> None:
    look = f"'{sys.executable}' -c 'import os; print(*os.get_terminal_size(1))'"
    line = f"{look}; echo $PAGER $GIT_PAGER; printf '\\033[31mred\\n'"
    sizes = {"s": Size(33, 7)}
    variables = {"GLIAFLOW_SLOTS": str(tmp_path / "slots"), "PATH": ""}
    made = LocalExecutor(2, variables, terminal=sizes.__getitem__)
    ended, ear = run(made, line)
    made.close()
    assert ended == Ended()
    lines = [(one.text, one.styled) for one in ear.events if isinstance(one, Line) and one.whole]
    assert lines == [("33 7", ""), ("cat cat", ""), ("red", "\x1b[31mred\x1b[0m")]


def test_else_it_prints_to_a_pipe_and_its_environment_is_as_it_was(executor: LocalExecutor) -> None:
    assert run(executor, '[ ! -t 1 ] && [ ! -t 2 ] && [ -z "${PAGER+x}${GIT_PAGER+x}" ]')[0] == Ended()


@pytest.fixture
def peaks(executor: LocalExecutor) -> Callable[[str], int]:
    """The bytes of memory that a Python program used at its most, started by two shells."""

    def peak(program: str) -> int:
        ended, _ = run(executor, f"sh -c '{sys.executable} -I -S -c \"{program}\"; true'; true")
        assert ended.error is None
        assert ended.used
        return ended.used.peak_bytes

    return peak


def test_the_memory_of_a_grandchild_counts(peaks: Callable[[str], int]) -> None:
    assert peaks("held = bytearray(1 << 30)") == pytest.approx(1 << 30, rel=0.05)


def test_seconds_of_cpus_and_bytes_of_all_processes_are_counted(executor: LocalExecutor, tmp_path: Path) -> None:
    busy = f"{sys.executable} -I -S -c 'import time\nwhile time.process_time() < 0.5: pass'"
    write = "head -c 3000000 /dev/zero > made"
    ended, _ = run(executor, f"{busy} & {busy} & wait; ({write}); cat made made > twice", cwd=tmp_path)
    assert ended.used
    assert 1.0 <= ended.used.cpu_seconds < 3.0
    assert ended.used.wall_seconds > 0.5
    assert ended.used.gpu_bytes is None
    if sys.platform == "linux":
        assert ended.used.written_bytes == pytest.approx(9_000_000, rel=0.05)
        assert ended.used.read_bytes is not None
        assert ended.used.read_bytes >= 9_000_000


def test_what_a_failed_try_used_is_told_too(executor: LocalExecutor) -> None:
    ended, _ = run(executor, "exit 3")
    assert ended.error
    assert ended.used
    assert ended.used.peak_bytes > 0


def test_memory_is_reserved_and_more_than_there_is_gets_all(executor: LocalExecutor) -> None:
    huge, small = Stage("huge", (), Settings(mem=(1 << 60,))), Stage("small", (), Settings(mem=(1 << 20,)))
    lease = executor.reserve(huge)
    assert lease
    assert executor.reserve(small) is None
    assert executor.holders(small) == "1 MB of memory that stage 'huge' of this run holds"
    without = executor.reserve(Stage("plain"))
    assert without
    without.release()
    lease.release()
    again = executor.reserve(small)
    assert again
    again.release()
    assert executor.holders(small) == ""


def test_a_prefix_starts_each_of_the_commands(executor: LocalExecutor, tmp_path: Path) -> None:
    around = tmp_path / "around"
    around.write_text('#!/bin/sh\necho "around: $1"\nshift\nexec "$@"\n')
    around.chmod(0o755)
    lines, stage, ear = ["echo one", "echo two"], Stage("s"), Ear()
    arguments = [["/bin/sh", "-c", line] for line in lines]
    commands = Commands(lines, arguments, "/", {"PATH": os.environ["PATH"]}, (str(around), "x"))
    lease = executor.reserve(stage)
    assert lease
    launched = executor.launch(Task(stage, Prepared(Outcome.RUN, commands=commands)), lease)
    assert launched.wait(ear) == Ended()
    launched.close()
    assert [event.text for event in ear.events if isinstance(event, Line)] == ["around: x", "one", "around: x", "two"]
