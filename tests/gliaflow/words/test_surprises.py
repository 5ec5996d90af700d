"""Errors of Python where DVC stumbles over a value: told if the value is the user's, never if the bug is ours."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dvc.repo import Repo

from gliaflow import api
from gliaflow.store import runs
from gliaflow.words.surprises import place, surprise
from tests.support.repos import Project


def raised(action: Callable[[], object]) -> Exception:
    with pytest.raises(Exception) as caught:  # noqa: PT011
        action()
    return caught.value


@pytest.fixture
def broken(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    project.write({"dvc.yaml": "vars:\n- day: 2020-01-01\nstages:\n  a:\n    cmd: echo ${day}\n"})
    monkeypatch.chdir(project.root)
    return project


def test_a_value_of_the_user_is_told_with_its_place(broken: Project) -> None:
    error = raised(lambda: Repo(str(broken.root)).index.stages)
    assert place(error) == "'dvc.yaml'"
    assert surprise(error) == (
        "'dvc.yaml': Unsupported value of type 'date' in 'vars[0]:day', line 2; write 2020-01-01 in quotes"
    )


def test_a_bug_of_ours_keeps_its_traceback(broken: Project, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one in what DVC calls of ours while it reads."""

    def bug(*_: object, **__: object) -> Any:
        raise TypeError("a bug")

    assert surprise(raised(bug)) is None
    project.write({"dvc.yaml": "stages:\n  a:\n    cmd: 'true'\n"})
    monkeypatch.setattr("gliaflow.workspace.workspace.planned", bug)
    with pytest.raises(TypeError, match="a bug"):
        api.reproduce(broken.root, prefect=False)
    monkeypatch.undo()
    monkeypatch.chdir(broken.root)
    monkeypatch.setattr(runs, "names", bug)
    monkeypatch.setattr("dvc.stage.cache._get_stage_hash", lambda stage: runs.knows(stage))
    stage = next(iter(Repo(str(broken.root)).index.stages))
    assert surprise(raised(lambda: stage.repo.stage_cache._load(stage))) is None


def test_a_lock_that_dvc_loses_is_no_matter_of_the_users_files(
    broken: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken.write({"dvc.yaml": "stages:\n  a:\n    cmd: 'true'\n"})
    monkeypatch.setattr("dvc.rwlock._edit_rwlock", lambda *_: dict[str, str]()["write"])
    repo = Repo(str(broken.root))
    stage = next(iter(repo.index.stages))
    with repo.lock:
        error = raised(stage.changed)
    assert isinstance(error, KeyError)
    assert surprise(error) is None


def test_where_nothing_is_known_nothing_is_told(tmp_path: Path) -> None:
    error = raised(lambda: int(str(tmp_path)))
    assert (place(error), surprise(error)) == ("", None)
