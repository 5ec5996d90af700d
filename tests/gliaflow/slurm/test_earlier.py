"""What the next run makes of jobs that earlier runs left, with programs in place of Slurm's."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from gliaflow.core.graph import Stage
from gliaflow.core.ports import NotYet, Task
from gliaflow.errors import UserError
from gliaflow.slurm.executor import SlurmExecutor
from gliaflow.slurm.kept import BELOW, Place
from tests.gliaflow.slurm.programs import Programs, task
from tests.support.fakes import Ear
from tests.support.repos import GLIAFLOW, Project, soon


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
    executor._cluster.close()
    os.close(executor._kept._lock)


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


def test_what_a_run_made_that_came_to_its_end_is_not_taken(root: Path, programs: Programs) -> None:
    """It is in the run-cache, or the run has given it up; only logs of what failed are kept."""
    for line, kept in (("echo made > out", 0), ("exit 3", 1)):
        executor, one = SlurmExecutor(), task(root, line)
        executor.check([one.stage])
        assert not executor.keeps(one)
        lease = executor.reserve(one.stage)
        assert lease
        executor.launch(one, lease).wait(Ear())
        executor.close()
        assert len([*(root / BELOW).glob("*/*/log")]) == kept
    assert len(programs.calls("sbatch")) == 2


def test_a_job_of_another_stage_that_writes_the_same_paths_ends_first(root: Path, programs: Programs) -> None:
    """The stage was renamed, say."""
    left_by_a_killed_run(root, "true", wait=False)
    programs.put("squeue", f"[ -s {programs.folder}/scancel.calls ] || echo '77|RUNNING|None|n1|x'")
    executor, one = SlurmExecutor(), replace(task(root, "true"), stage=Stage("renamed"))
    executor.check([one.stage])
    with pytest.raises(NotYet, match="job 77 of an earlier run is being cancelled"):
        executor.keeps(one)
    assert soon(lambda: programs.calls("scancel"))
    executor.close()


def test_two_runs_after_a_kill_do_not_take_the_same_job(root: Path, programs: Programs) -> None:
    left_by_a_killed_run(root, "true", wait=False)
    programs.put("squeue", "echo '77|RUNNING|None|n1|x'")
    first, one = SlurmExecutor(), task(root, "true")
    first.check([one.stage])
    second = "from gliaflow.slurm.executor import SlurmExecutor as S; from gliaflow.core.graph import Stage\n"
    second += "from gliaflow.core.ports import *; from gliaflow.core.report import Outcome; from pathlib import Path\n"
    second += "e = S(); s = Stage('s'); e.check([s])\n"
    second += "try: print(e.keeps(Task(s, Prepared(Outcome.RUN, key='key'))))\n"
    second += "except NotYet as reason: print(reason)\n"
    second += "e.close()"
    line = [sys.executable, "-c", second]
    other = subprocess.run(line, cwd=root, capture_output=True, text=True, check=True).stdout
    assert other == "job 77 of an earlier run is another run's by now\n"
    assert first.keeps(one)
    assert programs.calls("scancel") == []
    first.close()


def test_a_stage_does_not_run_here_while_its_job_does(project: Project, programs: Programs) -> None:
    programs.put("sbatch", "echo 77")
    programs.put("squeue", "echo '77|RUNNING|None|n1|x'")
    project.environment["PATH"] = f"{programs.folder}:{project.environment['PATH']}"
    project.pipeline({"s": {"cmd": "echo 1 > out", "outs": ["out"]}})
    line = [*GLIAFLOW, "repro", "--slurm", "--no-prefect"]
    run = subprocess.Popen(line, cwd=project.root, env=project.environment)
    assert soon(lambda: [*(project.root / BELOW).glob("*/*/id")])
    run.kill()
    run.wait()
    told = project.gliaflow("repro", "--no-prefect", expect=2).stderr
    assert told == (
        "error: stage 's' still runs as job 77 of a run that was killed; "
        "`gliaflow repro --slurm` takes it over, `scancel 77` ends it\n"
    )
    programs.put("squeue", "")
    project.gliaflow("repro", "--no-prefect")


def own(root: Path, name: str, key: str = "key") -> Task:
    """A stage of this name, with an output of its own."""
    one = task(root, "true", key)
    return replace(one, stage=Stage(name), prepared=replace(one.prepared, outs=(str(root / name),)))


def packed_by_a_killed_run(root: Path, programs: Programs, number: str) -> tuple[Place, Place]:
    """Two stages in one job of a run that is there no more: `begun`, with which the job has begun, and `waits`."""
    executor = SlurmExecutor()
    executor.check([])
    places = [executor._written(own(root, name)) for name in ("begun", "waits")]
    for place in places:
        place.join(places[0])
        place.note_id(number)
    (places[0].folder / "job.json").rename(places[0].folder / "claimed.json")
    os.close(executor._kept._lock)
    programs.put("squeue", f"echo '{number}|RUNNING|None|n1|{places[0].comment}'")
    return places[0], places[1]


def test_of_a_job_that_stages_share_those_that_changed_are_ended_alone(root: Path, programs: Programs) -> None:
    begun, waits = packed_by_a_killed_run(root, programs, "77")
    executor, tasks = SlurmExecutor(), {}
    for name in ("begun", "waits"):
        tasks[name] = own(root, name, "another")
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
    one = own(root, "waits")
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
