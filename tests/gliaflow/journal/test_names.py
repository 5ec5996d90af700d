"""What Prefect calls a run."""

from pathlib import Path

from gliaflow.core.options import Options
from gliaflow.journal.names import Place, parameters, place
from gliaflow.machine.git import WHO, git


def commit(root: Path) -> str:
    """An empty commit; its short id."""
    git(root, "commit", "--quiet", "--allow-empty", "--message", "x", env=WHO)
    return git(root, "rev-parse", "--short", "HEAD").stdout.strip()


def test_a_run_is_called_by_repository_branch_and_commit(tmp_path: Path) -> None:
    root = tmp_path / "brain"
    git(tmp_path, "init", "--quiet", "--initial-branch=work", str(root))
    (root / "sub").mkdir()
    assert place(root).repository == "brain"
    assert place(root).commit == ""
    short = commit(root)
    assert place(root / "sub") == Place("brain", "work", short)
    assert place(root).name == f"brain work {short}"


def test_no_branch_is_named_where_none_is_checked_out(tmp_path: Path) -> None:
    root = tmp_path / "brain"
    git(tmp_path, "init", "--quiet", str(root))
    short = commit(root)
    git(root, "checkout", "--quiet", "--detach")
    assert place(root).tags == ["brain", short]


def test_without_git_only_the_folder_is_known(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    assert place(tmp_path / "plain") == Place("plain")
    assert place(tmp_path / "missing") == Place("missing")


def test_parameters_name_only_the_flags_that_are_not_as_usual() -> None:
    assert parameters([], Options()) == {"targets": [], "flags": {}}
    assert parameters(["a", "b"], Options(force=True, run_cache=False, on_error="keep-going")) == {
        "targets": ["a", "b"],
        "flags": {"force": True, "run_cache": False, "on_error": "keep-going"},
    }
