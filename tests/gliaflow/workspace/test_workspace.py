"""DVC's workspace as the scheduler meets it: what is settled without a command, and what is looked at again."""

import pytest

from gliaflow.core.options import Options
from gliaflow.core.report import Change, Outcome, Output, Recorded
from gliaflow.errors import UserError
from gliaflow.workspace import workspace as module
from gliaflow.workspace.changes import NotThere, Unclear
from gliaflow.workspace.workspace import Workspace
from tests.gliaflow.workspace.test_conformance import execute, run
from tests.support.repos import Project, copies


@pytest.fixture
def one(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """One stage, `s`, that has not run."""
    project.write({"seed.txt": "1\n"})
    project.pipeline({"s": copies("seed.txt", "o.txt")})
    monkeypatch.setenv("PATH", project.environment["PATH"])
    return project


def opened(project: Project, said: list[str] | None = None, **flags: bool) -> Workspace:
    """The workspace, not entered yet."""
    return Workspace(project.root, Options(**flags), (said if said is not None else []).append)  # type: ignore[arg-type]


def test_a_stage_runs_then_is_unchanged_and_is_restored_when_what_it_read_comes_back(one: Project) -> None:
    hashes = []
    for text in ("1\n", "2\n"):
        one.write({"seed.txt": text})
        with opened(one) as workspace:
            workspace.plan()
            hashes.append(run(workspace, "s"))
            assert workspace.unchanged(["s"])
            workspace.close(failed=False, complete=True)
        with opened(one) as workspace:
            workspace.plan()
            assert workspace.prepare("s").outcome is Outcome.UNCHANGED
    assert hashes == [{"o.txt": "b026324c6904b2a9cb4b88d6d61c81d1"}, {"o.txt": "26ab0db90d72e28ad0ba1e22ee510510"}]
    one.write({"seed.txt": "1\n"})
    with opened(one) as workspace:
        workspace.plan()
        prepared = workspace.prepare("s")
        assert (prepared.outcome, prepared.outputs, prepared.commands) == (Outcome.RESTORED, hashes[0], None)
        assert [(change.what, change.name) for change in prepared.why] == [("dependency", "seed.txt")]
        assert isinstance(prepared.why[0], Change)
        workspace.settle("s")
        workspace.close(failed=False, complete=True)
    assert (one.root / "o.txt").read_text() == "1\n"


def test_what_is_known_of_a_stage_before_and_after_it_ran(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", project.environment["PATH"])
    project.write({"seed.txt": "1\n", "params.yaml": "rate: 0.5\ndeep: {a: [1]}\n", "other.yaml": "x: null\n"})
    plots = [{"o.txt": {"x": "step", "title": "T"}}]
    stage = {
        **copies("seed.txt", "o.txt"),
        "params": ["rate", "deep.a", {"other.yaml": ["x"]}],
        "outs": [],
        "plots": plots,
    }
    project.pipeline({"s": stage}, plots=["o.txt", {"both": {"y": {"o.txt": "c"}}}])
    with opened(project) as workspace:
        workspace.plan()
        assert workspace.recorded("s") == Recorded()
        assert workspace.plots == [
            {"folder": str(project.root), "name": "o.txt", "drawn": {}},
            {"folder": str(project.root), "name": "both", "drawn": {"y": {"o.txt": "c"}}},
        ]
        run(workspace, "s")
        hash = "b026324c6904b2a9cb4b88d6d61c81d1"
        output = Output("o.txt", hash, "plot", 2, None, {"x": "step", "title": "T"})
        values = {"rate": 0.5, "deep.a": [1], "other.yaml:x": None}
        assert workspace.recorded("s") == Recorded({"seed.txt": hash}, values, (output,))
        workspace.close(failed=False, complete=True)


def test_the_commit_that_is_checked_out(one: Project) -> None:
    with opened(one) as workspace:
        assert workspace.commit == ""
    one.commit()
    with opened(one) as workspace:
        assert workspace.commit == one.run("git", "rev-parse", "HEAD").stdout.strip()
    config = one.root / ".dvc/config"
    config.write_text(config.read_text().replace("[core]\n", "[core]\n    no_scm = true\n"))
    with opened(one) as workspace:
        assert workspace.commit == ""


def test_what_changed_while_a_stage_waited_is_prepared_anew(one: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TRUSTED_SECONDS", 0.0)
    with opened(one) as workspace:
        workspace.plan()
        workspace.prepare("s")
        one.write({"seed.txt": "changed\n"})
        assert not workspace.claim("s")
        workspace.prepare("s")
        assert workspace.claim("s")
        workspace.release("s")


@pytest.mark.parametrize("outs", [["o.txt"], []])
@pytest.mark.parametrize("run_cache", [True, False])
def test_what_another_run_recorded_while_a_stage_waited_is_prepared_anew(
    one: Project, outs: list[str], run_cache: bool
) -> None:
    one.pipeline({"s": {"cmd": "cp seed.txt o.txt", "deps": ["seed.txt"], "outs": outs}})
    with opened(one, run_cache=run_cache) as workspace:
        workspace.plan()
        assert workspace.prepare("s").outcome is Outcome.RUN
        one.dvc("repro")
        assert not workspace.claim("s")
        found = workspace.prepare("s").outcome
        assert found is Outcome.UNCHANGED
        workspace.settle("s")
        assert workspace.close(failed=False, complete=True) == {}
    assert one.dvc("status").stdout == "Data and pipelines are up to date.\n"


def test_what_another_run_recorded_runs_again_if_it_is_forced_to(one: Project) -> None:
    with opened(one) as workspace:
        workspace.plan()
        workspace.prepare("s", force=True)
        one.dvc("repro")
        assert not workspace.claim("s")
        assert workspace.prepare("s", force=True).outcome is Outcome.RUN
        assert workspace.claim("s")
        workspace.release("s")


def test_what_another_run_recorded_before_a_stage_is_looked_at_is_known(one: Project) -> None:
    with opened(one) as workspace:
        workspace.plan()
        one.dvc("repro")
        one.write({"seed.txt": "2\n"})
        assert [change.name for change in workspace.prepare("s").why] == ["seed.txt"]
        one.dvc("repro")
        assert workspace.prepare("s").outcome is Outcome.UNCHANGED
        one.write({"seed.txt": "3\n", "dvc.lock": "schema: '2.0'\nstages: {}\n"})
        assert run(workspace, "s")
        workspace.close(failed=False, complete=True)


def test_what_changed_while_a_stage_ran_is_not_recorded(one: Project) -> None:
    with opened(one) as workspace:
        workspace.plan()
        prepared = workspace.prepare("s")
        assert workspace.claim("s")
        execute(prepared)
        one.write({"seed.txt": "changed\n"})
        with pytest.raises(Unclear, match=r"seed\.txt"):
            workspace.finish("s")
        workspace.close(failed=True, complete=False)
    assert not (one.root / "dvc.lock").exists()


def test_claiming_removes_old_outputs_unless_the_stage_travels(one: Project) -> None:
    one.write({"o.txt": "old\n"})
    with opened(one) as workspace:
        workspace.plan()
        workspace.prepare("s")
        assert workspace.claim("s", travels=True)
        assert (one.root / "o.txt").exists()
        workspace.release("s")
        assert workspace.claim("s")
        assert not (one.root / "o.txt").exists()
        workspace.release("s")


def test_what_is_missing_and_a_program_that_is_not_there_are_named(one: Project) -> None:
    one.pipeline({"s": copies("none.txt", "o.txt"), "t": {"cmd": "no-such-program x", "outs": ["t"]}})
    with opened(one) as workspace:
        workspace.plan()
        with pytest.raises(NotThere, match=r"none\.txt"):
            workspace.prepare("s")
        with pytest.raises(UserError, match="no-such-program"):
            workspace.prepare("t")


def test_a_frozen_stage_is_told_of_once(one: Project) -> None:
    one.pipeline({"s": copies("seed.txt", "o.txt", frozen=True)})
    one.write({"o.txt": "1\n"})
    said: list[str] = []
    with opened(one, said) as workspace:
        workspace.plan()
        assert [workspace.prepare("s").outcome for _ in range(2)] == [Outcome.SAVED, Outcome.UNCHANGED]
        workspace.settle("s")
        workspace.close(failed=False, complete=True)
    assert len(said) == 1
    assert said[0].endswith("is frozen: its dependencies are not reproduced")


def test_dvcs_configuration_may_have_a_person_asked(one: Project) -> None:
    with opened(one) as workspace:
        assert not workspace.options.interactive
    one.dvc("config", "core.interactive", "true")
    with opened(one) as workspace:
        assert workspace.options.interactive
