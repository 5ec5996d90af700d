"""What a stage prints, how it ends, and how it is ended."""

import os
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest

from gliaflow.machine.process import Exit
from gliaflow.machine.spawn import GRACE_SECONDS
from gliaflow.terminal.pseudo import PAGERS, Size
from gliaflow.terminal.text import LONGEST_LINE
from tests.gliaflow.machine.processes import LONG, STUBBORN, Stages, gone
from tests.support.patience import PATIENCE

# What a stage prints


def test_each_line_comes_whole_and_in_order(stages: Stages) -> None:
    ended, lines = stages.run("echo a; echo; printf 'b c\\n'; echo d >&2")
    assert lines == ["a", "", "b c", "d"]
    assert ended == Exit(0, "echo a; echo; printf 'b c\\n'; echo d >&2", False, 0)


def test_a_line_is_heard_while_the_command_runs(stages: Stages) -> None:
    word = stages.folder / "word"
    line = f"echo begun; until [ -e {word} ]; do sleep 0.02; done; echo ended"
    ended, lines = stages.watch(stages.spawn(line), timeout=PATIENCE, seen=lambda _: word.touch())
    assert (lines, ended.timed_out) == (["begun", "ended"], False)


def test_many_lines_lose_nothing(stages: Stages) -> None:
    ended, lines = stages.run("seq 1 200000")
    assert ended.code == 0
    assert lines == [str(number) for number in range(1, 200001)]


def test_the_last_line_needs_no_end(stages: Stages) -> None:
    assert stages.run("printf 'a\\nb'")[1] == ["a", "b"]


def test_progress_is_shown_but_only_its_last_state_is_a_line(stages: Stages) -> None:
    line = "printf '10%%\\r'; sleep 0.3; printf '50%%\\r'; sleep 0.3; printf '100%%\\ndone\\r\\n'"
    assert stages.run(line)[1] == ["100%", "done"]
    assert stages.partial[0] == "10%"
    assert set(stages.partial) <= {"10%", "50%", "100%"}


def test_an_unfinished_line_is_shown_as_it_stands(stages: Stages) -> None:
    assert stages.run("printf 'epoch'; sleep 0.5; echo ' 1'")[1] == ["epoch 1"]
    assert stages.partial == ["epoch"]


def test_a_line_beyond_the_limit_is_cut_and_loses_nothing(stages: Stages) -> None:
    lines = stages.run(f"head -c {LONGEST_LINE * 2 + 100} /dev/zero | tr '\\0' x; echo; echo end")[1]
    assert lines[-1] == "end"
    assert "".join(lines[:-1]) == "x" * (LONGEST_LINE * 2 + 100)
    assert len(lines) > 2


def test_a_long_progress_is_still_no_line(stages: Stages) -> None:
    bar = "for i in range(3000):\n    sys.stdout.write(f'\\r{i:9}' + '#' * 60)\n"
    line = stages.python(f"import sys\n{bar}sys.stdout.write('\\rdone\\n')\n")
    assert stages.run(line)[1] == ["done"]


def test_what_is_not_utf_8_is_replaced(stages: Stages) -> None:
    assert stages.run("printf 'a\\377b\\303\\244\\n'")[1] == ["a\N{REPLACEMENT CHARACTER}bä"]


# What it prints to a pseudo-terminal

TELL = "import os\nprint(os.isatty(1), os.isatty(2), os.isatty(0), *os.get_terminal_size(1), flush=True)\n"


def test_a_stage_finds_a_terminal_and_nothing_to_read(stages: Stages) -> None:
    stages.terminal = lambda: Size(70, 20)
    ended, lines = stages.run(stages.python(TELL))
    assert (ended.code, lines) == (0, ["True True False 70 20"])


def test_the_size_of_the_terminal_is_followed(stages: Stages) -> None:
    size = [Size(70, 20)]
    stages.terminal = lambda: size[0]
    line = stages.python(f"{TELL}while os.get_terminal_size(1).columns == 70: pass\n{TELL}")
    process = stages.spawn(line)
    _, lines = stages.watch(process, PATIENCE, lambda _: size.__setitem__(0, Size(30, 5)))
    assert lines == ["True True False 70 20", "True True False 30 5"]


@pytest.mark.parametrize("number", [0, 1, 200_000])
def test_a_terminal_loses_no_line_either(stages: Stages, number: int) -> None:
    stages.terminal = lambda: Size(70, 20)
    ended, lines = stages.run(f"seq 1 {number}; printf end")
    assert ended.code == 0
    assert lines == [*map(str, range(1, number + 1)), "end"]


def test_a_terminals_output_is_what_was_printed(stages: Stages) -> None:
    """Neither does it add a carriage return, nor break what is long."""
    stages.terminal = lambda: Size(10, 5)
    lines = stages.run(
        "printf 'a\\r\\nb\\tc\\n'; head -c 100000 /dev/zero | tr '\\0' x; echo; printf '\\303\\244\\377\\n'"
    )[1]
    assert lines[:2] == ["a", "b\tc"]
    assert "".join(lines[2:-1]) == "x" * 100_000
    assert lines[-1] == "ä\N{REPLACEMENT CHARACTER}"


def test_on_a_terminal_a_bar_moves(stages: Stages) -> None:
    stages.terminal = lambda: Size(70, 20)
    bar = "import sys, time\nfor n in '0123':\n    sys.stderr.write(f'\\r{n}' * os.isatty(2))\n    time.sleep(0.3)\n"
    assert stages.run(stages.python(f"import os\n{bar}"))[1] == ["3"]
    assert stages.partial[0] == "0"
    assert sorted(set(stages.partial)) == stages.partial


@pytest.mark.parametrize("command", ["git log", "git -c core.pager=less log", "man true || true", "git log -p | cat"])
def test_nothing_pages_for_a_stage(stages: Stages, command: str) -> None:
    stages.terminal = lambda: Size(70, 5)
    environment = {**os.environ, **PAGERS, "TERM": "xterm", "GIT_CONFIG_GLOBAL": os.devnull}
    commits = "for n in 1 2 3 4 5; do git -c user.name=a -c user.email=b commit -qm $n --allow-empty; done"
    process = stages.spawn(f"git init -q . && {commits} && {command}", env=environment)
    ended, lines = stages.watch(process, PATIENCE)
    assert (ended.code, ended.timed_out) == (0, False)
    assert (
        "man" in command or sum(line.startswith("\x1b[33mcommit") or line.startswith("commit") for line in lines) == 5
    )


@pytest.mark.usefixtures("impatient")
def test_on_a_terminal_a_time_limit_ends_the_whole_tree_too(stages: Stages) -> None:
    stages.terminal = lambda: Size(70, 20)
    ended, lines = stages.run(STUBBORN, timeout=2)
    assert (ended.code, ended.timed_out) == (-signal.SIGKILL, True)
    assert lines[0].startswith("ready")


def test_where_there_is_no_pseudo_terminal_a_pipe_does(stages: Stages, monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> tuple[int, int]:
        raise OSError("out of pty devices")

    monkeypatch.setattr(os, "openpty", none)
    stages.terminal = lambda: Size(70, 20)
    assert stages.run("[ -t 1 ] || echo a pipe")[1] == ["a pipe"]


# How it ends


@pytest.mark.parametrize(
    ("line", "code", "exit_code"),
    [("true", 0, 0), ("exit 1", 1, 1), ("exit 75", 75, 75), ("exit 255", 255, 255), ("kill -KILL $$", -9, 137)],
)
def test_exit_codes(stages: Stages, line: str, code: int, exit_code: int) -> None:
    ended = stages.run(line)[0]
    assert (ended.code, ended.exit_code) == (code, exit_code)


def test_closing_twice_is_no_error(stages: Stages) -> None:
    process = stages.spawn("true")
    stages.watch(process)
    process.close()
    process.close()


# Ending it


def test_a_time_limit_ends_the_whole_tree(stages: Stages) -> None:
    found: list[psutil.Process] = []
    process = stages.spawn(f"sleep {LONG} & echo $!; echo $$; sleep {LONG}; echo never", "echo never")
    ended, lines = stages.watch(process, timeout=1, seen=lambda pid: found.append(psutil.Process(int(pid))))
    assert (ended.code, ended.timed_out) == (-signal.SIGTERM, True)
    assert len(lines) == 2
    assert gone(*found)


def test_one_within_its_time_limit_is_left_alone(stages: Stages) -> None:
    ended = stages.run("sleep 0.1; exit 4", timeout=PATIENCE)[0]
    assert (ended.code, ended.timed_out) == (4, False)


def test_stop_signals_once_and_lets_it_finish_in_the_grace(stages: Stages) -> None:
    line = stages.python(
        "import signal, sys, time\n"
        "def stopped(number, frame):\n"
        "    print('told', number, flush=True)\n"
        "    time.sleep(0.5)\n"
        "    print('saved', flush=True)\n"
        "    sys.exit(7)\n"
        "signal.signal(signal.SIGTERM, stopped)\n"
        f"print('ready', flush=True)\ntime.sleep({LONG})\n"
    )
    process = stages.spawn(f"exec {line}", "echo never")
    ended, lines = stages.watch(process, seen=lambda _: process.stop(signal.SIGTERM))
    assert lines == ["ready", "told 15", "saved"]
    assert (ended.code, ended.timed_out) == (7, False)


def test_stop_sends_the_signal_that_it_is_told(stages: Stages) -> None:
    process = stages.spawn(f"echo ready; exec sleep {LONG}")
    ended, _ = stages.watch(process, seen=lambda _: process.stop(signal.SIGINT))
    assert (ended.code, ended.exit_code) == (-signal.SIGINT, 128 + signal.SIGINT)


@pytest.mark.usefixtures("impatient")
def test_a_time_limit_kills_what_ignores_its_signal(stages: Stages) -> None:
    ended = stages.run(STUBBORN, timeout=2)[0]
    assert (ended.code, ended.timed_out) == (-signal.SIGKILL, True)


@pytest.mark.parametrize("then", [f"time.sleep({LONG})", "while not time.sleep(0.01): os.write(held[1][0], b'x\\n')"])
def test_a_pipe_that_another_holds_keeps_nobody_waiting(
    stages: Stages, monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    """The stage hands its output to a process that is not its own."""
    monkeypatch.setattr("gliaflow.machine.process.DRAIN_SECONDS", 0.3)
    line = stages.python(
        "import socket, sys\n"
        "with socket.socket(socket.AF_UNIX) as link:\n"
        "    link.connect(sys.argv[1])\n"
        "    socket.send_fds(link, [b'!'], [1])\n"
        "print('handed on')\n"
    )
    address = str(stages.folder / "s")
    with subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import os, socket, sys, time\n"
            "server = socket.socket(socket.AF_UNIX)\n"
            "server.bind(sys.argv[1]); server.listen(); print('ready', flush=True)\n"
            "held = socket.recv_fds(server.accept()[0], 1, 1)\n" + then,
            address,
        ],
        stdout=subprocess.PIPE,
        cwd="/",
    ) as holder:
        try:
            assert holder.stdout
            assert holder.stdout.readline() == b"ready\n"
            ended, lines = stages.run(f"{line} {address}", timeout=PATIENCE)
            assert (ended.code, ended.timed_out) == (0, False)
            assert [line for line in lines if line != "x"] == ["handed on"]
        finally:
            holder.kill()


def test_a_stop_right_after_the_start_is_heeded(stages: Stages) -> None:
    """The warden finds both words at once: it does not run while they are sent."""
    process = stages.spawn(f"sleep {LONG}; true")
    os.kill(process.pid, signal.SIGSTOP)
    waker = threading.Timer(0.5, os.kill, (process.pid, signal.SIGCONT))
    waker.start()
    began, used = time.monotonic(), time.process_time()
    ended, _ = stages.watch(process, timeout=0.01)
    waker.join()
    assert (ended.code, ended.timed_out) == (-signal.SIGTERM, True)
    assert time.monotonic() - began < GRACE_SECONDS  # the signal reached sleep too, which the shell may just start
    assert time.process_time() - used < 0.4  # nor does this process turn in circles until it ends


def test_what_starts_while_the_signal_is_sent_gets_it_too(stages: Stages, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gliaflow.machine.spawn.GRACE_SECONDS", 30.0)
    process = stages.spawn(f"echo ready; for i in $(seq 300); do sleep {LONG} & done; wait")
    began = time.monotonic()
    ended, _ = stages.watch(process, seen=lambda _: process.stop(signal.SIGTERM))
    assert ended.code == -signal.SIGTERM
    assert time.monotonic() - began < 30  # nothing is left for SIGKILL


def test_a_shell_with_job_control_never_sees_that_its_command_stood_still(stages: Stages) -> None:
    process = stages.spawn(f"exec bash -c 'set -m; trap : TERM; echo ready; sleep {LONG}; echo code $?'")
    _, lines = stages.watch(process, seen=lambda _: process.stop(signal.SIGTERM))
    assert lines[0] == "ready"
    assert "code 143" in lines  # bash tells of it too, in its own words


def test_what_ended_in_time_is_waited_for_without_turning_in_circles(
    stages: Stages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gliaflow.machine.spawn.GRACE_SECONDS", 2.0)
    used = time.process_time()
    ended, _ = stages.run("(trap '' TERM; sleep 1234) & sleep 0.2", timeout=0.5)
    assert (ended.code, ended.timed_out, ended.left) == (0, False, 1)
    assert time.process_time() - used < 0.4


def test_what_a_stage_starts_to_clean_up_is_left_to_it(stages: Stages) -> None:
    line = f"trap 'sleep 0.5; echo clean; exit 4' TERM; echo ready; sleep {LONG} & wait"
    process = stages.spawn(line)
    ended, lines = stages.watch(process, seen=lambda _: process.stop(signal.SIGTERM))
    assert (lines, ended.code) == (["ready", "clean"], 4)


def test_a_stop_before_the_start_keeps_it_from_running(stages: Stages) -> None:
    marker = stages.folder / "marker"
    process = stages.spawn(f"touch {marker}")
    warden = psutil.Process(process.pid)
    process.stop(signal.SIGTERM)
    stages.watch(process)
    process.close()
    assert gone(warden)
    assert not marker.exists()


# Its commands one after another


def test_each_command_begins_after_the_lines_of_the_one_before(stages: Stages) -> None:
    told: list[str] = []
    process = stages.spawn("seq 3; printf half", "echo b", "exit 4", "echo never")
    ended = process.run(lambda text, whole: told.append(text) if whole else None, None, lambda: told.append("begins"))
    assert told == ["begins", "1", "2", "3", "half", "begins", "b", "begins"]
    assert (ended.code, ended.command, ended.refused, ended.lost) == (4, "exit 4", None, False)


def test_a_command_begins_although_one_in_the_background_writes_for_ever(stages: Stages) -> None:
    until = f"until [ -e {stages.folder / 'word'} ]; do sleep 0.02; done; echo done"
    process = stages.spawn("(while :; do echo y; done) &", until)
    told: list[int] = []
    began: list[float] = []

    def begins() -> None:
        began.append(time.monotonic())
        if len(began) == 2:
            (stages.folder / "word").touch()

    ended = process.run(lambda text, _: told.append(1) if text == "done" else None, PATIENCE, begins)
    assert (ended.code, ended.timed_out, len(began), told[:1]) == (0, False, 2, [1])


def test_a_stop_between_two_commands_keeps_the_next_from_running(stages: Stages) -> None:
    marker = stages.folder / "marker"
    process = stages.spawn("true", f"touch {marker}")
    began: list[int] = []

    def begins() -> None:
        began.append(1)
        if len(began) == 2:
            process.stop(signal.SIGTERM)

    ended = process.run(lambda *_: None, None, begins)
    assert ended.code == -signal.SIGTERM
    assert not marker.exists()


def test_a_killed_warden_is_told_from_a_killed_command(stages: Stages) -> None:
    killed = stages.run("kill -KILL $$")[0]
    assert (killed.code, killed.lost) == (-signal.SIGKILL, False)
    process = stages.spawn(f"echo ready; sleep {LONG}")
    lost, _ = stages.watch(process, seen=lambda _: os.kill(process.pid, signal.SIGKILL))
    assert (lost.code, lost.lost) == (-signal.SIGKILL, True)
