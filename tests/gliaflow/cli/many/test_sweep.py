"""`gliaflow sweep`: what it prints, the page of figures, and its exit codes."""

import json
from collections.abc import Callable

import pytest

from tests.support.repos import Project


@pytest.fixture
def ready(project: Project) -> Project:
    project.write({"params.yaml": "a: 1\nb: 2\n"})
    acc = "echo {\\\"acc\\\": $(sed -n 's/a: //p' params.yaml)} > m.json"
    fails = "if grep -q 'a: 3' params.yaml; then echo bad luck; exit 1; fi"
    stage = {"cmd": [fails, acc], "params": ["a", "b"], "metrics": [{"m.json": {"cache": False}}]}
    project.pipeline({"one": stage})
    project.commit()
    return project


Swept = Callable[..., tuple[str, str]]


@pytest.fixture
def swept(ready: Project) -> Swept:
    def call(*flags: str, expect: int = 0) -> tuple[str, str]:
        ended = ready.gliaflow("sweep", "--no-prefect", *flags, expect=expect)
        return ended.stdout, ended.stderr

    return call


def test_lines_a_table_and_the_best(swept: Swept) -> None:
    output, errors = swept("-S", "a=1,2", "-S", "b=5", "-n", "x", "--metric", "acc")
    assert errors == ""
    lines = output.splitlines()
    assert sorted(line.split("  ")[1] for line in lines[:2]) == ["x-1", "x-2"]
    assert lines[2].split() == ["experiment", "a", "acc", "time"]
    assert [lines[3].split()[:3], lines[4].split()[:3]] == [["x-2", "2", "2"], ["x-1", "1", "1"]]
    assert lines[3].endswith("best")
    assert lines[5] == "the best acc is that of x-2; to have it here: dvc exp apply x-2"


def test_a_metric_that_nobody_has(swept: Swept) -> None:
    output, _ = swept("-S", "a=1", "--metric", "loss")
    assert output.splitlines()[-1] == "no experiment has a metric 'loss'"


def test_failures(swept: Swept) -> None:
    output, errors = swept("-S", "a=1,3", "-n", "x", expect=1)
    assert output.splitlines()[-2:] == ["x-2 (a=3) failed: stage 'one': exited with 1: bad luck", "    bad luck"]
    assert errors == "error: 1 of 2 experiments failed; the same command tries these again\n"


def test_what_the_user_must_change_in_each_is_exit_2(ready: Project, swept: Swept) -> None:
    ready.pipeline({"one": {"cmd": "no-such-program", "params": ["a"]}})
    ready.commit()
    _, errors = swept("-S", "a=1,2", expect=2)
    assert errors == "error: 2 of 2 experiments failed; the same command tries these again\n"


def test_for_a_program_and_quietly(swept: Swept) -> None:
    output, _ = swept("-S", "a=1,2", "-n", "x", "--json", "--metric", "acc", "--minimize")
    told = json.loads(output)
    assert told["best"] == "x-1"
    assert [one["metrics"] for one in told["experiments"]] == [{"m.json": {"acc": 1}}, {"m.json": {"acc": 2}}]
    assert swept("-S", "a=1,2", "-q") == ("", "")


def test_figures(ready: Project, swept: Swept) -> None:
    swept("-S", "a=1,2", "-q", "--figures", "page.html")
    assert "m.json:acc of 2 experiments" in (ready.root / "page.html").read_text()
    _, errors = swept("-S", "a=1,2", "--figures", "nowhere/page.html", expect=2)
    assert errors == "error: --figures nowhere/page.html: name an HTML file in a folder that is there\n"


def test_rows_of_a_file(ready: Project, swept: Swept) -> None:
    ready.write({"rows.csv": "a,b\n1,5\n2,6\n"})
    output, _ = swept("--rows", "rows.csv", "--json")
    assert [one["params"] for one in json.loads(output)["experiments"]] == [{"a": "1", "b": "5"}, {"a": "2", "b": "6"}]
