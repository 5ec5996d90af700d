"""What a stage declares, and which files of a repository count."""

import os
from pathlib import Path

import pytest
from dvc.repo import Repo

from gliaflow.audit.declared import Declared, Files
from tests.support.repos import Project


@pytest.fixture
def pipeline(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A repository with a stage that declares something of every kind; the working directory is its."""
    project.write({"p.yaml": "a: 1\n", "data/x": "", "code.py": ""})
    stage = {"cmd": "true", "deps": ["data", "code.py"], "params": [{"p.yaml": ["a"]}], "outs": ["made/o"]}
    project.pipeline({"s": {**stage, "metrics": [{"m.json": {"cache": False}}], "plots": ["plots"]}})
    monkeypatch.chdir(project.root)
    return project


def declared(project: Project) -> Declared:
    """What the only stage declares."""
    with Repo(str(project.root)) as repo:
        (stage,) = repo.index.stages
        return Declared.of(stage)


def counted(project: Project, *names: str) -> list[str]:
    """Those that count."""
    with Repo(str(project.root)) as repo:
        paths = Files(repo).count(project.root / name for name in names)
    return [str(path.relative_to(project.root)) for path in paths]


def test_all_that_a_stage_declares_is_known(pipeline: Project) -> None:
    found, root = declared(pipeline), pipeline.root
    assert (found.address, found.folder) == ("s", root)
    covered = ["data", "data/x/y", "code.py", "p.yaml", "made/o", "made/o/x", "m.json", "plots/a.png"]
    assert [name for name in covered if not found.covers(root / name)] == []
    assert [name for name in ("other", "made/other", "database", "code.pyx") if found.covers(root / name)] == []


def test_an_output_is_made_with_what_is_in_it_and_the_folders_above(pipeline: Project) -> None:
    found, root = declared(pipeline), pipeline.root
    assert [
        name for name in ("made/o", "made/o/x", "made", "m.json", "plots/x/y") if not found.makes(root / name)
    ] == []
    assert [name for name in ("data", "code.py", "made/p", "p.yaml") if found.makes(root / name)] == []


def test_what_tools_keep_for_themselves_is_nobodys(pipeline: Project) -> None:
    pipeline.write({".dvcignore": "*.tmp\ncaches/\n", "env/pyvenv.cfg": "", "conda/conda-meta/history": ""})
    not_counted = [".dvc/config", ".git/index", "a/__pycache__/m.pyc", "node_modules/x", "env/lib/x.py", "conda/bin/x"]
    not_counted += ["dvc.yaml", "sub/dvc.yaml", "dvc.lock", "x.dvc", ".gitignore", ".dvcignore", "x.tmp", "caches/y"]
    not_counted += ["src/pkg.egg-info/PKG-INFO", "lib/site-packages/m.py"]
    assert counted(pipeline, *not_counted) == []
    assert counted(pipeline, "x.py", "sub/y.csv", ".env", "x.py") == [".env", "sub/y.csv", "x.py"]


def test_what_lies_outside_is_nobodys(pipeline: Project) -> None:
    with Repo(str(pipeline.root)) as repo:
        assert Files(repo).count([pipeline.root.parent / "x", Path("/etc/hosts")]) == []


def test_a_repository_of_dvc_within_one_of_git_reaches_to_its_top(pipeline: Project) -> None:
    pipeline.write({"inner/x": ""})
    (pipeline.root / ".dvc").rename(pipeline.root / "inner/.dvc")
    os.chdir("inner")
    with Repo() as repo:
        files = Files(repo)
        assert files.top == pipeline.root
        assert files.count([pipeline.root / "beside.csv"]) == [pipeline.root / "beside.csv"]


def test_a_link_by_which_the_folder_is_named_is_seen_through(
    pipeline: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = pipeline.root.parent / "link"
    link.symlink_to(pipeline.root)
    monkeypatch.setenv("PWD", str(link))
    with Repo() as repo:
        files = Files(repo)
    assert files.tops == (str(pipeline.root), str(link))
    assert files.real(link / "a/../b") == pipeline.root / "b"
    assert files.real(Path("/x/./y")) == Path("/x/y")
