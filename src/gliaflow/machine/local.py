"""The executor of this host: stages as processes under one supervisor, within the slots that all runs share."""

import errno
import fcntl
import os
import signal
import stat
import struct
import termios
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from gliaflow.core.graph import Stage
from gliaflow.core.job import TAIL
from gliaflow.core.ports import Ended, Lease, Listener, Task
from gliaflow.core.report import Began, Line, Message, Used
from gliaflow.errors import CannotRun, CommandFailed, advice, how_it_ended
from gliaflow.machine.process import CANNOT_RUN, Exit, Process
from gliaflow.machine.programs import NO_PROGRAM, obstacle, telling, why_not_run
from gliaflow.machine.spawn import Supervisor
from gliaflow.resources.gpus import GpuMeter
from gliaflow.resources.slots import SlotLease, Slots, usable_cpus
from gliaflow.terminal.pseudo import PAGERS, Size
from gliaflow.terminal.text import plain

STDIN = 0
UNBUFFERED = {"PYTHONUNBUFFERED": "1"}  # so that lines appear at once
SPIN_BRIEFLY = {"GOMP_SPINCOUNT": "3000"}
"""Threads of OpenMP that spin for long make stages which share cores several times as slow. Threads that sleep at once
make a stage slower that has the cores for itself."""
UNREAD = "standard input is not read: stages that may run side by side get none of it; `-j 1` passes it on"
KILLED = (-signal.SIGKILL, 128 + signal.SIGKILL)
KERNEL = Path("/proc/vmstat")  # which counts the processes that Linux has ended for lack of memory
NO_MEMORY = ": the kernel was out of memory"
LOST = "was lost: the process that watches over it was killed"


class LocalExecutor:
    """Runs stages in the workspace itself; `cpus` is the number of CPU slots, by default that of this process.

    With `stdin`, stages read the standard input of this process, one after another. Without, they read nothing. Where
    somebody looks at a terminal, `terminal` tells how much of it a stage of this address may print to.
    """

    travels = False

    def __init__(
        self,
        cpus: int | None = None,
        environment: Mapping[str, str] = os.environ,
        stdin: bool = False,
        terminal: Callable[[str], Size] | None = None,
    ) -> None:
        self._stdin, self._unread_told, self._terminal = stdin, False, terminal
        self._slots = Slots(cpus or usable_cpus(), environment)
        self._supervisor = Supervisor()
        self.ahead = len(self._slots.cpus)

    def accepts(self, stage: Stage) -> bool:  # noqa: ARG002
        """Every stage can run here."""
        return True

    def check(self, stages: Sequence[Stage]) -> None:
        """Nothing keeps a stage from running here; its program is looked up when the stage is prepared."""

    def tries(self, stage: Stage) -> int:
        """One, and the stage's retries."""
        return stage.settings.retries + 1

    def reserve(self, stage: Stage) -> Lease | None:
        """Take the slots that the stage asks for."""
        return self._slots.acquire(stage.settings, stage.address)

    def holders(self, stage: Stage) -> str:
        """What slots the stage lacks, and which stages of which runs hold them."""
        return self._slots.holders(stage.settings)

    def launch(self, task: Task, lease: Lease) -> "LocalRun":
        """Have the supervisor prepare the stage's processes."""
        commands = task.prepared.commands
        assert commands
        assert isinstance(lease, SlotLease)
        terminal = partial(self._terminal, task.stage.address) if self._terminal else None
        environment = {**defaults(commands.env), **commands.env, **(PAGERS if terminal else {}), **lease.environment}
        reads = STDIN if self._stdin and may_be_read(STDIN) else None
        keep = lease.descriptors
        lines = [[*commands.prefix, *line] for line in commands.arguments]
        spawned = self._supervisor.spawn(lines, commands.cwd, environment, keep, reads, terminal)
        return LocalRun(task, spawned, self.tell_unread)

    def tell_unread(self, listener: Listener) -> None:
        """Tell once that somebody sends what no stage reads."""
        if not self._stdin and not self._unread_told and holds_something(STDIN):
            self._unread_told = True
            listener.hear(Message(UNREAD))

    def close(self) -> None:
        """End the supervisor, and with it whatever still runs."""
        self._supervisor.close()


class LocalRun:
    """One try of a stage, as processes of this host; `tell_unread` is asked before and after."""

    def __init__(self, task: Task, process: Process, tell_unread: Callable[[Listener], None]) -> None:
        self._task, self._process, self._tell_unread = task, process, tell_unread
        self._last = deque[str](maxlen=TAIL)  # lines of the command that runs
        self._place = -1  # which of the commands that is
        self._kills = kernel_kills()
        self.pid = process.pid

    def wait(self, listener: Listener) -> Ended:
        """Run the commands one after another."""
        address, commands = self._task.stage.address, self._task.prepared.commands
        assert commands

        def on_line(text: str, whole: bool) -> None:
            shown = plain(text)
            if whole:
                self._last.append(shown)
            listener.hear(Line(address, shown, whole, text if text != shown else ""))

        def on_command() -> None:
            self._last.clear()
            self._place += 1
            listener.hear(Began(address, [commands.lines[self._place]], self._place))

        self._tell_unread(listener)
        gpus = GpuMeter(self.pid, commands.env) if self._task.stage.settings.gpus else None
        try:
            ended = self._process.run(on_line, self._task.stage.settings.timeout, on_command)
        finally:
            if gpus:
                gpus.close()
        used = Used(**ended.used, gpu_bytes=gpus.peak_bytes if gpus else None) if ended.used else None
        self._tell_unread(listener)
        if ended.left and not ended.timed_out:
            listener.hear(Message(f"{address}: ended {ended.left} processes that it left running"))
        return replace(judged(ended, self._task, self._place, self._last, self._kills), used=used)

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Signal every process of the stage; what is left after the grace is killed."""
        self._process.stop(number)

    def close(self) -> None:
        """Let the warden end whatever still runs."""
        self._process.close()


def defaults(environment: Mapping[str, str]) -> dict[str, str]:
    """What a stage has in its environment that has no say of its own in it."""
    return dict(UNBUFFERED) if "OMP_WAIT_POLICY" in environment else UNBUFFERED | SPIN_BRIEFLY


def judged(ended: Exit, task: Task, place: int, last: Iterable[str], kills: int | None = None) -> Ended:
    """What the end of a stage's commands means; `place` is the last that ran, from 0, and `last` its last lines.

    `kills` is what `kernel_kills` told before they ran, if they ran on this host.
    """
    wanted = task.stage.settings
    if ended.timed_out:
        error: Exception = TimeoutError(f"ran longer than its timeout of {wanted.timeout:g} s and was ended")
        return Ended(error, again=True, delay=wanted.retry_delay)
    if not ended.code:
        return Ended()
    passing = ended.refused is not None and ended.refused[0] in (errno.EAGAIN, errno.ENOMEM)
    error = _failed(ended, task, place, list(last), kills)
    return Ended(error, passing or wanted.worth_retrying(ended.code), wanted.retry_delay)


def _failed(ended: Exit, task: Task, place: int, lines: list[str], kills: int | None) -> CommandFailed:
    """Why the command that ran last failed, as far as it can be known."""
    commands, code = task.prepared.commands, ended.code
    assert commands
    line, shell = commands.lines[place], commands.arguments[place][0]
    if ended.refused:
        return CannotRun(line, code, refusal(*ended.refused, line, commands.cwd, commands.env))
    if ended.lost:
        return CommandFailed(line, code, ending=LOST)
    if found := why_not_run(line, lines, code, shell, commands.cwd, commands.env):
        return CannotRun(line, code, str(found))
    if code in (NO_PROGRAM, CANNOT_RUN):
        return CannotRun(line, code, cause=telling(lines))
    ending = how_it_ended(code)
    if code in KILLED and kills is not None and kernel_kills() > kills:
        ending = ending.partition(" (")[0] + NO_MEMORY
    return CommandFailed(line, code, telling(lines), ending)


def refusal(number: int, path: str, line: str, cwd: str, environment: Mapping[str, str]) -> str:
    """Why the system did not start a command, in words; `path` is what that is about, if anything."""
    if number == errno.E2BIG:
        size = sum(len(name) + len(text) for name, text in environment.items()) // 1024
        long = f"the line has {len(line.encode()) // 1024} KiB and its environment {size} KiB"
        return f"{long}, more than the system takes: put them into files"
    if path == cwd:
        return f"'{cwd}', in which it is to run: {os.strerror(number)}; make it or change `wdir:`"
    found = obstacle(path, cwd, environment) if path else None
    what = os.strerror(number) + advice(OSError(number, ""))
    return str(found) if found else f"{path or 'no process can be started'}: {what}"


def may_be_read(descriptor: int) -> bool:
    """Whether it is open; and if it is a terminal, whether that is this process's to read, not another job's."""
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    with suppress(OSError):  # no terminal, or none that has jobs
        return os.tcgetpgrp(descriptor) == os.getpgrp()
    return True


def holds_something(descriptor: int) -> bool:
    """Whether a file or a pipe holds what nobody has read yet."""
    with suppress(OSError):
        found = os.fstat(descriptor)
        if stat.S_ISREG(found.st_mode):
            return found.st_size > os.lseek(descriptor, 0, os.SEEK_CUR)
        if stat.S_ISFIFO(found.st_mode) or stat.S_ISSOCK(found.st_mode):
            (number,) = struct.unpack("i", fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4)))
            return bool(number)
    return False


def kernel_kills() -> int:
    """How many processes Linux has ended for lack of memory since it started; 0 where it does not tell."""
    with suppress(OSError, ValueError):
        for line in KERNEL.read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0
