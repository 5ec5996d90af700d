"""What a caller may ask of a run: DVC's keywords, and which of them keep stages from running side by side."""

import inspect
from dataclasses import asdict, fields

import pytest
from dvc.repo import Repo
from dvc.repo.reproduce import _reproduce, reproduce

from gliaflow.core.options import Options


def test_the_names_are_keywords_of_dvc() -> None:
    known = {name for one in (reproduce, _reproduce) for name in inspect.signature(inspect.unwrap(one)).parameters}
    known |= set(inspect.signature(inspect.unwrap(Repo.reproduce)).parameters)
    # as **kwargs, to dvc.stage.Stage.reproduce
    passed_on = {"allow_missing", "dry", "force", "interactive", "no_commit", "pull", "run_cache"}
    assert {field.name for field in fields(Options)} - known - passed_on == set()


def test_only_the_run_cache_is_on_by_itself() -> None:
    assert {name for name, value in asdict(Options()).items() if value is True} == {"run_cache"}
    assert Options().on_error == "fail"


def test_another_way_to_go_on_is_refused() -> None:
    with pytest.raises(AssertionError, match="on_error is 'explode'"):
        Options(on_error="explode")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "alone", "serial"),
    [
        (Options(), False, False),
        (Options(single_item=True), True, True),
        (Options(single_item=True, pipeline=True), False, False),
        (Options(single_item=True, all_pipelines=True), False, False),
        (Options(interactive=True), False, True),
    ],
)
def test_who_runs_alone_and_who_one_by_one(options: Options, alone: bool, serial: bool) -> None:
    assert (options.alone, options.serial) == (alone, serial)
