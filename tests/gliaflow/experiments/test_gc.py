"""What `gc` removes, and that all that anybody names can be restored afterwards."""

from pathlib import Path

import pytest

from gliaflow import api
from gliaflow.errors import UserError
from gliaflow.experiments.ledger import experiment_names
from gliaflow.workspace.twins import Twins
from tests.support.repos import Project

FOLDER = ".dvc/tmp/gliaflow/experiments"


@pytest.fixture
def swept(project: Project) -> Project:
    """Four experiments of a stage that writes a folder and a file; the data of the first commit is not that of HEAD."""
    project.write({"params.yaml": "a: 0\n"})
    cmd = "mkdir -p d && cp params.yaml d/in && cp params.yaml f && tr a b < params.yaml > g"
    project.pipeline({"one": {"cmd": cmd, "params": ["a"], "outs": ["d", "f", "g"]}})
    project.flow()
    project.commit()
    project.write({"params.yaml": "a: 9\n"})
    project.flow()
    project.commit()
    project.gliaflow("sweep", "--no-prefect", "-q", "-S", "a=1,2,3,4", "-n", "x")
    return project


def cached(project: Project, root: str = ".dvc/cache") -> set[str]:
    return {str(path.relative_to(project.root)) for path in (project.root / root).rglob("*") if path.is_file()}


def restorable(project: Project, rev: str) -> bool:
    """Whether the data of a commit can be had from the cache alone."""
    project.run("git", "checkout", "-qf", rev)
    fine = project.dvc("checkout", "-q", expect=None).returncode == 0
    return fine and project.dvc("status").stdout == "Data and pipelines are up to date.\n"


def test_what_branch_tag_workspace_and_history_name_stays(swept: Project) -> None:
    swept.dvc("exp", "branch", "x-1", "branch")
    swept.run("git", "tag", "v1", f"refs/exps/{_place(swept)}/x-2")
    swept.dvc("exp", "apply", "x-3")
    revs = {name: rev for rev, name in experiment_names(swept.root).items()}
    before = cached(swept)
    dry = api.gc(swept.root, dry=True)
    assert cached(swept) == before
    assert dry.experiments == ("x-1", "x-2", "x-3", "x-4")
    [place] = dry.places
    assert {str(Path(path).relative_to(swept.root)) for path in {**place.objects, **place.records}} < before
    assert (len(place.objects), len(place.records)) == (3, 1)  # of x-4: a listing, g, and f, which is d/in too
    done = api.gc(swept.root)
    assert done == dry
    assert len(before - cached(swept)) == 4
    assert place.total - place.bytes == api.gc(swept.root).places[0].total
    assert experiment_names(swept.root) == {}
    assert swept.dvc("status").stdout == "Data and pipelines are up to date.\n"
    for rev in ("branch", "v1", "master", "master^"):
        assert restorable(swept, rev), rev
    assert not restorable(swept, revs["x-4"])


def _place(project: Project) -> str:
    head = project.run("git", "rev-parse", "HEAD").stdout.strip()
    return f"{head[:2]}/{head[2:]}"


def test_what_is_kept_by_name_and_what_dvc_made_itself(swept: Project) -> None:
    swept.dvc("exp", "run", "--temp", "-S", "a=7", "-n", "theirs")
    assert api.gc(swept.root, keep=["x-2"]).experiments == ("x-1", "x-3", "x-4")
    assert set(experiment_names(swept.root).values()) == {"x-2", "theirs"}
    for name in ("x-2", "theirs"):
        swept.run("git", "checkout", "-q", "master")
        assert restorable(swept, f"refs/exps/{_place(swept)}/{name}")
    with pytest.raises(UserError, match="--keep nobody: there is no such experiment"):
        api.gc(swept.root, keep=["nobody"])


def test_what_failed_or_was_cut_off_left(project: Project) -> None:
    project.write({"params.yaml": "a: 0\n", "seed.txt": ""})
    first = {"cmd": "cp params.yaml made", "params": ["a"], "outs": ["made"]}
    second = {"cmd": "false", "deps": ["made"], "outs": ["never"]}
    project.pipeline({"first": first, "second": second})
    project.commit()
    project.gliaflow("sweep", "--no-prefect", "-q", "-S", "a=1,2", expect=1)
    cut_off = project.root / FOLDER / "key/project"
    cut_off.mkdir(parents=True)
    assert len(cached(project)) == 4
    found = api.gc(project.root)
    assert (found.experiments, found.workspaces) == ((), 1)
    assert cached(project) == set()
    assert not cut_off.parent.exists()


def test_while_a_sweep_runs_nothing_goes(swept: Project) -> None:
    locks = Twins(swept.root / FOLDER / "locks", "x")
    locks.take("key")
    with pytest.raises(UserError, match="a sweep or a search runs in this repository"):
        api.gc(swept.root)
    locks.give_back("key")
    assert api.gc(swept.root, dry=True).experiments


@pytest.fixture
def shared(swept: Project) -> Project:
    """With a DVC remote that has all, and a git remote that has the branch and one experiment."""
    swept.dvc("remote", "add", "-d", "store", str(swept.root / "store"))
    swept.run("git", "init", "-q", "--bare", "../origin.git")
    swept.run("git", "remote", "add", "origin", "../origin.git")
    swept.write({".gitignore": (swept.root / ".gitignore").read_text() + "/store\n"})
    swept.dvc("exp", "push", "origin", "x-1", "x-2", "x-3", "x-4", "--no-cache")
    swept.run("git", "push", "-q", "origin", "master")
    swept.gliaflow("push")
    for name in ("x-2", "x-3", "x-4"):
        swept.run("git", "push", "-q", "origin", f":refs/exps/{_place(swept)}/{name}")
    return swept


def test_a_remote_keeps_what_the_git_remote_names(shared: Project) -> None:
    before = cached(shared, "store")
    assert len(api.gc(shared.root, dry=True).places) == 1
    cache, store = api.gc(shared.root, cloud=True).places
    assert (cache.name, len(cache.objects), len(cache.records)) == ("cache", 12, 4)
    assert (store.name, len(store.objects), len(store.records)) == ("store", 9, 3)  # x-1 is on the git remote
    assert len(before - cached(shared, "store")) == 12
    shared.gliaflow("fetch")
    shared.run("git", "fetch", "-q", "origin", f"refs/exps/{_place(shared)}/x-1:refs/exps/{_place(shared)}/x-1")
    assert restorable(shared, f"refs/exps/{_place(shared)}/x-1")


def test_commits_that_are_not_here_may_name_data(shared: Project) -> None:
    other = shared.root.parent / "other"
    shared.run("git", "clone", "-q", "../origin.git", str(other))
    shared.run("git", "-C", str(other), "commit", "-qm", "more", "--allow-empty")
    shared.run("git", "-C", str(other), "push", "-q", "origin", "master")
    before = cached(shared, "store")
    with pytest.raises(UserError, match="'origin' has commits that are not here and may name data; git fetch origin"):
        api.gc(shared.root, remote="store")
    assert cached(shared, "store") == before
    shared.run("git", "fetch", "-q", "origin")
    assert len(api.gc(shared.root, remote="store").places) == 2


def test_stashes_and_other_working_trees_name_data_too(swept: Project) -> None:
    for name in ("x-1", "x-2"):
        swept.dvc("exp", "apply", name)
        swept.run("git", "add", "-A")
        swept.run("git", "stash", "-q")
    place = _place(swept)
    swept.run("git", "worktree", "add", "-q", "--detach", "../linked", f"refs/exps/{place}/x-3")
    assert len(api.gc(swept.root).places[0].objects) == 3  # of x-4 alone
    for stash in ("stash@{0}", "stash@{1}", "refs/worktrees"):
        rev = swept.run("git", "-C", "../linked", "rev-parse", "HEAD").stdout.strip() if "work" in stash else stash
        assert restorable(swept, rev), stash


def test_a_cache_that_others_may_use_keeps_its_data(swept: Project) -> None:
    shared = swept.root.parent / "shared"
    (swept.root / ".dvc/cache").rename(shared)
    swept.dvc("config", "cache.dir", str(shared))
    swept.commit()
    other = swept.root.parent / "other"
    swept.run("git", "clone", "-q", ".", str(other))
    swept.run("git", "-C", str(other), "fetch", "-q", str(swept.root), "refs/exps/*:refs/heads/*")
    said: list[str] = []
    assert api.gc(swept.root, say=said.append, dry=True).places[0].objects == {}
    assert said == [f"other repositories may use the cache {shared} (--projects names them), so data stays"]
    assert api.gc(swept.root, projects=[other], dry=True).places[0].objects == {}
    swept.run("git", "clone", "-q", ".", "../third")  # which knows the branch, and no experiment
    assert len(api.gc(swept.root, projects=[swept.root.parent / "third"]).places[0].objects) == 12


@pytest.mark.parametrize("link", ["symlink", "hardlink", "copy"])
def test_a_folder_of_the_workspace_that_nobody_can_look_into_keeps_its_files(swept: Project, link: str) -> None:
    """If they are links into the cache, all data stays."""
    swept.dvc("config", "--local", "cache.type", link)
    swept.dvc("checkout", "-q", "--relink")
    content = (swept.root / "d/in").read_bytes()
    listings = (swept.root / ".dvc/cache").rglob("*.dir")
    [listing] = [path for path in listings if path.name in _names_of_head(swept)]
    listing.unlink()
    said: list[str] = []
    found = api.gc(swept.root, say=said.append)
    assert (swept.root / "d/in").read_bytes() == content
    assert len(found.experiments) == 4
    if link == "symlink":
        assert found.places[0].objects == {}
        assert said == [
            "1 folders of links in the workspace are not known to the cache (dvc fetch gets them), so data stays"
        ]
    else:
        assert len(found.places[0].objects) == 12
        assert said == []


def test_a_folder_of_a_commit_that_is_only_on_the_remote_keeps_nothing_here(swept: Project) -> None:
    """As in a clone into which only some data was fetched: it can be restored as before, from the remote."""
    swept.dvc("remote", "add", "-q", "--local", "-d", "store", str(swept.root.parent / "store"))
    swept.dvc("exp", "branch", "x-1", "branch")
    for rev in ("HEAD", "branch"):
        swept.run("git", "checkout", "-qf", rev)
        swept.dvc("checkout", "-q", "--force")
        swept.dvc("push", "-q")
    swept.run("git", "checkout", "-qf", "master")
    swept.dvc("checkout", "-q", "--force")
    text = swept.run("git", "show", "branch:dvc.lock").stdout
    [listing] = [line.split()[-1] for line in text.splitlines() if ".dir" in line]
    path = swept.root / ".dvc/cache/files/md5" / listing[:2] / listing[2:]
    path.unlink()
    said: list[str] = []
    assert len(api.gc(swept.root, say=said.append).places[0].objects) >= 9  # three of each experiment, and x-1's files
    assert said == []
    assert not restorable(swept, "branch")
    swept.dvc("fetch", "-q")
    assert restorable(swept, "branch")
    assert restorable(swept, "master")


def _names_of_head(project: Project) -> set[str]:
    text = project.run("git", "show", "HEAD:dvc.lock").stdout
    return {line.split()[-1][2:] for line in text.splitlines() if ".dir" in line}
