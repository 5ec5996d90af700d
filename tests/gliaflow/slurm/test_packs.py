"""Which stages share a job, and when it is submitted."""

import threading
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from gliaflow.core.graph import Stage
from gliaflow.core.ports import Commands, Prepared, Task
from gliaflow.core.report import Outcome
from gliaflow.core.settings import Settings
from gliaflow.slurm.kept import Kept, Whose
from gliaflow.slurm.packs import Job, Member, Packs
from gliaflow.slurm.site.commands import Refused
from gliaflow.slurm.site.profile import Profile
from tests.gliaflow.slurm.programs import Programs
from tests.support.repos import soon

NONE: Mapping[str, float] = {}


class Cluster:
    """Jobs that programs in place of Slurm's take."""

    def __init__(self, folder: Path, programs: Programs) -> None:
        self.programs, self._kept = programs, Kept(folder, "aaaa")
        self._kept.open()
        self.members = dict[str, Member]()
        self.stop = threading.Event()
        self._pool = ThreadPoolExecutor(200)

    def submit(self, packs: Packs, stages: Mapping[str, Settings]) -> list[Job]:
        """The jobs that these stages are in, submitted at once by a thread each."""
        return [one.result(20) for one in self.begin(packs, stages)]

    def begin(self, packs: Packs, stages: Mapping[str, Settings], alone: bool = False) -> list["Future[Job]"]:
        """As `submit`, without waiting."""
        found = []
        for name, settings in stages.items():
            prepared = Prepared(Outcome.RUN, commands=Commands([name], [[name]], "/"))
            member = Member(Task(Stage(name, (), settings), prepared), self._kept.new(Whose(name)), alone=alone)
            self.members[name] = member
            found.append(self._pool.submit(packs.submitted, member, self.stop))
        return found

    def script(self, job: Job) -> str:
        """What was submitted."""
        return (job.members[0].place.folder / "script.sh").read_text()


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """Nodes of four CPUs and 8 GB."""
    programs = Programs(tmp_path, monkeypatch)
    programs.put("sbatch", "echo $$")  # another number each time
    programs.put("sinfo", "echo 4 8000 gpu:1")
    programs.put("squeue", "")
    return Cluster(tmp_path, programs)


def sizes(jobs: list[Job]) -> list[int]:
    """How many stages each job has, the most first."""
    return sorted((len(job.members) for job in {id(job): job for job in jobs}.values()), reverse=True)


def alike(number: int, settings: Settings | None = None) -> dict[str, Settings]:
    return {f"s{n}": settings or Settings() for n in range(number)}


def test_without_pack_each_stage_is_a_job(cluster: Cluster) -> None:
    jobs = cluster.submit(Packs(Profile(), NONE), alike(5))
    assert sizes(jobs) == [1] * 5
    assert len({job.id for job in jobs}) == 5
    assert not cluster.programs.calls("sinfo")
    assert not cluster.members["s0"].place.packed


def test_stages_that_are_ready_together_share_a_job(cluster: Cluster) -> None:
    jobs = cluster.submit(Packs(Profile(pack="20m"), NONE), alike(5))
    assert sizes(jobs) == [5]
    assert len(cluster.programs.calls("sbatch")) == 1
    assert len(cluster.programs.calls("sinfo")) == 1
    assert {member.place.id for member in cluster.members.values()} == {jobs[0].id}
    assert {member.place.comment for member in cluster.members.values()} == {jobs[0].members[0].place.comment}
    text = cluster.script(jobs[0])
    assert text.count("# stage s") == 5
    assert "--cpus-per-task=4" in text  # as the nodes have


def test_no_lane_has_more_than_twenty_and_no_job_more_lanes_than_a_node_has_room_for(cluster: Cluster) -> None:
    packs = Packs(Profile(pack="20m", mem="1M"), NONE)
    assert sizes(cluster.submit(packs, alike(200))) == [80, 80, 40]
    assert len(cluster.programs.calls("sbatch")) == 3


@pytest.mark.parametrize(
    ("settings", "profile", "width"),
    [
        (Settings(), Profile(pack="20m"), 4),
        (Settings(cpus=2), Profile(pack="20m"), 2),
        (Settings(cpus=3), Profile(pack="20m"), 1),
        (Settings(), Profile(pack="20m", pack_cpus=1), 1),
        (Settings(), Profile(pack="20m", mem="3000"), 2),
        (Settings(mem=(5 << 30,)), Profile(pack="20m"), 1),
        (Settings(gpus=1), Profile(pack="20m"), 1),
    ],
)
def test_how_many_run_at_once(cluster: Cluster, settings: Settings, profile: Profile, width: int) -> None:
    (job,) = {id(one): one for one in cluster.submit(Packs(profile, NONE), alike(6, settings))}.values()
    assert job.width == width
    assert f"--cpus-per-task={width * settings.cpus}" in cluster.script(job)


def test_a_job_asks_for_no_more_than_its_stages_need(cluster: Cluster) -> None:
    (job,) = cluster.submit(Packs(Profile(pack="20m"), NONE), alike(1))
    assert job.width == 1
    assert not job.members[0].place.packed


def test_where_no_node_is_known_stages_run_one_after_another(cluster: Cluster) -> None:
    cluster.programs.put("sinfo", "exit 1")
    jobs = cluster.submit(Packs(Profile(pack="20m"), NONE), alike(30))
    assert sizes(jobs) == [20, 10]
    assert jobs[0].width == 1


def test_stages_that_ask_for_something_else_are_in_another_job(cluster: Cluster) -> None:
    stages = {"a": Settings(), "b": Settings(), "c": Settings(cpus=2), "d": Settings(mem=(1 << 30,))}
    jobs = cluster.submit(Packs(Profile(pack="20m"), NONE), stages)
    assert sizes(jobs) == [2, 1, 1]
    assert jobs[0] is jobs[1]


def test_what_took_long_the_last_time_has_a_job_of_its_own(cluster: Cluster) -> None:
    known = {"s0": 5000.0, "s1": 3.0, "s2": 700.0, "s3": 700.0}
    packs = Packs(Profile(pack="20m", pack_cpus=1), known)
    jobs = dict(zip(alike(4), cluster.submit(packs, alike(4)), strict=True))
    assert len(jobs["s0"].members) == 1
    assert jobs["s2"] is not jobs["s3"]
    assert sizes([*jobs.values()]) == [2, 1, 1]


def test_timeouts_limit_a_job_whose_stages_all_have_one(cluster: Cluster) -> None:
    stages = {"a": Settings(timeout=50), "b": Settings(timeout=100), "c": Settings()}
    jobs = cluster.submit(Packs(Profile(pack="20m", pack_cpus=1), NONE), stages)
    assert sizes(jobs) == [2, 1]
    assert "--time=4" in cluster.script(jobs[0])  # 150 s, 20 s of grace, 60 s before the signal
    assert "--time" not in cluster.script(jobs[2])


def test_while_there_are_as_many_jobs_as_the_site_allows_stages_gather(cluster: Cluster) -> None:
    packs = Packs(Profile(pack="20m", jobs=1), NONE)
    (first,) = cluster.submit(packs, {"first": Settings()})
    waiting = cluster.begin(packs, alike(3))
    assert not soon(lambda: any(one.done() for one in waiting), 1.5)
    waiting += cluster.begin(packs, {"later": Settings()})
    packs.leave(cluster.members["first"], first)
    assert sizes([one.result(20) for one in waiting]) == [4]
    assert len(cluster.programs.calls("sbatch")) == 2


def test_a_job_that_is_refused_keeps_no_other_waiting(cluster: Cluster) -> None:
    refuse = "echo 'sbatch: error: Memory specification can not be satisfied' >&2; exit 1"
    cluster.programs.put("sbatch", f'grep -q mem=400 "$2" && {{ {refuse}; }} || echo $$')
    packs = Packs(Profile(pack="20m", jobs=1), NONE)
    (refused,) = cluster.begin(packs, {"big": Settings(mem=(400 << 20,))})
    with pytest.raises(Refused):
        refused.result(20)
    assert sizes(cluster.submit(packs, {"a": Settings()})) == [1]


def test_a_stage_gets_all_the_cpus_there_are_as_on_a_host(cluster: Cluster) -> None:
    packs = Packs(Profile(), NONE)
    (job,) = cluster.submit(packs, {"s": Settings(cpus=64)})
    assert "--cpus-per-task=4" in cluster.script(job)


def test_all_stages_of_a_job_that_is_refused_are(cluster: Cluster) -> None:
    cluster.programs.put("sbatch", "echo 'sbatch: error: invalid partition specified: x' >&2; exit 1")
    for one in cluster.begin(Packs(Profile(pack="20m"), NONE), alike(3)):
        with pytest.raises(Refused, match="invalid partition specified: x: look at partition"):
            one.result(20)


def test_a_job_that_is_too_wide_for_the_nodes_it_may_have_becomes_narrow(cluster: Cluster) -> None:
    """And so do those after it."""
    refuse = "echo 'sbatch: error: Requested node configuration is not available' >&2; exit 1"
    cluster.programs.put("sbatch", f'grep -q cpus-per-task=1 "$2" && echo $$ || {{ {refuse}; }}')
    packs = Packs(Profile(pack="20m"), NONE)
    jobs = cluster.submit(packs, alike(3))
    assert sizes(jobs) == [3]
    assert jobs[0].width == 1
    cluster.submit(packs, {f"t{n}": Settings() for n in range(3)})
    assert len(cluster.programs.calls("sbatch")) == 3


@pytest.mark.parametrize(
    ("nodes", "asked"),
    [("echo '4 8000 (null)'", 0), ("echo '4 8000 (null)'; echo '4 8000 gpu:a100:2'", 2), ("exit 1", 2)],
)
def test_where_no_node_has_a_gpu_stages_run_without(cluster: Cluster, nodes: str, asked: int) -> None:
    """As on a host without one; where nobody knows, Slurm is asked for it."""
    cluster.programs.put("sinfo", nodes)
    packs = Packs(Profile(), NONE)
    (job,) = cluster.submit(packs, {"s": Settings(gpus=2)})
    assert packs.asks(Stage("s", (), Settings(gpus=2))).gpus == asked
    assert (f"--gpus={asked}" in cluster.script(job)) is bool(asked)


def test_a_run_that_is_to_end_submits_nothing(cluster: Cluster) -> None:
    cluster.stop.set()
    jobs = cluster.submit(Packs(Profile(pack="20m"), NONE), alike(3))
    assert {job.id for job in jobs} == {""}
    assert not cluster.programs.calls("sbatch")


def test_where_all_lanes_take_far_longer_than_thought_nobody_waits() -> None:
    task = Task(Stage("s"), Prepared(Outcome.RUN))
    members = [Member(task, None, seconds=60.0) for _ in range(4)]  # type: ignore[arg-type]
    job = Job(members, width=2)
    members[0].began = 1000.0
    assert not job.overdue(1200.0)  # the other lane is free
    members[1].began = 1200.0
    assert [job.overdue(now) for now in (1300.0, 1320.0, 1321.0)] == [False, False, True]
    assert [job.near(member) for member in members] == [True, True, True, False]
    members[1].over = True
    assert not job.overdue(1400.0)
    assert job.near(members[3])
