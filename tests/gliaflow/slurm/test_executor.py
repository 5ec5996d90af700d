"""Stages as jobs, with programs in place of Slurm's that start a job at once: what is asked of them, and how often.

The real Slurm is in tests/behaviour/test_slurm.py.
"""

import json
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from gliaflow.core.graph import Stage
from gliaflow.core.ports import Task
from gliaflow.core.report import Line
from gliaflow.core.settings import Settings
from gliaflow.errors import UserError
from gliaflow.slurm.executor import SlurmExecutor, environment
from gliaflow.slurm.kept import BELOW
from tests.gliaflow.slurm.programs import Programs, task
from tests.support.fakes import Ear
from tests.support.patience import PATIENCE
from tests.support.repos import GLIAFLOW, Project, soon


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


def test_a_stage_is_told_how_many_cpus_it_has(root: Path, programs: Programs) -> None:
    """Not those that it asked for, where no node has so many."""
    programs.put("sinfo", "echo '2 4000 (null)'")
    executor, one = SlurmExecutor(), task(root, "echo $SLURM_CPUS_PER_TASK > out", settings=Settings(cpus=64))
    executor.check([one.stage])
    lease = executor.reserve(one.stage)
    assert lease
    assert executor.launch(one, lease).wait(Ear()).error is None
    executor.close()
    assert (root / "out").read_text() == "2\n"


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


def test_a_run_that_is_interrupted_twice_while_it_submits_leaves_nothing_to_do(
    project: Project, programs: Programs
) -> None:
    programs.put("sbatch", 'sleep 3; sh "$2" > /dev/null 2>&1 < /dev/null & wait; echo 1')
    project.environment["PATH"] = f"{programs.folder}:{project.environment['PATH']}"
    project.pipeline({"s": {"cmd": "touch begun", "outs": ["out"]}})
    run = subprocess.Popen([*GLIAFLOW, "repro", "--slurm", "--no-prefect"], cwd=project.root, env=project.environment)
    assert soon(lambda: programs.calls("sbatch"))
    for _ in range(2):
        run.send_signal(signal.SIGINT)
        time.sleep(0.3)
    assert run.wait(PATIENCE) != 0
    time.sleep(4)
    assert not (project.root / "begun").exists()


def test_the_script_of_a_stage_can_be_seen_before_anything_runs(root: Path) -> None:
    (root / ".gliaflow").mkdir()
    (root / ".gliaflow/slurm.toml").write_text('partition = "gpu"\n')
    text = SlurmExecutor().shows(Stage("train", (), Settings(cpus=4, mem=(1 << 30,))), "/a/place")
    for line in ("# stage train", "#SBATCH --cpus-per-task=4", "#SBATCH --mem=1024M", "#SBATCH --partition=gpu"):
        assert line in text.splitlines()
    assert "#SBATCH --chdir=/a/place" in text
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
