"""Jobs on their way to the cluster: a stage each, or short stages that are ready together.

Clusters forbid swarms of jobs of a second. With `pack` in the profile, a job waits a moment for stages that ask for the
same. It asks for several times what one of them does, and runs so many at once, in lanes. No stage counts as shorter
than a twentieth of `pack`, so there are never more than twenty in a lane.
"""

import dataclasses
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from gliaflow.core.graph import Stage
from gliaflow.core.ports import Task
from gliaflow.core.settings import Settings
from gliaflow.errors import GliaflowError
from gliaflow.slurm.kept import SCRIPT, Place
from gliaflow.slurm.site import commands
from gliaflow.slurm.site.commands import Away, Node, Refused
from gliaflow.slurm.site.profile import Profile
from gliaflow.slurm.site.script import limit, megabytes, script, wanted
from gliaflow.slurm.wrapper import replace

GATHER_SECONDS, GATHER_MOST_SECONDS = 0.5, 5.0  # without a further stage, or at most, before a job is submitted
MOST = 20  # stages in one lane of a job
OVERDUE = 2  # so many times as long as it was thought to take, a stage keeps others waiting
AWAY_SECONDS = 600.0  # that the cluster may be away when a job is submitted
TURN_SECONDS = 0.2


class JobFailed(GliaflowError):
    """A job ended, and not by its commands."""

    exit_code = 1


@dataclass(eq=False)
class Member:
    """One try of a stage, which wants a job."""

    task: Task
    place: Place
    exclude: tuple[str, ...] = ()
    """Nodes that it should not get."""
    alone: bool = False
    """Whether it may share its job with no other."""
    say: Callable[[str], object] = lambda _: None
    """Told why the job is not submitted yet."""
    seconds: float = 0.0
    """That it is thought to take."""
    began: float = 0.0
    over: bool = False


@dataclass(eq=False)
class Job:
    """What is submitted at once."""

    members: list[Member] = field(default_factory=list)
    width: int = 1
    """How many of them run at once."""
    full: threading.Event = field(default_factory=threading.Event)
    done: threading.Event = field(default_factory=threading.Event)
    id: str = ""
    """Empty where the run is to end before there is one."""
    error: Exception | None = None

    @property
    def seconds(self) -> float:
        """That all of it is thought to take."""
        return sum(one.seconds for one in self.members)

    def near(self, member: Member) -> bool:
        """Whether the stage may begin soon: hardly more before it are not over than run at once."""
        return sum(not one.over for one in self.members[: self.members.index(member)]) <= self.width

    def overdue(self, now: float) -> bool:
        """Whether all stages that run take far longer than thought, so that those behind them should not wait."""
        late = [one for one in self.members if one.began and not one.over and now - one.began > OVERDUE * one.seconds]
        return len(late) >= self.width


class Packs:
    """Submits jobs, by the profile of the site and the `known` seconds that stages took last."""

    def __init__(self, profile: Profile, known: Mapping[str, float]) -> None:
        self._profile, self._known = profile, known
        self._open = dict[tuple[str, ...], Job]()  # by what their stages ask for
        self._live = set[Job]()
        self._nodes: list[Node] | None = None
        self._narrow = False  # since Slurm has refused a wider job
        self._lock = threading.Lock()

    def submitted(self, member: Member, stop: threading.Event) -> Job:
        """The job that the try is in by now; the job's id is on the disk.

        Raises:
            JobFailed: the cluster is away for too long.
            Refused: Slurm does not take it.
        """
        job, leads = self._joined(member)
        if leads:
            try:
                self._gather(job, stop)
                job.id = self._submit(job, stop)
            except Exception as error:  # each of its members raises it
                job.error = error
            finally:
                if not job.id:
                    with self._lock:
                        self._live.discard(job)
                job.done.set()
        job.done.wait()
        if job.error:
            raise job.error
        return job

    def leave(self, member: Member, job: Job) -> None:
        """The try needs the job no more."""
        member.over = True
        if all(one.over for one in job.members):
            with self._lock:
                self._live.discard(job)

    def _joined(self, member: Member) -> tuple[Job, bool]:
        """The job that the try goes in, and whether it is the first."""
        pack, known = self._profile.pack_seconds, self._known.get(member.task.stage.address)
        least = pack / MOST
        if member.alone or not pack or (known or 0.0) >= pack:
            job = Job([member])
            job.full.set()
            return job, True
        member.seconds = max(known or least, least)
        width = self._width(member)
        kind = (*self._flags(member), str(bool(member.task.stage.settings.timeout)))
        with self._lock:
            job = self._open.get(kind, Job(width=width))
            if job.members and job.seconds + member.seconds > pack * width:
                job.full.set()
                job = Job(width=width)
            leads = not job.members
            job.members.append(member)
            self._open[kind] = job
            if job.seconds + least > pack * width:
                job.full.set()
        return job, leads

    def _gather(self, job: Job, stop: threading.Event) -> None:
        """Wait until no more stages join the job, and there may be a further job."""
        number, deadline = 0, time.monotonic() + GATHER_MOST_SECONDS
        while not job.full.is_set() and number != len(job.members) and time.monotonic() < deadline:
            number = len(job.members)
            job.full.wait(GATHER_SECONDS)
        while not self._may(job) and not stop.is_set():
            stop.wait(TURN_SECONDS)
        with self._lock:
            job.full.set()
            self._open = {kind: one for kind, one in self._open.items() if one is not job}

    def _may(self, job: Job) -> bool:
        """Whether the job may be submitted now, and then counts among those that are."""
        with self._lock:
            if self._profile.jobs and self._profile.pack and len(self._live) >= self._profile.jobs:
                return False
            self._live.add(job)
            return True

    def asks(self, stage: Stage) -> Settings:
        """What the stage asks for; where no node has so many CPUs, or a GPU, all that one has, as on a host."""
        settings = stage.settings
        if not settings.gpus and settings.cpus == 1:
            return settings
        if not (found := self._rooms()):
            return settings
        gpus = settings.gpus if any(one.gpus for one in found) else 0
        return dataclasses.replace(settings, gpus=gpus, cpus=min(settings.cpus, max(one.cpus for one in found)))

    def _flags(self, member: Member, times: int = 1) -> list[str]:
        return wanted(self.asks(member.task.stage), self._profile, member.task.number, member.exclude, times)

    def _rooms(self) -> list[Node]:
        with self._lock:
            if self._nodes is None:
                self._nodes = commands.nodes(self._profile.partition)
            return self._nodes

    def _width(self, member: Member) -> int:
        """How many stages like this one a job may run at once: so many as a node has room for, and the site allows."""
        settings, profile = self.asks(member.task.stage), self._profile
        if settings.gpus or self._narrow:
            return 1
        memory = megabytes(settings, profile, member.task.number)
        rooms = [
            min(one.cpus // settings.cpus, one.megabytes // memory if memory else one.cpus) for one in self._rooms()
        ]
        return max(1, min(max(rooms, default=1), profile.pack_cpus // settings.cpus))

    def _submit(self, job: Job, stop: threading.Event) -> str:
        """The id of the job, which is on the disk; nothing if the run is to end before there is one."""
        place = job.members[0].place
        job.width = min(job.width, len(job.members))
        for one in job.members if job.members[1:] else ():
            one.place.join(place)
        while True:
            replace(place.folder / SCRIPT, self._script(job))
            try:
                number = _asked(job.members[0], stop)
                break
            except Refused:  # where options of the site keep its jobs from the largest nodes
                if job.width == 1:
                    raise
                job.width, self._narrow = 1, True
        for one in job.members if number else ():
            one.place.note_id(number)
        return number

    def _script(self, job: Job) -> str:
        first = job.members[0]
        assert first.task.prepared.commands
        return script(
            [one.task.stage.address for one in job.members],
            [*self._flags(first, job.width), *limit([one.task.stage.settings for one in job.members], job.width)],
            self._profile,
            [one.place.folder for one in job.members],
            name=first.place.name,
            comment=first.place.comment,
            cwd=first.task.prepared.commands.cwd,
            width=job.width,
        )


def _asked(first: Member, stop: threading.Event) -> str:
    """The id that Slurm gave the job of this stage; nothing if the run is to end before there is one."""
    place, deadline, told = first.place, time.monotonic() + AWAY_SECONDS, False
    while not stop.is_set():
        try:
            return commands.submit(place.folder / SCRIPT)
        except Away as error:
            if number := _listed(place):
                return number
            if time.monotonic() > deadline:
                raise JobFailed(f"the cluster does not answer: {error}") from None
            if not told:
                told = True
                address, minutes = first.task.stage.address, AWAY_SECONDS / 60
                first.say(f"{address} is not submitted yet: {error}; trying again for {minutes:.0f} minutes")
        stop.wait(commands.AWAY_PAUSE)
    return ""


def _listed(place: Place) -> str:
    """The id of a job that was submitted although the answer was lost."""
    for number, seen in (commands.look([place.name]) or {}).items():
        if seen.comment == place.comment:
            return number
    return ""
