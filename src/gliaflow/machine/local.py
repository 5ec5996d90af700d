"""The executor of this host: stages as processes under one supervisor, within the slots that all runs share."""

import os
import signal
from collections.abc import Mapping, Sequence

from gliaflow.core.graph import Stage
from gliaflow.core.ports import Ended, Lease, Listener, Task
from gliaflow.core.report import Began, Line, Message
from gliaflow.errors import CommandFailed, UserError
from gliaflow.machine.process import CANNOT_RUN, Exit, Process
from gliaflow.machine.slots import SlotLease, Slots, usable_cpus
from gliaflow.machine.spawn import Supervisor


class LocalExecutor:
    """Runs stages in the workspace itself; `cpus` is the number of CPU slots, by default that of this process."""

    travels = False

    def __init__(self, cpus: int | None = None, environment: Mapping[str, str] = os.environ) -> None:
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
        return self._slots.acquire(stage.settings)

    def launch(self, task: Task, lease: Lease) -> "LocalRun":
        """Have the supervisor prepare the stage's processes."""
        commands = task.prepared.commands
        assert commands
        assert isinstance(lease, SlotLease)
        environment = {"PYTHONUNBUFFERED": "1", **commands.env, **lease.environment}
        return LocalRun(task, self._supervisor.spawn(commands.arguments, commands.cwd, environment, lease.descriptors))

    def close(self) -> None:
        """End the supervisor, and with it whatever still runs."""
        self._supervisor.close()


class LocalRun:
    """One try of a stage, as processes of this host."""

    def __init__(self, task: Task, process: Process) -> None:
        self._task, self._process = task, process
        self.pid = process.pid

    def wait(self, listener: Listener) -> Ended:
        """Run the commands one after another."""
        address, commands = self._task.stage.address, self._task.prepared.commands
        assert commands
        listener.hear(Began(address, commands.lines))
        ended = self._process.run(
            lambda text, whole: listener.hear(Line(address, text, whole)), self._task.stage.settings.timeout
        )
        if ended.left and not ended.timed_out:
            listener.hear(Message(f"{address}: ended {ended.left} processes that it left running"))
        return self._judged(ended)

    def _judged(self, ended: Exit) -> Ended:
        wanted = self._task.stage.settings
        if ended.timed_out:
            error: Exception = TimeoutError(f"ran longer than its timeout of {wanted.timeout:g} s and was ended")
            return Ended(error, again=True, delay=wanted.retry_delay)
        if not ended.code:
            return Ended()
        if ended.code == CANNOT_RUN:
            error = UserError(
                f"'{ended.command}': a command of it was not found; install it or change `cmd:` in dvc.yaml"
            )
        else:
            error = CommandFailed(ended.command, ended.exit_code)
        return Ended(error, wanted.worth_retrying(ended.code), wanted.retry_delay)

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Signal every process of the stage; what is left after the grace is killed."""
        self._process.stop(number)

    def close(self) -> None:
        """Let the warden end whatever still runs."""
        self._process.close()
