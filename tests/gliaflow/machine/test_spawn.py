"""The supervisor that a flow starts, loses and closes; and what asking it costs."""

import errno
import fcntl
import os
import resource
import socket
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from gliaflow.machine.process import Exit, Process
from tests.gliaflow.machine.processes import LONG, Stages, eventually, free, gone, open_files, supervisor_of
from tests.support.repos import ROOT, alive

FLOW = (
    "import os, sys\n"
    "from gliaflow.machine.spawn import Supervisor\n"
    "process = Supervisor().spawn([['/bin/sh', '-c', sys.argv[1]]], '/', dict(os.environ))\n"
    "process.run(lambda text, whole: print(text, flush=True))\n"
)


def test_nothing_runs_before_it_is_told_to(stages: Stages) -> None:
    marker = stages.folder / "marker"
    process = stages.spawn(f"touch {marker}")
    warden = psutil.Process(process.pid)
    assert alive(warden)
    process.close()
    assert gone(warden)
    assert not marker.exists()


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


def test_a_process_that_the_system_does_not_give_is_told_and_another_may_follow(
    stages: Stages, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a supervisor says that gets none is put in its mouth."""
    before = open_files()

    def refuse(*_: object) -> Process:
        ours, theirs = socket.socketpair()
        theirs.sendall(b'{"code": 127, "refused": [%d, ""]}\n' % errno.EAGAIN)
        theirs.close()
        return Process(ours, os.open(os.devnull, os.O_RDONLY))

    with monkeypatch.context() as patched:
        patched.setattr(stages.supervisor, "_ask", refuse)
        with pytest.raises(BlockingIOError, match="no process can be started: Resource temporarily unavailable"):
            stages.spawn("true")
    assert open_files() == before
    assert stages.run("echo again")[1] == ["again"]


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
