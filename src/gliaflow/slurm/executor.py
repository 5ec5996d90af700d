"""The executor of a Slurm cluster: each stage a job, in the shared workspace."""

import json
import os
import shutil
import sys
import threading
import uuid
from collections.abc import Sequence
from pathlib import Path

from gliaflow.core.graph import Stage
from gliaflow.core.ports import Lease, Task
from gliaflow.errors import UserError
from gliaflow.journal.folder import folder, top
from gliaflow.journal.seconds import last
from gliaflow.machine.local import defaults
from gliaflow.resources.slots import THREADS
from gliaflow.slurm.earlier import Earlier
from gliaflow.slurm.job_run import JobRun
from gliaflow.slurm.kept import NAME, Kept, Place, Whose
from gliaflow.slurm.packs import Packs
from gliaflow.slurm.site.cluster import Cluster
from gliaflow.slurm.site.profile import Profile, read_profile
from gliaflow.slurm.site.script import limit, script, wanted
from gliaflow.slurm.wrapper import WORK, Work, replace


class _Permit:
    """To have a job, one of as many as may be submitted at once."""

    def __init__(self, taken: set["_Permit"]) -> None:
        self._taken = taken
        taken.add(self)

    def release(self) -> None:
        """Another job may be submitted."""
        self._taken.discard(self)


class SlurmExecutor:
    """Runs stages as jobs, from a host on which `sbatch` works, by the profile of the site called `name`."""

    travels = False

    def __init__(self, name: str = "") -> None:
        root = top(Path())
        if not root:
            raise UserError("you are not inside of a DVC repository; `dvc init` makes one")
        self.profile: Profile = read_profile(root, name)
        self.ahead = sys.maxsize if self.profile.pack else self.profile.jobs or sys.maxsize  # packs count jobs
        run = uuid.uuid4().hex[:8]
        self._kept = Kept(root, run)
        self._cluster = Cluster([NAME.format(run=run)])
        where = folder(Path())
        self._packs = Packs(self.profile, last(where) if where else {})
        self._taken = set[_Permit]()
        self._bad = dict[str, set[str]]()  # nodes on which a stage was lost
        self._earlier = Earlier(self._kept, self._cluster)
        self._lock = threading.Lock()

    def accepts(self, stage: Stage) -> bool:  # noqa: ARG002 - those for a pool come before, if they are sent
        """Every stage can be a job."""
        return True

    def check(self, stages: Sequence[Stage]) -> None:
        """Look for `sbatch`, and for jobs of runs that were killed.

        Raises:
            UserError: there is no `sbatch`, or the cluster does not answer though a killed run may have jobs there.
        """
        if not shutil.which("sbatch"):
            raise UserError("sbatch is not on the PATH: run where jobs can be submitted, or leave --slurm out")
        self._kept.open()
        self._earlier.look({stage.address for stage in stages})

    def tries(self, stage: Stage) -> int:
        """One, and the stage's retries."""
        return stage.settings.retries + 1

    def reserve(self, stage: Stage) -> Lease | None:  # noqa: ARG002 - the cluster has slots of its own
        """The permit to submit a job, if there are not too many by now."""
        return _Permit(self._taken) if len(self._taken) < self.ahead else None

    def holders(self, stage: Stage) -> str:  # noqa: ARG002
        """Nothing: that the profile allows so many jobs at once anybody expects."""
        return ""

    def keeps(self, task: Task) -> bool:
        """Whether a job of a killed run makes, or has made, what the stage would make now.

        Raises:
            NotYet: one that makes something else at the same paths is not over, or another run has it.
        """
        return self._earlier.keeps(task)

    def launch(self, task: Task, lease: Lease) -> JobRun:  # noqa: ARG002
        """Prepare a job, or take that of a killed run."""
        address = task.stage.address
        adopted = self._earlier.adopted(address)
        bad = self._bad.setdefault(address, set())
        return JobRun(task, self._cluster, self._packs, lambda: self._written(task), adopted, bad)

    def shows(self, stage: Stage, cwd: str) -> str:
        """The script of the job that the stage would be, alone, run in the folder `cwd`."""
        place = self._kept.shown
        return script(
            [stage.address],
            [*wanted(self._packs.asks(stage), self.profile), *limit([stage.settings])],
            self.profile,
            [place.folder],
            name=place.name,
            comment=place.comment,
            cwd=cwd,
        )

    def _written(self, task: Task) -> Place:
        """The folder of a new job, with what is to run."""
        prepared, stage = task.prepared, task.stage
        assert prepared.commands
        with self._lock:
            place = self._kept.new(Whose(stage.address, "" if task.forced else prepared.key, prepared.outs))
        work: Work = {
            "commands": [list(line) for line in prepared.commands.arguments],
            "cwd": prepared.commands.cwd,
            # the CPUs are its own, however many stages share the job
            "env": environment(task) | {"SLURM_CPUS_PER_TASK": str(self._packs.asks(stage).cpus)},
            "timeout": stage.settings.timeout,
            "outs": list(prepared.outs),
        }
        replace(place.folder / WORK, json.dumps(work))
        return place

    def close(self) -> None:
        """Cancel what no stage of this run has taken, and look no more."""
        self._earlier.close()
        self._cluster.close()
        self._kept.close()


def environment(task: Task) -> dict[str, str]:
    """What the stage's environment has beside that which Slurm passes on from this process."""
    assert task.prepared.commands
    env, threads = task.prepared.commands.env, task.stage.settings.threads
    found = defaults(env) | {name: text for name, text in env.items() if os.environ.get(name) != text}
    return found | (dict.fromkeys(THREADS, str(threads)) if threads else {})
