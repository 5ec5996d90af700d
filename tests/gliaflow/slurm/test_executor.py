"""Stages as jobs, with programs in place of Slurm's that start a job at once: what is asked of them, and how often.

The real Slurm is in tests/behaviour/test_slurm.py.
"""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from gliaflow.core.graph import Stage
from gliaflow.core.ports import Commands, NotYet, Prepared, Task
from gliaflow.core.report import Line, Outcome
from gliaflow.core.settings import Settings
from gliaflow.errors import UserError
from gliaflow.slurm.executor import SlurmExecutor, environment
from gliaflow.slurm.kept import BELOW, Place
from tests.gliaflow.slurm.programs import Programs
from tests.support.fakes import Ear
from tests.support.repos import Project, soon

BANNER = 'echo "*** Welcome to the cluster, 12 nodes are down ***"'


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    """A cluster of this host: a site's banner at each submission, and a squeue that fails every third time."""
    made = Programs(tmp_path, monkeypatch)
    number = f"$(wc -l < {made.folder}/sbatch.calls)"
    made.put(
        "sbatch", f'{BANNER}; shift; sh "$1" > /dev/null 2>&1 < /dev/null & echo; echo {number}; echo "*** Bye ***"'
    )
    made.put("squeue", f"n=$(wc -l < {made.folder}/squeue.calls); [ $((n % 3)) = 0 ] && exit 1; exit 0")
    made.put("scancel", "exit 0")
    return made


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that looks like a DVC repository, to be in."""
    made = tmp_path / "repository"
    (made / ".dvc").mkdir(parents=True)
    monkeypatch.chdir(made)
    return made


def task(root: Path, line: str, key: str = "key", settings: Settings | None = None, **more: object) -> Task:
    commands = Commands([line], [["/bin/sh", "-c", line]], str(root), {"DVC_STAGE": "s"})
    prepared = Prepared(Outcome.RUN, commands=commands, key=key, outs=(str(root / "out"),))
    return Task(Stage("s", (), settings or Settings()), prepared, **more)  # type: ignore[arg-type]


@pytest.mark.usefixtures("programs")
def test_a_job_that_ends_well_told_its_lines(root: Path) -> None:
    executor, ear = SlurmExecutor(), Ear()
    one = task(root, "echo hello $DVC_STAGE; printf half")
    executor.check([one.stage])
    lease = executor.reserve(one.stage)
    assert lease
    assert not executor.keeps(one)
    ended = executor.launch(one, lease).wait(ear)
    assert ended.error is None
    assert ended.used
    assert [one.text for one in ear.events if isinstance(one, Line) and one.whole] == ["hello s", "half"]
    executor.close()


@pytest.mark.usefixtures("programs")
@pytest.mark.parametrize(("code", "again"), [(3, False), (75, True)])
def test_an_exit_code_means_what_it_means_on_this_host(root: Path, code: int, again: bool) -> None:
    executor, one = SlurmExecutor(), task(root, f"exit {code}")
    executor.check([one.stage])
    lease = executor.reserve(one.stage)
    assert lease
    ended = executor.launch(one, lease).wait(Ear())
    assert f"exited with {code}" in str(ended.error)
    assert ended.again is again
    executor.close()


def test_a_run_of_many_asks_once_a_job_and_seldom_for_all(project: Project, programs: Programs) -> None:
    """Banners do not matter, nor a squeue that fails every third time."""
    project.environment["PATH"] = f"{programs.folder}:{project.environment['PATH']}"
    project.pipeline({f"s{n}": {"cmd": f"sleep 1; echo {n} > o{n}", "outs": [f"o{n}"]} for n in range(12)})
    told = project.gliaflow("repro", "--slurm", "--no-prefect", "--json")
    report = json.loads(told.stdout)
    assert {one["outcome"] for one in report["stages"]} == {"run"}
    assert len(programs.calls("sbatch")) == 12
    assert len(programs.calls("squeue")) <= 20
    assert programs.calls("scancel") == []


def test_without_commit_outputs_stay_out_of_the_cache_as_on_this_host(project: Project, programs: Programs) -> None:
    project.environment["PATH"] = f"{programs.folder}:{project.environment['PATH']}"
    project.pipeline({"s": {"cmd": "echo 1 > out", "outs": ["out"]}})
    here = project.copy(project.root.parent / "here")
    here.gliaflow("repro", "--no-prefect", "--no-commit")
    project.gliaflow("repro", "--slurm", "--no-prefect", "--no-commit")
    assert project.left() == here.left()
    assert not [*(project.root / ".dvc/cache/files").rglob("*")]
    assert len(programs.calls("sbatch")) == 1


def test_the_audit_looks_at_python_programs_on_other_nodes(project: Project, programs: Programs) -> None:
    project.environment["PATH"] = f"{programs.folder}:{project.environment['PATH']}"
    project.write({"work.py": "open('out', 'w').write(open('other').read())\n", "other": "1\n"})
    line = f"{sys.executable} work.py"
    project.pipeline(
        {"s": {"cmd": line, "deps": ["work.py"], "outs": ["out"]}, "t": {"cmd": "cat other > two", "outs": ["two"]}}
    )
    told = project.gliaflow("repro", "--slurm", "--no-prefect", "--audit", "--json")
    stages = {one["stage"]: one for one in json.loads(told.stdout)["stages"]}
    assert stages["s"]["undeclared"] == {"read": ["other"], "wrote": []}
    assert "t: only its Python programs were looked at" in told.stderr
    assert len(programs.calls("sbatch")) == 2


def test_what_a_stage_takes_is_not_how_long_it_waits_in_the_queue(project: Project, programs: Programs) -> None:
    programs.put("sbatch", '(sleep 4; sh "$2") > /dev/null 2>&1 < /dev/null & echo 1')
    project.environment["PATH"] = f"{programs.folder}:{project.environment['PATH']}"
    project.pipeline({"s": {"cmd": "echo 1 > out", "outs": ["out"]}})
    (stage,) = json.loads(project.gliaflow("repro", "--slurm", "--no-prefect", "--json").stdout)["stages"]
    assert stage["seconds"] < 4
    (kept,) = (project.root / ".dvc/tmp/gliaflow/runs").glob("seconds.json")
    assert json.loads(kept.read_text())["s"] < 4


def test_short_stages_that_are_ready_together_share_jobs(project: Project, programs: Programs) -> None:
    """What they leave is what they leave alone; of one that fails, the others know nothing."""
    programs.put("sinfo", "echo '2 4000 (null)'")
    project.environment["PATH"] = f"{programs.folder}:{project.environment['PATH']}"
    project.write({".gliaflow/slurm.toml": 'pack = "20m"\n'})
    project.pipeline({f"s{n}": {"cmd": f"echo {n} > o{n}; exit {int(n == 3)}", "outs": [f"o{n}"]} for n in range(30)})
    told = project.gliaflow("repro", "--slurm", "--no-prefect", "--keep-going", "--json", expect=1)
    report = json.loads(told.stdout)
    assert [one["stage"] for one in report["stages"] if one["outcome"] == "failed"] == ["s3"]
    assert [one["outcome"] for one in report["stages"]].count("run") == 29
    assert len(programs.calls("sbatch")) <= 3
    assert (project.root / "o29").read_text() == "29\n"


def test_a_stage_leaves_a_job_in_which_another_takes_far_longer_than_thought(root: Path, programs: Programs) -> None:
    """A twentieth of `pack` is thought of it, here 0.1 s; the second then gets a job of its own."""
    programs.put("sinfo", "exit 1")
    (root / ".gliaflow").mkdir()
    (root / ".gliaflow/slurm.toml").write_text('pack = "2s"\n')
    executor, ear = SlurmExecutor(), Ear()
    slow = task(root, "while [ ! -e second ]; do sleep 0.1; done")
    quick = replace(task(root, "touch second"), stage=Stage("quick"))
    executor.check([slow.stage, quick.stage])
    runs = []
    for one in (slow, quick):
        lease = executor.reserve(one.stage)
        assert lease
        runs.append(executor.launch(one, lease))
    with ThreadPoolExecutor() as pool:
        first = pool.submit(runs[0].wait, ear)
        assert soon(lambda: executor._packs._open)
        ended = runs[1].wait(ear)
        assert (first.result(20).error, ended.error) == (None, None)
    assert len(programs.calls("sbatch")) == 2
    executor.close()


@pytest.mark.usefixtures("programs")
def test_no_more_jobs_are_submitted_at_once_than_the_profile_allows(root: Path) -> None:
    (root / ".gliaflow").mkdir()
    (root / ".gliaflow/slurm.toml").write_text("jobs = 2\n")
    executor, stage = SlurmExecutor(), Stage("s")
    assert executor.ahead == 2
    first, second = executor.reserve(stage), executor.reserve(stage)
    assert first
    assert second
    assert executor.reserve(stage) is None
    first.release()
    assert executor.reserve(stage)


def left_by_a_killed_run(root: Path, line: str, key: str = "key", *, wait: bool) -> None:
    """The job of a run that noted its id, and then was there no more."""
    executor, one = SlurmExecutor(), task(root, line, key)
    executor.check([one.stage])
    lease = executor.reserve(one.stage)
    assert lease
    run = executor.launch(one, lease)
    if wait:
        assert run.wait(Ear()).error is None
    else:
        place = run._written()
        place.note_id("77")
    executor._left.clear()
    executor._cluster.close()
    executor._kept.close()


def test_what_a_killed_run_made_is_taken_and_not_made_again(root: Path, programs: Programs) -> None:
    left_by_a_killed_run(root, "echo x >> begun; echo made > out", wait=True)
    executor, one = SlurmExecutor(), task(root, "echo x >> begun; echo made > out")
    executor.check([one.stage])
    lease = executor.reserve(one.stage)
    assert lease
    assert executor.keeps(one)
    assert executor.launch(one, lease).wait(Ear()).error is None
    executor.close()
    assert (root / "begun").read_text() == "x\n"
    assert len(programs.calls("sbatch")) == 1


@pytest.mark.usefixtures("programs")
@pytest.mark.parametrize("other", ["key", "forced", "outputs"])
def test_it_is_made_again_if_anything_is_not_the_same(root: Path, other: str) -> None:
    left_by_a_killed_run(root, "echo made > out", wait=True)
    if other == "outputs":
        (root / "out").write_text("something of somebody's")
    executor = SlurmExecutor()
    one = task(root, "echo made > out", "another" if other == "key" else "key", forced=other == "forced")
    executor.check([one.stage])
    assert not executor.keeps(one)
    executor.close()
    assert not [*(root / BELOW).glob("*/*/")]


def test_a_job_that_makes_something_else_is_cancelled_before_the_stage_may_begin(
    root: Path, programs: Programs
) -> None:
    left_by_a_killed_run(root, "true", wait=False)
    programs.put("squeue", f"[ -s {programs.folder}/scancel.calls ] || echo '77|RUNNING|None|n1|1 x'")
    executor, one = SlurmExecutor(), task(root, "true", "another")
    executor.check([one.stage])
    with pytest.raises(NotYet, match="job 77 of an earlier run is being cancelled"):
        executor.keeps(one)
    executor.close()
    assert programs.calls("scancel")[0] == "77"


def test_a_job_that_is_not_wanted_any_more_is_cancelled_at_the_end(root: Path, programs: Programs) -> None:
    left_by_a_killed_run(root, "true", wait=False)
    programs.put("squeue", "echo '77|PENDING|None||1 x'")
    executor = SlurmExecutor()
    executor.check([Stage("s")])
    executor.close()
    assert programs.calls("scancel") == ["77"]


def test_jobs_of_which_nobody_can_tell_are_not_guessed_at(root: Path, programs: Programs) -> None:
    left_by_a_killed_run(root, "true", wait=False)
    programs.put("squeue", "exit 1")
    with pytest.raises(UserError, match="squeue does not answer"):
        SlurmExecutor().check([Stage("s")])


def packed_by_a_killed_run(root: Path, programs: Programs, number: str) -> tuple[Place, Place]:
    """Two stages in one job of a run that is there no more: `begun`, with which the job has begun, and `waits`."""
    executor = SlurmExecutor()
    executor.check([])
    places = [executor._written(replace(task(root, "true"), stage=Stage(name))) for name in ("begun", "waits")]
    for place in places:
        place.join(places[0])
        place.note_id(number)
    (places[0].folder / "job.json").rename(places[0].folder / "claimed.json")
    executor._kept.close()
    programs.put("squeue", f"echo '{number}|RUNNING|None|n1|{places[0].comment}'")
    return places[0], places[1]


def test_of_a_job_that_stages_share_those_that_changed_are_ended_alone(root: Path, programs: Programs) -> None:
    begun, waits = packed_by_a_killed_run(root, programs, "77")
    executor, tasks = SlurmExecutor(), {}
    for name in ("begun", "waits"):
        tasks[name] = replace(task(root, "true", "another"), stage=Stage(name))
    executor.check([one.stage for one in tasks.values()])
    with pytest.raises(NotYet, match="job 77 of an earlier run is being cancelled"):
        executor.keeps(tasks["begun"])
    assert (begun.folder / "stop").exists()
    assert not executor.keeps(tasks["waits"])
    assert not waits.folder.exists()  # so that its job has nothing to begin with
    executor.close()
    assert programs.calls("scancel") == []


def test_of_a_job_that_stages_share_those_that_are_the_same_are_taken_over(root: Path, programs: Programs) -> None:
    begun, waits = packed_by_a_killed_run(root, programs, "77")
    executor = SlurmExecutor()
    one = replace(task(root, "true"), stage=Stage("waits"))
    executor.check([one.stage])
    assert executor.keeps(one)
    lease = executor.reserve(one.stage)
    assert lease
    run = executor.launch(one, lease)
    ear = Ear()
    with ThreadPoolExecutor() as pool:
        ended = pool.submit(run.wait, ear)
        assert soon(lambda: ear.events)
        run.stop(15)
        assert isinstance(ended.result(20).error, InterruptedError)
    assert not (waits.folder / "job.json").exists()
    assert begun.folder.exists()
    executor.close()
    assert programs.calls("scancel") == []  # the other stage is not of this run


def test_the_script_of_a_stage_can_be_seen_before_anything_runs(root: Path) -> None:
    (root / ".gliaflow").mkdir()
    (root / ".gliaflow/slurm.toml").write_text('partition = "gpu"\n')
    text = SlurmExecutor().shows(Stage("train", (), Settings(cpus=4, mem=(1 << 30,))), "/work/place")
    for line in ("# stage train", "#SBATCH --cpus-per-task=4", "#SBATCH --mem=1024M", "#SBATCH --partition=gpu"):
        assert line in text.splitlines()
    assert "#SBATCH --chdir=/work/place" in text
    assert not (root / BELOW).exists()


def test_without_sbatch_nothing_begins(root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="sbatch is not on the PATH"):
        SlurmExecutor().check([Stage("s")])
    assert not (root / BELOW).exists()


def test_what_a_stage_has_beside_what_slurm_passes_on(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "hidden")
    one = task(root, "true", settings=Settings(threads=3))
    assert one.prepared.commands
    found = environment(Task(one.stage, one.prepared))
    assert found["DVC_STAGE"] == "s"
    assert found["OMP_NUM_THREADS"] == "3"
    assert "hidden" not in json.dumps(found)
