"""Commands of a project that compare what a stage made in two versions: when they run, on what, and how they fail."""

import shlex
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gliaflow.errors import UserError
from gliaflow.versioning.drivers import run_drivers
from gliaflow.versioning.versions import read
from tests.gliaflow.store.history import holding, opened, shared
from tests.gliaflow.versioning.published import publish
from tests.support.repos import Project, environment, stock

STAGES: dict[str, dict[str, Any]] = {
    "made": {
        "cmd": "cat seed > a.txt; mkdir -p sub/in; cat seed > sub/in/b; echo same > sub/c; cat seed > held.txt",
        "deps": ["seed"],
        "outs": ["a.txt", "sub", {"held.txt": {"cache": False}}],
    },
    "same": {"cmd": "echo same > same.txt", "outs": ["same.txt"]},
    "other": {"cmd": "sed s/^/other/ seed > other.txt", "deps": ["seed"], "outs": ["other.txt"]},
}
DIFFERING = {"a.txt", "sub", "held.txt", "other.txt"}
SHOW = """
import sys
from pathlib import Path
print(Path.cwd())
for side in sys.argv[1:]:
    print(side)
    for path in sorted(Path(side).rglob("*")):
        if path.is_file():
            kind = "link" if path.is_symlink() else "copy"
            print(path.relative_to(side), oct(path.stat().st_mode & 0o777), kind, path.read_text())
"""
RUN = f"{shlex.quote(sys.executable)} show.py"

Compare = Callable[..., dict[str, tuple[str, ...]]]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Two versions, and a remote that holds all of them; the second stands in the workspace."""
    folder = tmp_path_factory.mktemp("two")
    made = shared(Project(folder / "project", environment(folder / "home")), folder / "store")
    made.pipeline(STAGES)
    for number in (1, 2):
        made.write({"seed": f"{number}\n", "show.py": SHOW})
        stock(made.root)
        made.commit()
        made.dvc("push")
        publish(made, f"v{number}", "MIT")
    return made


@pytest.fixture
def project(two: Project, tmp_path: Path) -> Project:
    """A copy of it, for one test."""
    return two.copy(tmp_path / "project")


@pytest.fixture
def compared(project: Project) -> Compare:
    """Compare the two versions, the newer one as if its stages said this under `meta:`."""

    def compare(differing: set[str] = DIFFERING, **meta: dict[str, Any]) -> dict[str, tuple[str, ...]]:
        project.pipeline({name: {**stage, "meta": meta.get(name, {})} for name, stage in STAGES.items()})
        project.commit()
        head = project.run("git", "rev-parse", "HEAD").stdout.strip()
        with opened(project) as repo:
            old, new = read(repo, "v1"), replace(read(repo, "v2"), commit=head)
            return run_drivers(repo, old, new, differing, None)

    return compare


def test_a_command_gets_two_folders_to_read_and_runs_in_the_root(
    compared: Compare, project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "a 'b' $c"  # which the shell must not read
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    cache = project.root / ".dvc/cache/files/md5"
    for path in cache.rglob("*"):
        if path.is_file():
            path.chmod(0o644)
    root, old, *lines = [line for line in compared(made={"diff": f"{RUN}\n"})["made"] if line]
    assert root == str(project.root)
    assert Path(old).is_relative_to(scratch)
    split = lines.index(old.removesuffix("old") + "new")
    for side, number in ((lines[:split], 1), (lines[split + 1 :], 2)):
        assert side == [
            f"a.txt 0o444 link {number}",
            f"held.txt 0o444 copy {number}",
            "sub/c 0o444 link same",
            f"sub/in/b 0o444 link {number}",
        ]
    assert list(scratch.iterdir()) == []


def test_only_what_such_a_stage_made_is_fetched(compared: Compare, project: Project) -> None:
    cache = project.root / ".dvc/cache/files/md5"
    for path in cache.rglob("*"):
        if path.is_file():
            path.unlink()
    compared(made={"diff": "true"}, same={"diff": "true"})
    fetched = sorted(path.read_text() for path in cache.rglob("*") if path.is_file() and path.suffix != ".dir")
    assert fetched == ["1\n", "2\n", "same\n"]
    holding("2\n", cache).unlink()
    (project.root / ".dvc/config.local").write_text("[core]\n    remote = none\n['remote \"none\"']\n    url = /none\n")
    with pytest.raises(UserError, match=r"a.txt: object .* is missing or damaged on the remote"):
        compared(made={"diff": "true"})


def test_only_stages_any_of_whose_outputs_differ_are_asked(compared: Compare) -> None:
    meta = {"diff": "echo asked; :"}
    assert compared(made=meta, same=meta) == {"made": ("asked",)}
    assert list(compared(made=meta, same=meta, other=meta)) == ["made", "other"]
    assert compared({"held.txt"}, made=meta, same=meta, other=meta) == {"made": ("asked",)}
    assert compared(made={"cpus": 1, "mine": "diff"}) == {}


def test_a_command_that_fails_is_one_line(compared: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = {
        "echo about; echo oops >&2; echo >&2; exit 3; :": "failed with exit code 3: oops",
        "echo about; exit 2; :": "failed with exit code 2: about",
        "exit 75; :": "failed with exit code 75: it printed nothing",
        "echo out; echo trouble >&2; exit 1; :": "failed with exit code 1: trouble",
        "kill -9 $$; :": "failed with exit code 137: it printed nothing",
    }
    for command, message in commands.items():
        assert compared(made={"diff": command}) == {"made": (f"`{command}` {message}",)}
    (line,) = compared(made={"diff": "nosuchcommand"})["made"]
    assert line.startswith("`nosuchcommand` failed with exit code 127: ")
    (line,) = compared(made={"diff": "true\nfalse"})["made"]
    assert line == "`true false` failed with exit code 1: it printed nothing"
    monkeypatch.setenv("SHELL", "/no/shell")
    (line,) = compared(made={"diff": "true"})["made"]
    assert line == "`true` did not start: /no/shell: No such file or directory"


def test_diff_itself_may_be_the_command(compared: Compare) -> None:
    lines = compared(made={"diff": "diff -r"})["made"]
    assert [line for line in lines if line[0] in "<>"] == ["< 1", "> 2"] * 3
    assert compared({"other.txt"}, other={"diff": "diff -r --brief --exclude other.txt"}) == {"other": ()}


def test_settings_that_cannot_be_read_are_one_line(compared: Compare) -> None:
    found = compared(made={"diff": 3}, other={"diff": "echo asked; :"})
    assert found["other"] == ("asked",)
    assert found["made"] == ("stage 'made': meta.diff is 3: input should be a valid string",)


def test_a_stage_of_another_folder_or_whose_outputs_moved(project: Project) -> None:
    meta = {"diff": RUN}
    project.pipeline({"made": {**STAGES["made"], "outs": ["a.txt"], "meta": meta}})
    deep = {"cmd": "echo 3 > new.txt", "outs": ["new.txt"], "meta": meta}
    project.pipeline({"deep": deep, "each": {"foreach": ["x"], "do": {**deep, "outs": ["${item}"]}}}, "deep/dvc.yaml")
    project.write({"deep/x": ""})
    stock(project.root, ["deep/dvc.yaml:deep"])
    project.commit()
    project.dvc("push", "deep/dvc.yaml:deep")
    with opened(project) as repo:
        old = read(repo, "v1")
        card = {"a.txt": read(repo, "v2").outputs["a.txt"], "deep/new.txt": old.outputs["a.txt"]}
        head = project.run("git", "rev-parse", "HEAD").stdout.strip()
        new = replace(read(repo, "v2"), commit=head, outputs=card)
        lines = run_drivers(repo, old, new, {"sub", "held.txt", "deep/new.txt"}, None)
    assert list(lines) == ["made", "deep/dvc.yaml:deep"]
    names = {stage: [line.split()[0] for line in printed if " 0o444 " in line] for stage, printed in lines.items()}
    assert names["made"] == ["a.txt", "held.txt", "sub/c", "sub/in/b", "a.txt"]
    assert names["deep/dvc.yaml:deep"] == ["deep/new.txt"]
