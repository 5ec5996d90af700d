"""What a journal tells, as a page sees it; also a journal of before there were pages."""

from pathlib import Path

import pytest

from gliaflow.core.report import Output, Used
from gliaflow.page.facts import MetricFacts, facts
from tests.support.journals import BEGAN, written
from tests.support.runs import USED, began, ended, summary, told, whole


def test_a_stage_with_all_that_is_known_of_it(tmp_path: Path) -> None:
    run = whole(tmp_path, evil="evil")
    one = run.stages["fit@1"]
    assert (one.began, one.ended, one.seconds, one.outcome) == (BEGAN + 1, BEGAN + 4, 3.5, "RUN")
    assert one.commands == ["first", "echo evil"]
    assert one.slots == ("cpu-0", "gpu-GPU-1")
    assert one.used == Used(2.5, 1.75, 3 << 20, 1024, 0) == USED
    assert one.recorded.reads["seed.txt"] == "1" * 32
    assert one.recorded.parameters == {"rate": 0.1, "evil": "evil", "deep": {"a": [1, 2]}}
    assert one.recorded.outputs[1].drawn == {"x": "step", "y": "loss", "title": "evil"}
    assert run.seconds_of(one) == 3.0
    again = run.stages["fit@2"]
    assert (again.began, again.retries, again.commands) == (BEGAN + 1, ["evil"], ["make fit@2"])
    assert [stage.address for stage in run.unfinished()] == ["bad"]
    assert run.metrics[0] == MetricFacts("scores.json", "dice", 0.8125, 0.75, known=True)
    assert run.metrics[2] == MetricFacts("scores.json", "new", 3)
    assert run.commit == "c" * 40


def test_a_stage_that_goes_on_has_taken_what_is_known_by_now(tmp_path: Path) -> None:
    run = told(tmp_path, [began("a", 1), ended("b", 3)], {"a": [], "b": []})
    assert run.seconds_of(run.stages["a"]) == 2.0
    assert run.stages["b"].start == BEGAN + 2
    assert run.unfinished() == [run.stages["a"]]


def test_a_journal_of_an_older_gliaflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = written(tmp_path, tmp_path)
    lines = [line for line in path.read_text().splitlines() if '"versions"' not in line]
    row = '{"is": "metrics", "rows": [{"file": "a.json", "metric": "dice", "value": "0.5", "since HEAD": "+0.1"}]}'
    path.write_text("\n".join([*lines, row, ""]))
    run = facts(path)
    assert run.stages["one"].recorded.outputs == [Output("one.txt", "0123456789abcdef")]
    assert run.metrics == [MetricFacts("a.json", "dice", "0.5", change="+0.1")]
    assert (run.changed, run.commit, run.cache, run.locks) == (None, "", None, {})


def test_what_a_run_makes_itself_is_no_change_of_the_code(tmp_path: Path) -> None:
    run = whole(tmp_path)
    names = ["dvc.lock", "a/.gitignore", "figures/fit.png", "loss.tsv", "train.py", "figures.py", "data/"]
    run.versions = {"code": {"changed": names, "more": 2}}
    assert run.changed == ["train.py", "figures.py", "data/"]
    assert run.more_changed == 2


def test_records_that_hold_something_else_are_passed_over(tmp_path: Path) -> None:
    path = written(tmp_path, tmp_path, [summary(1)])
    with path.open("a") as file:
        file.write('{"is": "ended", "stage": "one", "recorded": 7, "outputs": [], "slots": "x"}\n')
        file.write('{"is": "metrics", "values": 3, "rows": null}\n{"is": "versions", "code": []}\n')
    run = facts(path)
    assert run.stages["one"].recorded.outputs == []
    assert run.changed is None
