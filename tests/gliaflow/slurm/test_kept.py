"""What runs keep of their jobs: nothing of a run that lives is taken, and nothing whole is taken for broken."""

import os
from pathlib import Path

import pytest

from gliaflow.slurm.kept import BELOW, WITHDRAWN, Kept, Place, Whose
from gliaflow.slurm.wrapper import ENDED, STOP, WORK, End, replace, signature


def end(code: int, *outs: Path) -> End:
    told: End = {
        "exit": {"code": code, "command": "c", "timed_out": False, "left": 0},
        "place": 0,
        "node": "n",
        "job": "1",
        "when": 0.0,
        "signalled": False,
        "outs": [signature(path) for path in outs],
    }
    return told


@pytest.fixture
def old(tmp_path: Path) -> Place:
    """A job of a run that has ended."""
    run = Kept(tmp_path, "aaaa")
    run.open()
    made = run.new(Whose("train", "key", (str(tmp_path / "out"),)))
    os.close(run._lock)  # as where it was killed
    return made


def test_jobs_of_runs_that_have_ended_are_found_and_no_others(tmp_path: Path, old: Place) -> None:
    other = Kept(tmp_path, "bbbb")
    other.open()
    other.new(Whose("other", "key"))
    mine = Kept(tmp_path, "cccc")
    mine.open()
    mine.new(Whose("mine", "key"))
    assert [place.whose for place in mine.left()] == [old.whose]
    (found,) = mine.left()
    assert (found.name, found.comment, found.id) == ("gliaflow-aaaa", "1 aaaa", "")
    found.note_id("17")
    assert found.id == "17"
    os.close(other._lock)
    assert [place.whose.address for place in mine.left()] == ["train", "other"]


def test_a_job_that_a_run_has_taken_over_is_no_other_runs(tmp_path: Path, old: Place) -> None:
    mine = Kept(tmp_path, "cccc")
    mine.open()
    assert [*mine.left()] == [old]
    assert old.hold()
    assert not Place(old.folder, old.whose).hold()


def test_a_job_is_whole_if_it_ended_well_and_its_outputs_are_as_they_were(tmp_path: Path, old: Place) -> None:
    out = tmp_path / "out"
    assert old.ended() is None
    out.write_text("made")
    told = end(0, out)
    replace(old.folder / ENDED, "{broken")
    assert old.ended() is None
    import json

    replace(old.folder / ENDED, json.dumps(told))
    assert old.ended() == told
    assert old.whole(told)
    assert not old.whole(end(1, out))
    out.write_text("else")
    assert not old.whole(told)
    out.unlink()
    assert not old.whole(told)


def test_folders_without_jobs_are_removed(tmp_path: Path, old: Place) -> None:
    mine = Kept(tmp_path, "cccc")
    mine.open()
    mine.close()
    assert sorted(path.name for path in (tmp_path / BELOW).iterdir()) == ["aaaa"]
    old.remove()
    again = Kept(tmp_path, "dddd")
    again.open()
    again.close()
    assert not [*(tmp_path / BELOW).iterdir()]


def test_a_stage_is_taken_from_its_job_by_whoever_is_first(old: Place) -> None:
    (old.folder / WORK).touch()
    assert [old.withdrawn, old.withdraw(), old.withdraw()] == [False, True, False]
    assert (old.folder / WITHDRAWN).exists()
    assert not (old.folder / WORK).exists()
    old.end()
    assert (old.folder / STOP).exists()


def test_stages_that_share_a_job_are_told_from_other_jobs_by_its_first(tmp_path: Path) -> None:
    run = Kept(tmp_path, "bbbb")
    run.open()
    first, second = run.new(Whose("a", "key")), run.new(Whose("b", "key"))
    assert (first.packed, second.packed, second.comment) == (False, False, "2 bbbb")
    for place in (first, second):
        place.join(first)
    assert (first.packed, second.packed) == (True, True)
    assert (first.comment, second.comment) == ("1 bbbb", "1 bbbb")
