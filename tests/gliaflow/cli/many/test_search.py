"""`gliaflow search`: what a person sees, and the page of figures."""

import pytest

from tests.gliaflow.experiments.search.searched import line, searched
from tests.support.repos import Project


@pytest.fixture
def ready(project: Project) -> Project:
    return searched(project)


def test_lines_a_table_and_the_experiment(ready: Project) -> None:
    output = ready.gliaflow(*line("-n", "winner", "--figures", "page.html", population=4, generations=2)).stdout
    lines = output.splitlines()
    assert lines[0] == "data: ran"
    assert "loss " in lines[1]
    table = next(place for place, one in enumerate(lines) if one.startswith("experiment"))
    assert lines[table].split() == ["experiment", "x", "n", "loss", "epochs", "time"]
    assert lines[table + 1].endswith("best")
    assert lines[-2].startswith("trained ")
    assert lines[-1] == "the best became experiment winner; to have it here: dvc exp apply winner"
    assert "loss of 8 individuals" in (ready.root / "page.html").read_text()


def test_quiet_and_without_an_experiment(ready: Project) -> None:
    ended = ready.gliaflow(*line("-q", "--no-experiment", population=2, generations=1))
    assert (ended.stdout, ended.stderr) == ("", "")
    assert ready.run("git", "for-each-ref", "refs/exps").stdout == ""


def test_a_space_that_is_not_there(ready: Project) -> None:
    ended = ready.gliaflow("search", "train", "nowhere.yaml", "--metric", "loss", expect=2)
    assert ended.stderr == "error: nowhere.yaml: No such file or directory\n"
