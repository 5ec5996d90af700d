"""Which stages DVC would reproduce, in which order, and what each waits for."""

from types import SimpleNamespace
from typing import Any

import pytest
from dvc.exceptions import DvcException
from dvc.repo import Repo

from gliaflow.core.options import Options
from gliaflow.workspace.plan import maker, planned, sources
from tests.support.repos import Project, copies


@pytest.fixture
def chain(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Three stages, one after another; the working directory is theirs."""
    project.write({"seed.txt": "1\n"})
    names = {"last": "middle", "middle": "first", "first": "seed"}
    project.pipeline({name: copies(f"{source}.txt", f"{name}.txt") for name, source in names.items()})
    monkeypatch.chdir(project.root)
    return project


def found(targets: list[str], **flags: bool) -> dict[str, list[str]]:
    """The planned stages and their upstreams."""
    with Repo() as repo:
        steps = planned(repo, targets, Options(**flags), print)  # type: ignore[arg-type]
        return {stage.addressing: [one.addressing for one in upstreams] for stage, upstreams in steps.items()}


@pytest.mark.usefixtures("chain")
def test_upstreams_come_first_and_targets_end_the_plan() -> None:
    assert found([]) == {"first": [], "middle": ["first"], "last": ["middle"]}
    assert list(found([])) == ["first", "middle", "last"]
    assert list(found(["middle"])) == ["first", "middle"]
    assert list(found(["first"], pipeline=True)) == ["first", "middle", "last"]
    assert found(["middle"], downstream=True) == {"middle": ["first"], "last": ["middle"]}
    assert found(["last", "first"], single_item=True) == {"last": [], "first": []}


@pytest.mark.usefixtures("chain")
def test_a_name_that_is_nearly_right_is_answered_with_the_nearest() -> None:
    with pytest.raises(DvcException) as caught:
        found(["midle"])
    assert caught.value.__notes__ == ["the nearest names are 'middle'"]


def test_what_makes_a_path_is_found(chain: Project) -> None:
    with Repo() as repo:
        assert maker(repo, str(chain.root / "middle.txt")) == "middle"
        assert maker(repo, str(chain.root / "seed.txt")) is None


def stage(reads: list[str], makes: list[str], cmd: str | None = "true") -> Any:
    """By its paths."""
    deps = [SimpleNamespace(fs_path=path, fs=True, protocol="local") for path in reads]
    return SimpleNamespace(deps=deps, outs=[SimpleNamespace(fs_path=path) for path in makes], cmd=cmd)


def test_sources_are_what_is_read_and_neither_made_nor_above_or_below_what_is() -> None:
    stages = [
        stage(["/r/seed", "/r/folder"], ["/r/made"]),
        stage(["/r/made/inner", "/r/other"], ["/r/folder/out"]),
        stage(["/r/data"], [], cmd=None),
    ]
    assert sources(stages) == {"/r/seed", "/r/other"}
