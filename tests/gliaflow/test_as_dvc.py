"""`dvc.repo.Repo.reproduce`: its keywords, and its errors."""

import inspect
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from dvc.exceptions import ReproductionError
from dvc.repo.reproduce import reproduce as dvc_reproduce
from dvc.stage.exceptions import StageCmdFailedError

from gliaflow import as_dvc
from gliaflow.core.options import Options
from gliaflow.core.report import Outcome, Report, StageResult
from gliaflow.errors import CommandFailed, UserError

FAILED = (
    StageResult("good", Outcome.RUN),
    StageResult("bad", Outcome.FAILED, error=CommandFailed("exit 3", 3)),
    StageResult("worse", Outcome.FAILED, error=UserError("no program")),
)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the engine is asked for; it runs nothing, and tells that `good` ran and two failed."""
    found: list[Any] = []

    def run(root: Path, targets: Any, options: Options, *others: Any) -> Report:
        found.append((root, targets, options, *others))
        return Report(FAILED if options.on_error != "ignore" else FAILED[:1], options.on_error)

    monkeypatch.setattr("gliaflow.as_dvc.api.run", run)
    return found


def test_the_keywords_of_dvc_are_flags() -> None:
    names = set(inspect.signature(inspect.unwrap(dvc_reproduce)).parameters) - {"self", "targets", "kwargs"}
    assert {"pipeline", "downstream", "glob"} <= names
    assert names - {field.name for field in fields(Options)} == set()


def test_flags_become_options_and_what_ran_comes_back(asked: list[Any]) -> None:
    assert as_dvc.reproduce("sub", "good", jobs=3, pools=True, force=True, on_error="ignore") == ["good"]
    assert asked == [("sub", "good", Options(force=True, on_error="ignore"), 3, ("pools",), None, False, True)]


@pytest.mark.usefixtures("asked")
def test_a_failure_is_dvcs_with_dvcs_cause() -> None:
    with pytest.raises(ReproductionError) as caught:
        as_dvc.reproduce(on_error=None)  # DVC takes it for "fail"
    assert str(caught.value) == "failed to reproduce 'bad'"
    assert isinstance(caught.value.__cause__, StageCmdFailedError)
    assert str(caught.value.__cause__) == "failed to run: exit 3, exited with 3"


@pytest.mark.usefixtures("asked")
def test_several_failures_have_the_first_as_context_alone() -> None:
    with pytest.raises(ReproductionError) as caught:
        as_dvc.reproduce(on_error="keep-going")
    assert str(caught.value) == "failed to reproduce stages: 'bad' and 'worse'"
    assert caught.value.__cause__ is None
    assert isinstance(caught.value.__context__, StageCmdFailedError)


def test_a_keyword_that_dvc_has_not_is_refused() -> None:
    with pytest.raises(TypeError, match="faster"):
        as_dvc.reproduce(faster=True)
