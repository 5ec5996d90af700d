import fcntl
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from gliaflow.machine.process import CANNOT_RUN, LONGEST_LINE, Exit, Process
from gliaflow.machine.spawn import GRACE_SECONDS, Supervisor
from tests.support.repos import ROOT, alive

PATIENCE = 30  # seconds until what must happen has happened
LONG = 60  # seconds that a command sleeps which has to be ended
STUBBORN = f"trap '' TERM; echo ready $$; for i in $(seq {LONG * 5}); do sleep 0.2; done"
FLOW = (
    "import os, sys\n"
    "from gliaflow.machine.spawn import Supervisor\n"
    "process = Supervisor().spawn([['/bin/sh', '-c', sys.argv[1]]], '/', dict(os.environ))\n"
    "process.run(lambda text, whole: print(text, flush=True))\n"
)


class Stages:
    """Spawns stages of shell lines and keeps what they print."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.supervisor = folder, Supervisor()
        self.spawned: list[Process] = []
        self.partial: list[str] = []  # what stood on unfinished lines

    def spawn(
        self, *lines: str, cwd: Path | None = None, env: Mapping[str, str] | None = None, keep: Sequence[int] = ()
    ) -> Process:
        """A stage of these shell lines."""
        commands = [["/bin/sh", "-c", line] for line in lines]
        made = self.supervisor.spawn(commands, str(cwd or self.folder), os.environ if env is None else env, keep)
        self.spawned.append(made)
        return made

    def watch(
        self, process: Process, timeout: float | None = None, seen: Callable[[str], object] = lambda _: None
    ) -> tuple[Exit, list[str]]:
        """Run it to its end; `seen` is called with each whole line."""
        lines: list[str] = []

        def on_line(text: str, whole: bool) -> None:
            (lines if whole else self.partial).append(text)
            if whole:
                seen(text)

        return process.run(on_line, timeout), lines

    def run(self, *lines: str, timeout: float | None = None) -> tuple[Exit, list[str]]:
        """Spawn and run."""
        return self.watch(self.spawn(*lines), timeout)

    def python(self, script: str) -> str:
        """The shell line that runs a script."""
        path = self.folder / f"script{len(list(self.folder.iterdir()))}.py"
        path.write_text(script)
        return f"'{sys.executable}' '{path}'"

    def close(self) -> None:
        for process in self.spawned:
            with suppress(OSError):
                process.stop(signal.SIGKILL)
            process.close()
        self.supervisor.close()


@pytest.fixture
def stages(tmp_path: Path) -> Iterator[Stages]:
    made = Stages(tmp_path)
    yield made
    made.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> float:
    """A short grace."""
    monkeypatch.setattr("gliaflow.machine.spawn.GRACE_SECONDS", 0.5)
    return 0.5


def eventually(happened: Callable[[], bool]) -> bool:
    """Whether it happens in time."""
    deadline = time.monotonic() + PATIENCE
    while not happened():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def gone(*processes: psutil.Process) -> bool:
    """Whether all end in time."""
    return eventually(lambda: not any(map(alive, processes)))


def end(survivors: list[psutil.Process]) -> None:
    """Kill what should not have been there any more."""
    for survivor in survivors:
        with suppress(psutil.NoSuchProcess):
            survivor.kill()
    psutil.wait_procs(survivors, timeout=PATIENCE)


def free(path: Path) -> bool:
    """Whether nobody holds the lock."""
    with path.open("w") as file, suppress(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def open_files(pid: int | str = "self") -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def supervisor_of(process: Process) -> psutil.Process:
    parent = psutil.Process(process.pid).parent()
    assert parent
    return parent


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


# How it ends


def test_commands_run_one_after_another_until_one_fails(stages: Stages) -> None:
    ended, lines = stages.run("echo a", "echo b; exit 3", "echo c")
    assert lines == ["a", "b"]
    assert (ended.code, ended.command) == (3, "echo b; exit 3")


@pytest.mark.parametrize(
    ("line", "code", "exit_code"),
    [("true", 0, 0), ("exit 1", 1, 1), ("exit 75", 75, 75), ("exit 255", 255, 255), ("kill -KILL $$", -9, 137)],
)
def test_exit_codes(stages: Stages, line: str, code: int, exit_code: int) -> None:
    ended = stages.run(line)[0]
    assert (ended.code, ended.exit_code) == (code, exit_code)


def test_a_command_that_is_not_there(stages: Stages) -> None:
    process = stages.supervisor.spawn([["/no/such/program", "x"]], "/", os.environ)
    ended, lines = stages.watch(process)
    assert (ended.code, lines) == (CANNOT_RUN, ["/no/such/program: No such file or directory"])
    assert stages.run("no-such-program")[0].code == CANNOT_RUN


def test_a_folder_that_is_not_there(stages: Stages) -> None:
    ended, lines = stages.watch(stages.spawn("echo a", cwd=stages.folder / "none"))
    assert ended.code == CANNOT_RUN
    assert lines == [f"{stages.folder / 'none'}: No such file or directory"]


def test_nothing_runs_before_it_is_told_to(stages: Stages) -> None:
    marker = stages.folder / "marker"
    process = stages.spawn(f"touch {marker}")
    warden = psutil.Process(process.pid)
    assert alive(warden)
    process.close()
    assert gone(warden)
    assert not marker.exists()


def test_closing_twice_is_no_error(stages: Stages) -> None:
    process = stages.spawn("true")
    stages.watch(process)
    process.close()
    process.close()


# What it is given


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


def test_signals_are_what_a_shell_expects(stages: Stages) -> None:
    ignored = stages.run("grep SigIgn /proc/self/status; grep SigBlk /proc/self/status")[1]
    named = (1 << 31) - 1  # beyond are real-time signals, which may be ignored since long before us
    assert [int(line.split()[1], 16) & named for line in ignored] == [0, 0]


def test_it_has_a_session_of_its_own(stages: Stages) -> None:
    process = stages.spawn("ps -o sid= -p $$")
    assert int(stages.watch(process)[1][0]) not in (os.getsid(0), os.getsid(os.getppid()))


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


@pytest.mark.usefixtures("impatient")
def test_a_time_limit_kills_what_ignores_its_signal(stages: Stages) -> None:
    ended = stages.run(STUBBORN, timeout=2)[0]
    assert (ended.code, ended.timed_out) == (-signal.SIGKILL, True)


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


def test_a_pipe_that_another_holds_keeps_nobody_waiting(stages: Stages, monkeypatch: pytest.MonkeyPatch) -> None:
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
            "import socket, sys, time\n"
            "server = socket.socket(socket.AF_UNIX)\n"
            "server.bind(sys.argv[1]); server.listen(); print('ready', flush=True)\n"
            "held = socket.recv_fds(server.accept()[0], 1, 1)\n"
            f"time.sleep({LONG})\n",
            address,
        ],
        stdout=subprocess.PIPE,
        cwd="/",
    ) as holder:
        try:
            assert holder.stdout
            assert holder.stdout.readline() == b"ready\n"
            ended, lines = stages.run(f"{line} {address}", timeout=PATIENCE)
            assert (ended.code, ended.timed_out, lines) == (0, False, ["handed on"])
        finally:
            holder.kill()


def test_a_stop_right_after_the_start_is_heeded(stages: Stages) -> None:
    """The warden finds both words at once: it does not run while they are sent."""
    process = stages.spawn("sleep 6")
    os.kill(process.pid, signal.SIGSTOP)
    waker = threading.Timer(0.5, os.kill, (process.pid, signal.SIGCONT))
    waker.start()
    ended, _ = stages.watch(process, timeout=0.01)
    waker.join()
    assert (ended.code, ended.timed_out) == (-signal.SIGTERM, True)


def test_a_stop_before_the_start_keeps_it_from_running(stages: Stages) -> None:
    marker = stages.folder / "marker"
    process = stages.spawn(f"touch {marker}")
    warden = psutil.Process(process.pid)
    process.stop(signal.SIGTERM)
    stages.watch(process)
    process.close()
    assert gone(warden)
    assert not marker.exists()


def test_a_name_that_is_not_utf_8_hinders_nobody(stages: Stages) -> None:
    """Linux cuts the name of a process after 15 bytes, be it in the middle of a letter."""
    program = stages.folder / "abcdefghijklmnä"
    program.symlink_to("/bin/sleep")
    ended, lines = stages.run(f"{program} 2 & echo $!; until grep -q abcdef /proc/$!/comm; do sleep 0.01; done")
    survivors = [found for found in psutil.process_iter() if found.pid == int(lines[0])]
    end(survivors)
    assert (ended.code, ended.left) == (0, 1)
    assert not survivors


# Whoever dies


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


def test_a_killed_supervisor_disturbs_no_stage_and_the_next_has_another(stages: Stages) -> None:
    word = stages.folder / "word"
    process = stages.spawn(f"sleep {LONG} & echo ready; until [ -e {word} ]; do sleep 0.02; done; exit 5")
    supervisor = supervisor_of(process)

    def strike(_: str) -> None:
        supervisor.kill()
        assert gone(supervisor)
        word.touch()

    ended, _ = stages.watch(process, seen=strike)
    assert (ended.code, ended.left) == (5, 1)
    later = stages.spawn("echo again")
    assert supervisor_of(later).pid != supervisor.pid
    assert stages.watch(later)[1] == ["again"]


def test_a_supervisor_killed_while_it_is_asked_costs_no_stage_and_no_descriptor(stages: Stages) -> None:
    process = stages.spawn("true")
    supervisor = supervisor_of(process)
    stages.watch(process)
    before = open_files()
    supervisor.suspend()
    strike = threading.Timer(0.5, supervisor.kill)
    strike.start()
    assert stages.run("echo again")[1] == ["again"]
    strike.join()
    assert open_files() == before


def test_stages_that_find_the_supervisor_killed_do_not_wait_for_each_other(stages: Stages) -> None:
    number, ended = 5, list[Exit]()
    for round_ in range(4):
        process = stages.spawn("true")
        supervisor = supervisor_of(process)
        stages.watch(process)
        supervisor.kill()
        assert gone(supervisor)
        room, together = stages.folder / f"room{round_}", threading.Barrier(number)
        room.mkdir()

        def one(room: Path = room, together: threading.Barrier = together) -> None:
            together.wait()
            line = f"touch {room}/$$; while [ $(ls {room} | wc -l) -lt {number} ]; do sleep 0.05; done"
            ended.append(stages.run(line, timeout=5)[0])

        threads = [threading.Thread(target=one) for _ in range(number)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [end.code for end in ended] == [0] * number * (round_ + 1)


def test_a_killed_flow_takes_all_with_it() -> None:
    line = (
        f"sleep {LONG} & echo $!; setsid sleep {LONG} & echo $!; "
        f"(setsid sh -c 'echo $$; exec sleep {LONG}' &); echo $$; sleep {LONG}"
    )
    with subprocess.Popen(
        [sys.executable, "-c", FLOW, line],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    ) as flow:
        try:
            assert flow.stdout
            family = [psutil.Process(int(flow.stdout.readline())) for _ in range(4)]
            family += psutil.Process(flow.pid).children(recursive=True)  # the supervisor and the warden, too
        finally:
            flow.kill()
        assert len({process.pid for process in family}) >= 6
        assert gone(*family)


def test_a_closed_supervisor_is_gone_and_another_may_follow(stages: Stages) -> None:
    process = stages.spawn("true")
    supervisor = supervisor_of(process)
    stages.watch(process)
    stages.supervisor.close()
    assert not psutil.pid_exists(supervisor.pid)
    stages.supervisor.close()
    assert stages.run("echo a")[1] == ["a"]


# What is held


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


def test_as_many_locks_as_a_big_machine_has_cpus(stages: Stages) -> None:
    path = stages.folder / "lock"
    many = [os.open(os.devnull, os.O_RDONLY) for _ in range(300)]
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            process = stages.spawn("ls /proc/$$/fd", keep=[*many, lock.fileno()])
        finally:
            for descriptor in many:
                os.close(descriptor)
    assert not free(path)
    assert stages.watch(process)[1] == ["0", "1", "2"]


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


def test_many_stages_leak_no_descriptors_and_no_processes(stages: Stages) -> None:
    process = stages.spawn("true")
    supervisor = supervisor_of(process)
    stages.watch(process)
    assert eventually(lambda: not supervisor.children())
    before = open_files(), open_files(supervisor.pid)
    for _ in range(12):
        assert stages.run("true")[0].code == 0
        stages.spawn("never").close()
    assert eventually(lambda: not supervisor.children())
    assert (open_files(), open_files(supervisor.pid)) == before


def test_a_flow_with_many_open_files_runs_stages(stages: Stages) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))
    many = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:
        assert stages.run("echo a")[1] == ["a"]
    finally:
        for descriptor in many:
            os.close(descriptor)
        stages.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
