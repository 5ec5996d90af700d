"""Lines of .gitignore stand where DVC would have put them, in whatever order stages end."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from dvc.repo import Repo
from dvc.scm import SCMError

from gliaflow.lockfiles.ignores import Ignores
from gliaflow.lockfiles.whole import Files
from tests.support.repos import Project

PATHS = ["a.txt", "sub/b.txt", "c d", "e[1]*.txt", "sub/deep/é", "#f", "!g", "h\\i"]


@pytest.fixture
def repo(project: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repo]:
    """With folders for all paths."""
    monkeypatch.chdir(project.root)
    Path("sub/deep").mkdir(parents=True)
    with Repo() as made:
        yield made


def full(paths: list[str]) -> list[str]:
    return [str(Path.cwd() / path) for path in paths]


def opened(repo: Repo, paths: list[str]) -> Ignores:
    """As for stages that make one path each."""
    places = {path: place for place, path in enumerate(full(paths))}
    return Ignores(repo.scm_context, places, Files(repo.tmp_dir))


def left() -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in Path().rglob(".gitignore") if path.parts[0] != ".dvc"}


@pytest.mark.parametrize(
    "before", [b"", b"/mine\n", b"/mine", b"/mine\r\n*.log\r\n", b"a.txt\n", b"sub/*\n!/x\n", b"/a.txt"]
)
@pytest.mark.parametrize("seed", range(3))
def test_in_whatever_order_stages_end(repo: Repo, before: bytes, seed: int) -> None:
    def start() -> None:
        for path in left():
            Path(path).unlink()
        if before:
            Path(".gitignore").write_bytes(before)
        repo.scm._reset()

    start()
    for path in full(PATHS):
        repo.scm.ignore(path)
    expected = left()
    start()
    ignores = opened(repo, PATHS)
    for path in random.Random(seed).sample(full(PATHS), len(PATHS)):
        ignores.write([path])
    assert left() == expected
    for path in full(PATHS):
        assert opened(repo, PATHS).scm.is_ignored(path)
        ignores.write([path])
    assert left() == expected


def test_several_paths_at_once(repo: Repo) -> None:
    ignores = opened(repo, PATHS)
    ignores.write(full(["c d"]))
    ignores.write(full(["#f", "a.txt", "sub/b.txt"]))
    assert left() == {".gitignore": b"/a.txt\n/c d\n/\\#f\n", "sub/.gitignore": b"/b.txt\n"}
    assert ignores.files_to_track == {".gitignore", "sub/.gitignore"}


def test_what_others_write_meanwhile_counts(repo: Repo) -> None:
    ignores = opened(repo, PATHS)
    ignores.write(full(["c d"]))
    Path(".gitignore").write_text("/x\n/c d\n/y\n*.txt\n")
    ignores.write(full(["a.txt", "#f"]))
    assert left() == {".gitignore": b"/x\n/c d\n/y\n*.txt\n/\\#f\n"}
    Path("sub/.gitignore").write_text("!b.txt\n")
    ignores.write(full(["sub/b.txt"]))
    assert left()["sub/.gitignore"] == b"!b.txt\n/b.txt\n"


def test_what_gits_own_file_excludes_needs_no_line(repo: Repo) -> None:
    ignores = opened(repo, PATHS)
    Path(".git/info").mkdir(exist_ok=True)
    Path(".git/info/exclude").write_text("a.txt\n")
    ignores.write(full(["a.txt"]))
    assert left() == {}


def test_a_run_after_one_that_was_killed_puts_lines_in_between(repo: Repo) -> None:
    Path(".gitignore").write_text("/mine\n")
    opened(repo, PATHS).write(full(["#f"]))
    opened(repo, PATHS).write(full(["a.txt", "c d"]))
    assert left() == {".gitignore": b"/mine\n/a.txt\n/c d\n/\\#f\n"}


def test_what_another_run_adds_meanwhile_stands_in_dvcs_order_too(repo: Repo) -> None:
    one, other = opened(repo, PATHS), opened(repo, PATHS)
    one.write(full(["#f"]))
    other.write(full(["a.txt"]))
    one.write(full(["c d"]))
    assert left() == {".gitignore": b"/a.txt\n/c d\n/\\#f\n"}


@pytest.mark.parametrize("last", [True, False])
def test_what_dvc_adds_meanwhile_gets_its_place(repo: Repo, last: bool) -> None:
    Path(".gitignore").write_text("/mine\n/c d\n")
    ignores = opened(repo, ["c d", "a.txt", "#f", "!g"])
    ignores.write(full(["!g"]))
    repo.scm.ignore(full(["#f"])[0])  # a `dvc repro` that had begun before
    repo.scm.ignore(full(["other"])[0])
    if last:
        ignores.finish()
    else:
        ignores.write(full(["a.txt"]))
    more = b"" if last else b"/a.txt\n"
    assert left() == {".gitignore": b"/mine\n/c d\n" + more + b"/\\#f\n/\\!g\n/other\n"}


def test_a_run_that_adds_nothing_leaves_the_order_to_others(repo: Repo) -> None:
    ignores = opened(repo, ["a.txt", "c d"])
    Path(".gitignore").write_text("/c d\n/a.txt\n")
    ignores.finish()
    assert left() == {".gitignore": b"/c d\n/a.txt\n"}


def test_dvc_writes_nothing_while_it_saves(repo: Repo) -> None:
    ignores = opened(repo, PATHS)
    ignores.ignore(full(["a.txt"])[0])
    assert ignores.paths == full(["a.txt"])
    assert left() == {}
    with pytest.raises(SCMError, match="outside of git repository"):
        ignores.ignore(str(Path.cwd().parent / "x"))


def test_what_could_not_be_written_is_written_later(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    ignores = opened(repo, PATHS)
    ignores.write(full(["c d"]))
    with monkeypatch.context() as patch:
        patch.setattr(Files, "write", _full)
        with pytest.raises(OSError, match="no room"):
            ignores.write(full(["a.txt"]))
    assert left() == {".gitignore": b"/c d\n"}
    ignores.write(full(["a.txt"]))
    assert left() == {".gitignore": b"/a.txt\n/c d\n"}


def _full(*_: object) -> None:
    raise OSError("no room")


def test_a_line_that_another_one_undoes_comes_again_as_under_dvc(repo: Repo) -> None:
    def start() -> None:
        Path(".gitignore").write_text("/a.txt\n!/a.txt\n!/b\n")
        repo.scm._reset()

    start()
    for path in full(["a.txt", "c d"]):
        repo.scm.ignore(path)
    expected = left()
    assert expected == {".gitignore": b"/a.txt\n!/a.txt\n!/b\n/a.txt\n/c d\n"}
    start()
    ignores = opened(repo, PATHS)
    for path in full(["a.txt", "c d", "a.txt"]):
        ignores.write([path])
    assert left() == expected


def test_a_line_that_somebody_takes_out_comes_back(repo: Repo) -> None:
    """Also where it was seen first when another file was looked at."""
    Path(".gitignore").write_text("/a.txt\n/zz\n")
    ignores = opened(repo, PATHS)
    Path(".gitignore").write_text("/zz\n")
    ignores.write(full(["sub/b.txt"]))
    ignores.write(full(["a.txt"]))
    assert left() == {".gitignore": b"/zz\n/a.txt\n", "sub/.gitignore": b"/b.txt\n"}


def test_a_folder_that_is_not_there_keeps_no_other_file_from_its_lines(repo: Repo) -> None:
    ignores = opened(repo, ["new/x", "a.txt"])
    with pytest.raises(FileNotFoundError):
        ignores.write(full(["new/x", "a.txt"]))
    assert left() == {".gitignore": b"/a.txt\n"}


def test_a_path_of_no_planned_stage_comes_last(repo: Repo) -> None:
    ignores = opened(repo, ["c d", "a.txt"])
    for path in ("a.txt", "other", "sub/more", "c d"):
        ignores.write(full([path]))
    assert left() == {".gitignore": b"/c d\n/a.txt\n/other\n", "sub/.gitignore": b"/more\n"}


def test_without_git_there_is_nothing_to_ignore(repo: Repo) -> None:
    repo.close()
    Path(".dvc/config.local").write_text("[core]\n    no_scm = true\n")
    with Repo() as bare:
        ignores = opened(bare, PATHS)
        ignores.ignore("/x/y")
        ignores.write(["/x/y"])
        assert ignores.paths == ["/x/y"]
    assert left() == {}
