"""The workspace of an experiment: what git and DVC find in it, and that it takes nothing from the user."""

from collections.abc import Callable
from pathlib import Path

import pytest
from dvc.repo import Repo

from gliaflow.errors import UserError
from gliaflow.experiments.making.workspaces import ExperimentWorkspace
from gliaflow.hosts.snapshot import snapshot
from gliaflow.machine.git import git
from tests.support.repos import Project


@pytest.fixture
def made(project: Project) -> ExperimentWorkspace:
    """One at a changed file, of a repository with a remote and settings of its own."""
    project.write(
        {"a.txt": "old\n", ".dvc/config.local": "[core]\n    remote = far\n['remote \"far\"']\n    url = ../far\n"}
    )
    project.commit()
    project.run("git", "config", "user.name", "somebody")
    project.write({"a.txt": "new\n", "loose/b.txt": "b\n"})
    workspace = ExperimentWorkspace(project.root / ".dvc/tmp/gliaflow/experiments/key", project.root)
    baseline = git(project.root, "rev-parse", "HEAD").stdout.strip()
    workspace.make(baseline, snapshot(project.root))
    workspace.configure(".dvc", str(project.root / ".dvc/cache"))
    return workspace


def test_files_are_the_users_and_head_is_theirs(project: Project, made: ExperimentWorkspace) -> None:
    assert made.root.name == project.root.name
    assert (made.root / "a.txt").read_text() == "new\n"
    assert not (made.root / "loose").exists()
    head = git(project.root, "rev-parse", "HEAD").stdout
    assert git(made.root, "rev-parse", "HEAD").stdout == head
    assert git(made.root, "rev-parse", "--show-toplevel").stdout.strip() == str(made.root)
    assert git(made.root, "config", "user.name").stdout == "somebody\n"
    assert git(made.root, "status", "--short").stdout == " M a.txt\n"  # as under dvc exp run: not staged
    assert git(made.root, "fsck", "--connectivity-only").returncode == 0
    assert git(project.root, "status", "--short").stdout == " M a.txt\n?? loose/\n"


def test_dvc_finds_cache_and_remotes_of_the_user(project: Project, made: ExperimentWorkspace) -> None:
    with Repo(str(made.root)) as repo:
        assert repo.root_dir == str(made.root)
        assert repo.cache.local_cache_dir == str(project.root / ".dvc/cache")
        assert Path(repo.config["remote"]["far"]["url"]).resolve() == project.root / "far"
        assert repo.config["core"]["remote"] == "far"
        assert Path(repo.site_cache_dir).is_relative_to(made.root.parents[1])
    assert (made.root / ".dvc/config.local").stat().st_mode & 0o77 == 0


def test_what_git_does_not_track_is_copied_as_asked(project: Project, made: ExperimentWorkspace) -> None:
    project.write({"c.txt": "c\n"})
    made.copy(["loose", "c.txt"])
    assert (made.root / "loose/b.txt").read_text() == "b\n"
    assert (made.root / "c.txt").read_text() == "c\n"


def test_it_is_ready_when_it_is_said_to_be_and_leaves_nothing(made: ExperimentWorkspace) -> None:
    states = [made.ready]
    made.is_ready()
    states.append(made.ready)
    for _ in range(2):  # the second time it is gone
        made.remove()
        states.append(made.ready)
    assert states == [False, True, False, False]
    assert not made.root.parent.exists()


def test_a_dvc_that_is_not_in_git(project: Project) -> None:
    project.run("git", "rm", "-rqf", "--cached", ".dvc")
    project.write({".gitignore": "/.dvc\n"})
    project.commit()
    head = git(project.root, "rev-parse", "HEAD").stdout.strip()
    workspace = ExperimentWorkspace(project.root.parent / "key", project.root)
    workspace.make(head, head)
    with pytest.raises(UserError, match=r"'\.dvc' is not in git"):
        workspace.configure(".dvc", "/nowhere")


def test_of_a_linked_worktree_and_of_a_shallow_clone(project: Project, tmp_path: Path) -> None:
    project.write({"a.txt": "1\n"})
    project.commit()
    project.write({"a.txt": "2\n"})
    project.commit()
    head = git(project.root, "rev-parse", "HEAD").stdout.strip()
    git(project.root, "worktree", "add", "-q", "--detach", str(tmp_path / "linked"))
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{project.root}", str(tmp_path / "shallow"))
    for name in ("linked", "shallow"):
        workspace = ExperimentWorkspace(tmp_path / f"{name}-key", tmp_path / name)
        workspace.make(head, head)
        assert (workspace.root / "a.txt").read_text() == "2\n"
        assert git(workspace.root, "status", "--short").stdout == ""
        assert git(workspace.root, "log", "--format=%H").stdout.split()[0] == head


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("../far.git", "{parent}/far.git"),
        ("./near.git", "{top}/near.git"),
        ("near.git", "{top}/near.git"),
        ("/else/where.git", "/else/where.git"),
        ("https://host/x.git", "https://host/x.git"),
        ("git@host:x/y.git", "git@host:x/y.git"),
        ("file:///x.git", "file:///x.git"),
    ],
)
def test_a_remote_is_where_it_was(project: Project, url: str, expected: str) -> None:
    project.write({"a.txt": ""})
    project.commit()
    project.run("git", "remote", "add", "origin", url)
    head = git(project.root, "rev-parse", "HEAD").stdout.strip()
    workspace = ExperimentWorkspace(project.root.parent / "key", project.root)
    workspace.make(head, head)
    found = git(workspace.root, "remote", "get-url", "origin").stdout.strip()
    assert found == expected.format(top=project.root, parent=project.root.parent)


def test_files_that_git_does_not_know_yet_are_staged_and_removed_ones_gone(project: Project) -> None:
    project.write({"old.txt": "", "gone.txt": "", "moved.txt": "text\n"})
    project.commit()
    project.write({"new.txt": "", "sub/new": ""})
    project.run("git", "add", "new.txt", "sub")
    project.run("git", "mv", "moved.txt", "there.txt")
    (project.root / "gone.txt").unlink()
    head = git(project.root, "rev-parse", "HEAD").stdout.strip()
    workspace = ExperimentWorkspace(project.root.parent / "key", project.root)
    workspace.make(head, snapshot(project.root))
    lines = git(workspace.root, "status", "--short").stdout.splitlines()
    assert lines == [" D gone.txt", " D moved.txt", "A  new.txt", "A  sub/new", "A  there.txt"]


@pytest.mark.parametrize("name", ["ready", "site", "in", "with space", "ü"])
def test_a_repository_of_any_name(new_project: Callable[..., Project], name: str) -> None:
    project = new_project(name)
    project.write({"a.txt": ""})
    project.commit()
    head = git(project.root, "rev-parse", "HEAD").stdout.strip()
    workspace = ExperimentWorkspace(project.root.parent / "key", project.root)
    workspace.make(head, head)
    workspace.configure(".dvc", "/cache")
    workspace.is_ready()
    assert workspace.ready
    assert workspace.root.name == name
    assert (workspace.root / "a.txt").exists()


def test_settings_may_hold_passwords(made: ExperimentWorkspace) -> None:
    for name in (".git/config", ".dvc/config.local"):
        assert (made.root / name).stat().st_mode & 0o77 == 0


def test_the_variables_of_a_hook_reach_no_git_of_ours(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.write({"a.txt": "1\n"})
    project.commit()
    head = git(project.root, "rev-parse", "HEAD").stdout.strip()
    project.write({"a.txt": "2\n"})
    monkeypatch.setenv("GIT_DIR", str(project.root / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(project.root / ".git/index"))
    monkeypatch.setenv("GIT_WORK_TREE", str(project.root))
    workspace = ExperimentWorkspace(project.root.parent / "key", project.root)
    workspace.make(head, snapshot(project.root))
    monkeypatch.undo()
    assert (workspace.root / "a.txt").read_text() == "2\n"
    assert git(project.root, "status", "--short").stdout == " M a.txt\n"


def test_submodules_that_git_is_told_to_follow(project: Project, tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    git(inner, "init", "-q")
    git(inner, "commit", "-qm", "first", "--allow-empty")
    project.write({"a.txt": ""})
    project.run("git", "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner), "sub")
    project.commit()
    project.run("git", "config", "submodule.recurse", "true")
    head = git(project.root, "rev-parse", "HEAD").stdout.strip()
    workspace = ExperimentWorkspace(tmp_path / "key", project.root)
    workspace.make(head, head)
    assert (workspace.root / ".gitmodules").exists()
