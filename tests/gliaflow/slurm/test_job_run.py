"""What becomes of a job that left no file of its end, by what Slurm says of it."""

from pathlib import Path

import pytest

from gliaflow.core.graph import Stage
from gliaflow.core.ports import Commands, Ended, Prepared, Task
from gliaflow.core.report import Message, Outcome
from gliaflow.core.settings import Settings
from gliaflow.slurm import job_run
from gliaflow.slurm.job_run import JobRun
from gliaflow.slurm.kept import Kept, Place, Whose
from gliaflow.slurm.packs import Packs
from gliaflow.slurm.site import cluster
from gliaflow.slurm.site.cluster import Cluster
from gliaflow.slurm.site.profile import Profile
from tests.gliaflow.slurm.programs import Programs
from tests.support.fakes import Ear


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A job that was submitted, on a clock that is not the users'."""
    monkeypatch.setattr(cluster, "LEAST_SECONDS", 0.2)
    monkeypatch.setattr(job_run, "SOON_SECONDS", 0.2)
    monkeypatch.setattr(job_run, "LATE_SECONDS", {"COMPLETED": 0.4, "FAILED": 0.4, "": 0.4})
    Programs(tmp_path, monkeypatch).put("sbatch", "echo 12")
    kept = Kept(tmp_path, "aaaa")
    kept.open()
    return kept.new(Whose("s", "key"))


def waited(place: Place, bad: set[str], ear: Ear) -> Ended:
    task = Task(
        Stage("s", (), Settings(mem=(1 << 30,), retry_delay=7)),
        Prepared(Outcome.RUN, commands=Commands(["true"], [["true"]], ".")),
    )
    watch = Cluster([place.name])
    try:
        return JobRun(task, watch, Packs(Profile(), {}), lambda: place, None, bad).wait(ear)
    finally:
        watch.close()


@pytest.mark.parametrize(
    ("state", "words", "again", "bad"),
    [
        ("TIMEOUT", "ran longer than its limit of time allowed on n1", True, []),
        ("OUT_OF_MEMORY", "needed more memory than the 1 GB of meta.mem on n1", True, []),
        ("PREEMPTED", "was ended for a job that is worth more on n1", True, []),
        ("NODE_FAIL", "was lost with its node on n1", True, ["n1"]),
        ("CANCELLED", "was cancelled by somebody", False, []),
        ("COMPLETED", "has gone and told nothing of its end on n1", True, []),
        ("FAILED", "ended on n1 before its commands began: look at setup and python of the profile", True, []),
    ],
)
def test_each_state_means_what_it_means(
    tmp_path: Path, place: Place, monkeypatch: pytest.MonkeyPatch, state: str, words: str, again: bool, bad: list[str]
) -> None:
    Programs(tmp_path, monkeypatch).put("squeue", f"echo '12|{state}|None|n1|1 aaaa'")
    found, ear = set[str](), Ear()
    ended = waited(place, found, ear)
    assert str(ended.error) == f"its job 12 {words}"
    assert (ended.again, ended.delay, found) == (again, 7, set(bad))


def test_a_job_that_is_not_listed_any_more_is_lost(
    tmp_path: Path, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = Programs(tmp_path, monkeypatch)
    programs.put("squeue", f"[ $(wc -l < {programs.folder}/squeue.calls) -gt 1 ] || echo '12|RUNNING|None|n1|1 aaaa'")
    ended = waited(place, set(), Ear())
    assert "has gone and told nothing of its end" in str(ended.error)
    assert ended.again


def test_what_the_job_itself_printed_is_told_with_its_file(
    tmp_path: Path, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place.folder / "out").write_text("module: command not found\nslurmstepd: error: *** CANCELLED ***\n")
    Programs(tmp_path, monkeypatch).put("squeue", "echo '12|NODE_FAIL|None|n1|1 aaaa'")
    text = str(waited(place, set(), Ear()).error)
    assert "slurmstepd: error: *** CANCELLED ***" in text
    assert str(place.folder / "out") in text


def test_a_job_that_waits_long_tells_why(tmp_path: Path, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_run, "LATE_WORD_SECONDS", 0.5)
    programs = Programs(tmp_path, monkeypatch)
    few = f"[ $(wc -l < {programs.folder}/squeue.calls) -gt 8 ]"
    programs.put("squeue", f"{few} && echo '12|CANCELLED|None||1 aaaa' || echo '12|PENDING|Resources||1 aaaa'")
    ear = Ear()
    waited(place, set(), ear)
    told = [event.text for event in ear.events if isinstance(event, Message)]
    assert told == ["s waits in the queue as job 12 (Resources)"]
