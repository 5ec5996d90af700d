"""One experiment in this process, with a run of its own in place of the pipeline's."""

import json
import os
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from gliaflow.core.options import Options, Part
from gliaflow.core.ports import Listener
from gliaflow.core.report import Outcome, Report, StageResult
from gliaflow.errors import BadInput, UserError
from gliaflow.experiments.ledger import Ledger
from gliaflow.experiments.making import experiment
from gliaflow.experiments.making.experiment import Order, failed, perform
from gliaflow.experiments.making.runner import Teller
from gliaflow.experiments.making.setting import Setting, Wanted
from gliaflow.experiments.making.workspaces import ExperimentWorkspace
from gliaflow.experiments.results import Experiment, Fate
from gliaflow.machine.git import git
from tests.support.repos import Project

ORDER = Order("key", "name", {"params.yaml": ["a=2"]}, {"a": "2"})


class Ran:
    """Stands for the run: notes what it was given, writes the stage's output, and gives this report."""

    def __init__(self, *results: StageResult) -> None:
        self.results, self.seen = results or (StageResult("one", Outcome.UNCHANGED),), list[dict[str, Any]]()

    def __call__(self, root: Path, wanted: Wanted, part: Part, _: Listener) -> Report:
        text = (root / "params.yaml").read_text()
        seen = {name: os.environ.get(name) for name in ("DVC_EXP_NAME", "DVC_EXP_BASELINE_REV", "DVC_ROOT")}
        self.seen.append({"params": text, "part": part, "wanted": wanted, **seen, "root": root})
        return Report(self.results)


@pytest.fixture
def setting(project: Project) -> Setting:
    project.write({"params.yaml": "a: 1\n"})
    cmd = {"cmd": "echo '{\"acc\": 0.5}' > m.json", "params": ["a"], "metrics": [{"m.json": {"cache": False}}]}
    project.pipeline({"one": cmd})
    project.dvc("repro")
    project.commit()
    head = git(project.root, "rev-parse", "HEAD").stdout.strip()
    tmp = project.root / ".dvc/tmp/gliaflow"
    cache = str(project.root / ".dvc/cache")
    where = (str(project.root), ".dvc", ".", str(tmp / "experiments"), cache, head, head)
    return Setting(Wanted(("one",), Options()), *where, {}, (), "", str(tmp / "runs"))


def listener() -> Teller:
    return Teller(StringIO())


def made(setting: Setting, ran: Ran, said: list[str] | None = None) -> Experiment:
    return perform(setting, ORDER, ran, listener(), (said if said is not None else []).append)


def test_what_the_run_is_given(setting: Setting) -> None:
    ran = Ran()
    found = made(setting, ran)
    [seen] = ran.seen
    assert seen["params"] == "a: 2\n"
    assert seen["wanted"] is setting.wanted
    assert (seen["DVC_EXP_NAME"], seen["DVC_EXP_BASELINE_REV"]) == ("name", setting.baseline)
    assert seen["DVC_ROOT"] == setting.top
    part = Part(Path(setting.journals), Path(setting.folder, "twins"), "name", ("experiment", "name"))
    assert seen["part"] == part
    assert "DVC_EXP_NAME" not in os.environ
    assert (found.fate, found.metrics) == (Fate.DONE, {"m.json": {"acc": 0.5}})
    assert found.rev in git(Path(setting.top), "for-each-ref", "refs/exps").stdout
    assert not seen["root"].exists()


def test_one_that_is_there_is_not_made_again(setting: Setting) -> None:
    first = made(setting, Ran())
    ran = Ran()
    assert made(setting, ran).plain() == {**first.plain(), "tail": []}
    assert ran.seen == []


def test_a_failure_leaves_no_experiment_and_no_workspace(setting: Setting) -> None:
    one = StageResult("one", Outcome.FAILED, error=BadInput("no such column"), tail=("a", "b"))
    ran = Ran(one)
    found = made(setting, ran)
    assert (found.fate, found.error, found.tail) == (Fate.FAILED, "stage 'one': no such column", ["a", "b"])
    assert found.user
    assert not ran.seen[0]["root"].exists()
    assert git(Path(setting.top), "for-each-ref", "refs/exps").stdout == ""


@pytest.mark.parametrize("moment", ["fetched", "noted", "removed"])
def test_ended_at_a_moment_after_the_run_it_goes_on(
    setting: Setting, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process ends when the commit is made, when it has come home, or when that is noted."""

    def end(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        if moment == "fetched":
            patch.setattr(
                experiment, "git", lambda root, *line, **more: end() if line[0] == "fetch" else git(root, *line, **more)
            )
        elif moment == "noted":
            patch.setattr(Ledger, "end", end)
        else:
            patch.setattr(ExperimentWorkspace, "remove", end)
            patch.setattr(ExperimentWorkspace, "make", _make_without_remove)
        with pytest.raises(KeyboardInterrupt):
            made(setting, Ran())
    again = Ran()
    found = made(setting, again)
    assert len(again.seen) == (0 if moment == "removed" else 1)
    refs = git(Path(setting.top), "for-each-ref", "--format=%(objectname)", "refs/exps").stdout.split()
    assert refs == [found.rev]
    assert git(Path(setting.top), "rev-parse", f"{found.rev}^").stdout.strip() == setting.baseline


def _make_without_remove(self: Any, baseline: str, tree: str) -> None:
    remove, type(self).remove = type(self).remove, lambda _: None
    try:
        MAKE(self, baseline, tree)
    finally:
        type(self).remove = remove


MAKE = ExperimentWorkspace.make


def test_what_could_not_begin() -> None:
    found = failed(ORDER, UserError("no"))
    assert (found.name, found.fate, found.error, found.user) == ("name", Fate.FAILED, "no", True)
    assert not failed(ORDER, RuntimeError("bug")).user
    assert json.dumps(found.plain())
