"""The wardens: what a command is given, how all that it starts ends, and what is held until then."""

import errno
import fcntl
import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from typing import NoReturn

import psutil
import pytest

from gliaflow.machine.process import CANNOT_RUN
from gliaflow.machine.spawn import GRACE_SECONDS
from gliaflow.machine.supervisor import Supervisor, Warden
from tests.gliaflow.machine.processes import LONG, STUBBORN, Stages, end, eventually, free, gone
from tests.support.repos import alive


def test_commands_run_one_after_another_until_one_fails(stages: Stages) -> None:
    ended, lines = stages.run("echo a", "echo b; exit 3", "echo c")
    assert lines == ["a", "b"]
    assert (ended.code, ended.command) == (3, "echo b; exit 3")


def test_a_command_that_is_not_there(stages: Stages) -> None:
    process = stages.supervisor.spawn([["/no/such/program", "x"]], "/", os.environ)
    ended, lines = stages.watch(process)
    assert (ended.code, lines) == (CANNOT_RUN, ["/no/such/program: No such file or directory"])
    assert ended.refused == (errno.ENOENT, "/no/such/program")
    assert stages.run("no-such-program")[0].code == CANNOT_RUN


def test_a_folder_that_is_not_there(stages: Stages) -> None:
    ended, lines = stages.watch(stages.spawn("echo a", cwd=stages.folder / "none"))
    assert ended.code == CANNOT_RUN
    assert lines == [f"{stages.folder / 'none'}: No such file or directory"]
    assert ended.refused == (errno.ENOENT, str(stages.folder / "none"))


@pytest.mark.parametrize(
    ("command", "number"),
    [(["/etc/passwd"], errno.EACCES), (["/etc"], errno.EACCES), (["/bin/sh", "x" * 200_000], errno.E2BIG)],
)
def test_why_the_system_starts_no_command_is_told(stages: Stages, command: list[str], number: int) -> None:
    ended, _ = stages.watch(stages.supervisor.spawn([command], "/", os.environ))
    assert (ended.code, ended.refused) == (CANNOT_RUN, (number, command[0]))


def test_one_that_starts_and_exits_so_was_not_refused(stages: Stages) -> None:
    assert stages.run("exit 127")[0].refused is None
    assert stages.run("true", "exit 127")[0].refused is None


@pytest.fixture
def in_this_process() -> Iterator[None]:
    """Afterwards nobody is woken by children any more."""
    yield
    os.close(signal.set_wakeup_fd(-1))
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def no_process() -> NoReturn:
    raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))


@pytest.mark.usefixtures("in_this_process")
def test_a_supervisor_that_gets_no_process_tells_and_serves_on(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = socket.socketpair()
    read, write = os.pipe()
    control, other = socket.socketpair()
    with ours, control, other:
        supervisor = Supervisor(control)
        with monkeypatch.context() as patched:
            patched.setattr(os, "fork", no_process)
            supervisor.fork([theirs.detach(), write])
        assert json.loads(ours.recv(1 << 16)) == {"code": CANNOT_RUN, "refused": [errno.EAGAIN, ""]}
        assert ours.recv(1) == b""
        assert os.read(read, 1) == b""
        assert supervisor.wardens == set()
        supervisor.woken.close()
    os.close(read)


@pytest.mark.usefixtures("in_this_process")
def test_a_warden_that_gets_no_process_tells_why(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        warden = Warden(theirs, 1)
        monkeypatch.setattr(os, "fork", no_process)
        assert warden.start(["true"], "/", {}) == 0
        assert (warden.code, warden.refused) == (CANNOT_RUN, (errno.EAGAIN, ""))
        warden.woken.close()


def test_environment_and_folder(stages: Stages) -> None:
    process = stages.spawn("pwd; env", env={"OWN": "ä b\nc", "PATH": os.environ["PATH"]})
    lines = stages.watch(process)[1]
    assert lines[0] == str(stages.folder)
    assert {"OWN=ä b", "c"} < set(lines)
    assert not [line for line in lines if line.startswith("HOME=")]


def test_it_reads_nothing_and_inherits_three_descriptors(stages: Stages) -> None:
    with (stages.folder / "held").open("w") as held:
        os.set_inheritable(held.fileno(), True)
        process = stages.spawn("read -r x || echo end; readlink /proc/$$/fd/0; ls /proc/$$/fd", keep=[held.fileno()])
        assert stages.watch(process)[1] == ["end", "/dev/null", "0", "1", "2"]


def test_it_reads_what_it_is_given_and_the_next_reads_on(stages: Stages) -> None:
    read, write = os.pipe()
    os.write(write, b"one\ntwo\nthree\n")
    os.close(write)
    lines = ["read -r x; echo $x; ls /proc/$$/fd", "read -r x; echo $x"]
    commands = [["/bin/sh", "-c", line] for line in lines]
    for said in (["one", "0", "1", "2", "two"], ["three", "0", "1", "2", ""]):
        process = stages.supervisor.spawn(commands, "/", os.environ, stdin=read)
        assert stages.watch(process)[1] == said
        process.close()
    os.close(read)


def test_signals_are_what_a_shell_expects(stages: Stages) -> None:
    """Even of a run in the background of a shell, which has these two ignored."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGQUIT)}
    stages.run("true")  # starts the supervisor
    for number, handler in before.items():
        signal.signal(number, handler)
    ignored = stages.run("grep SigIgn /proc/self/status; grep SigBlk /proc/self/status")[1]
    named = (1 << 31) - 1  # beyond are real-time signals, which may be ignored since long before us
    assert [int(line.split()[1], 16) & named for line in ignored] == [0, 0]


def test_it_has_a_session_of_its_own(stages: Stages) -> None:
    process = stages.spawn("ps -o sid= -p $$")
    assert int(stages.watch(process)[1][0]) not in (os.getsid(0), os.getsid(os.getppid()))


def test_what_ignores_the_signal_is_killed_after_the_grace(stages: Stages, impatient: float) -> None:
    told: list[float] = []

    def stop(_: str) -> None:
        told.append(time.monotonic())
        process.stop(signal.SIGTERM)
        process.stop(signal.SIGTERM)

    process = stages.spawn(STUBBORN)
    ended, lines = stages.watch(process, seen=stop)
    assert ended.code == -signal.SIGKILL
    assert time.monotonic() - told[0] >= impatient
    assert len(lines) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_what_ignores_these_has_sigterm_before_it_is_killed(
    stages: Stages, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    monkeypatch.setattr("gliaflow.machine.spawn.GRACE_SECONDS", 3.0)
    line = f"trap '' {number.name[3:]}; trap 'echo told; exit 4' TERM; echo ready; while :; do sleep 0.1; done"
    process = stages.spawn(line)
    ended, lines = stages.watch(process, seen=lambda _: process.stop(number))
    assert (ended.code, lines[0], lines[-1]) == (4, "ready", "told")


def test_what_is_left_running_is_ended_and_counted(stages: Stages) -> None:
    pids = [stages.folder / name for name in ("child", "session", "daemon")]
    line = (
        f"sleep {LONG} & echo $! > {pids[0]}; setsid sh -c 'echo $$ > {pids[1]}; exec sleep {LONG}' & "
        f"(setsid sh -c 'echo $$ > {pids[2]}; exec sleep {LONG}' &); "
        f"until [ -s {pids[0]} ] && [ -s {pids[1]} ] && [ -s {pids[2]} ]; do sleep 0.02; done"
    )
    ended, _ = stages.run(line)
    assert (ended.code, ended.left) == (0, 3)
    assert not any(psutil.pid_exists(int(path.read_text())) for path in pids)


@pytest.mark.usefixtures("impatient")
def test_what_is_left_running_and_ignores_the_signal_is_killed(stages: Stages) -> None:
    word = stages.folder / "word"
    script = stages.folder / "stubborn.sh"
    script.write_text(STUBBORN)
    found: list[psutil.Process] = []

    def ready(text: str) -> None:
        found.append(psutil.Process(int(text.split()[1])))
        word.touch()

    process = stages.spawn(f"setsid sh {script} & until [ -e {word} ]; do sleep 0.02; done")
    ended, _ = stages.watch(process, seen=ready)
    assert ended.code == 0
    assert ended.left >= 1
    assert not alive(found[0])


def test_what_is_left_running_is_signalled_once(stages: Stages) -> None:
    word = stages.folder / "word"
    line = stages.python(
        "import signal, time\n"
        "told = []\n"
        "signal.signal(signal.SIGTERM, lambda *_: told.append(1))\n"
        "print('ready', flush=True)\n"
        "while not told:\n    time.sleep(0.05)\n"
        "time.sleep(0.5)\n"
        "print(len(told), flush=True)\n"
    )
    process = stages.spawn(f"{line} & until [ -e {word} ]; do sleep 0.02; done")
    assert stages.watch(process, seen=lambda _: word.touch())[1] == ["ready", "1"]


def test_a_name_that_is_not_utf_8_hinders_nobody(stages: Stages) -> None:
    """Linux cuts the name of a process after 15 bytes, be it in the middle of a letter."""
    program = stages.folder / "abcdefghijklmnä"
    program.symlink_to("/bin/sleep")
    ended, lines = stages.run(f"{program} 2 & echo $!; until grep -q abcdef /proc/$!/comm; do sleep 0.01; done")
    survivors = [found for found in psutil.process_iter() if found.pid == int(lines[0])]
    end(survivors)
    assert (ended.code, ended.left) == (0, 1)
    assert not survivors


def test_a_killed_warden_takes_its_tree_with_it(stages: Stages) -> None:
    found: list[psutil.Process] = []

    def strike(text: str) -> None:
        found.append(psutil.Process(int(text)))
        if len(found) == 3:
            os.kill(process.pid, signal.SIGKILL)

    line = f"echo $$; sleep {LONG} & echo $!; (setsid sh -c 'echo $$; exec sleep {LONG}' &); sleep {LONG}"
    beside = stages.spawn(f"echo ready; until [ -e {stages.folder / 'word'} ]; do sleep 0.05; done; echo fine")
    process = stages.spawn(line)
    ended, _ = stages.watch(process, seen=strike)
    assert ended.code == -signal.SIGKILL
    assert gone(*found)
    (stages.folder / "word").touch()
    assert stages.watch(beside)[1] == ["ready", "fine"]


def test_a_killed_warden_takes_a_tree_with_it_that_grows(stages: Stages) -> None:
    """All of it, even if the flow ends at once."""
    sleep = f"sleep {LONG}.{os.getpid()}"
    process = stages.spawn(f"for i in $(seq 4000); do {sleep} & sleep 0.001; [ $i = 200 ] && echo now; done")
    ended, _ = stages.watch(process, seen=lambda _: os.kill(process.pid, signal.SIGKILL))
    stages.supervisor.close()
    survivors = [found for found in psutil.process_iter(["cmdline"]) if found.info["cmdline"] == sleep.split()]
    try:
        assert ended.code == -signal.SIGKILL
        assert gone(*survivors)
    finally:
        end(survivors)


def test_locks_are_held_until_the_tree_has_ended(stages: Stages, impatient: float) -> None:
    assert impatient < GRACE_SECONDS
    path = stages.folder / "lock"
    found: list[psutil.Process] = []
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process = stages.spawn(STUBBORN, keep=[lock.fileno()])

    def leave(text: str) -> None:
        found.append(psutil.Process(int(text.split()[1])))
        assert not free(path)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stages.watch(process, seen=leave)
    process.close()
    while not free(path):
        time.sleep(0.02)
    assert not alive(found[0])


def test_locks_are_free_once_a_stage_has_ended(stages: Stages) -> None:
    path = stages.folder / "lock"
    for _ in range(3):
        with path.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            process = stages.spawn("echo ready", keep=[lock.fileno()])
        assert not free(path)
        stages.watch(process)
        assert eventually(lambda: free(path))


def test_stages_side_by_side_hold_only_their_own(stages: Stages) -> None:
    paths = [stages.folder / name for name in "ab"]
    processes = []
    for path in paths:
        with path.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            processes.append(stages.spawn("true", keep=[lock.fileno()]))
    stages.watch(processes[0])
    assert eventually(lambda: free(paths[0]))
    assert not free(paths[1])
