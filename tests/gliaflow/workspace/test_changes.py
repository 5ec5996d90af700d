"""What changed of what a stage reads."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dvc.repo import Repo

from gliaflow import api
from gliaflow.core.options import Options
from gliaflow.errors import CommandFailed
from gliaflow.workspace.changes import signature
from tests.support.repos import Project, stock


def test_a_signature_changes_when_the_file_is_written(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    assert signature(str(path)) is None
    path.write_text("1")
    first = signature(str(path))
    assert first is not None
    assert signature(str(path)) == first
    path.read_text()
    assert signature(str(path)) == first
    path.write_text("12")
    assert signature(str(path)) != first


def test_a_signature_changes_with_each_of_time_size_and_file(tmp_path: Path) -> None:
    path, other = tmp_path / "a", tmp_path / "b"
    path.write_text("1")
    other.write_text("2")
    os.utime(path, ns=(0, 1000))
    os.utime(other, ns=(0, 1000))
    first = signature(str(path))
    os.utime(path, ns=(0, 2000))
    assert signature(str(path)) != first
    os.utime(path, ns=(0, 1000))
    assert signature(str(path)) == first
    other.replace(path)
    assert signature(str(path)) != first


def test_a_folder_has_a_signature_and_what_lies_below_a_file_has_none(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    assert signature(str(tmp_path)) is not None
    assert signature(str(tmp_path / "a" / "b")) is None


Case = tuple[str, Callable[[Project], object], dict[str, Any], str]


def edits(**files: str | None) -> Callable[[Project], object]:
    """Write files, named with _ for the dot; None removes one."""

    def edit(project: Project) -> None:
        for name, text in files.items():
            path = project.root / name.replace("_", ".")
            path.unlink() if text is None else path.write_text(text)

    return edit


def stages(**changed: Any) -> Callable[[Project], object]:
    """Write the graph of the table with other keys for `one`."""
    return lambda project: project.pipeline(graph(**changed))


def graph(**changed: Any) -> dict[str, Any]:
    """A stage that reads added data, a file and a parameter, and one that reads its output."""
    one = {"cmd": "cat data.txt seed.txt > a.txt", "deps": ["data.txt", "seed.txt"], "params": ["p"], "outs": ["a.txt"]}
    return {"one": {**one, **changed}, "two": {"cmd": "sed s/1/x/ a.txt > b.txt", "deps": ["a.txt"], "outs": ["b.txt"]}}


def lost(*parts: str) -> Callable[[Project], object]:
    """Remove files and folders."""

    def lose(project: Project) -> None:
        for path in map(project.root.joinpath, parts):
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    return lose


def both(*steps: Callable[[Project], object]) -> Callable[[Project], object]:
    """One after the other."""
    return lambda project: [step(project) for step in steps]


CACHE, OUTS = ".dvc/cache", ("a.txt", "b.txt")
ADVICE = "; 'data.txt.dvc', which makes it, did not: run that, or get it by `dvc checkout` or `dvc pull`"
UNDECLARED = (
    " and which no stage declares as an output: list it under the outs of the stage that makes it, or put it there"
)
CASES: list[Case] = [
    ("nothing", edits(), {}, "data.txt.dvc: unchanged, one: unchanged, two: unchanged"),
    ("source", edits(seed_txt="2\n"), {}, "one: to run: seed.txt changed, two: may run: upstream one will run"),
    ("parameter", edits(params_yaml="p: 2\n"), {}, "one: to run: p 1 → 2, two: may run: upstream one will run"),
    (
        "no parameter",
        edits(params_yaml="q: 2\n"),
        {},
        "one: will fail: Parameters 'p' are missing from 'params.yaml', two: to skip: 'one' will fail",
    ),
    ("command", stages(cmd="cat seed.txt data.txt > a.txt"), {}, "one: to run: its command changed"),
    ("new dependency", both(edits(more="1"), stages(deps=["data.txt", "more"])), {}, "one: to run: more is new"),
    ("always", stages(always_changed=True), {}, "one: to run: it runs every time"),
    (
        "no source",
        lost("seed.txt"),
        {},
        f"one: will fail: stage 'one' reads 'seed.txt', which is not there{UNDECLARED}",
    ),
    ("no source, forced", lost("seed.txt"), {"force": True}, "one: to run: forced, seed.txt is missing"),
    ("forced", edits(), {"force": True}, "data.txt.dvc: to verify: forced, one: to run: forced, two: to run: forced"),
    ("no lock", lost("dvc.lock"), {}, "one: restorable: it is in no dvc.lock yet"),
    ("no lock, no runs", lost("dvc.lock", f"{CACHE}/runs"), {}, "one: to run: it is in no dvc.lock yet"),
    ("no output", lost("a.txt"), {}, "one: restorable: a.txt is missing, two: unchanged"),
    ("no output, no run-cache", lost("a.txt"), {"run_cache": False}, "one: restorable: a.txt is missing"),
    ("output edited", edits(a_txt="x\n"), {}, "one: restorable: a.txt changed, two: unchanged"),
    ("no output, pulled", lost("a.txt"), {"pull": True}, "one: to pull: a.txt is missing, two: unchanged"),
    ("no output, allowed", lost("a.txt"), {"allow_missing": True}, "one: unchanged, two: unchanged"),
    (
        "cloned",
        lost(CACHE, *OUTS),
        {},
        "one: to run: never run here, two: to run: never run here, upstream one will run",
    ),
    ("no objects", lost(f"{CACHE}/files"), {}, "one: to run: a.txt is not in cache"),
    ("no objects, ran here", lost(f"{CACHE}/files", "a.txt"), {}, "one: to run: a.txt is not in cache"),
    (
        "no cache",
        lost(CACHE),
        {},
        "data.txt.dvc: to verify: data.txt is not in cache, one: to run: a.txt is not in cache",
    ),
    (
        "no data",
        lost("data.txt"),
        {},
        "data.txt.dvc: missing; `dvc checkout` or `--pull` puts it back, one: to skip: 'data.txt.dvc' is missing",
    ),
    (
        "no data anywhere",
        lost("data.txt", CACHE),
        {},
        "data.txt.dvc: missing; `dvc pull` or `--pull` fetches it, one: to skip: 'data.txt.dvc' is missing, "
        "two: to skip: 'data.txt.dvc' is missing",
    ),
    ("no data, pulled", lost("data.txt"), {"pull": True}, "data.txt.dvc: to pull: data.txt is missing, one: unchanged"),
    (
        "data edited",
        edits(data_txt="x\n"),
        {},
        "data.txt.dvc: to verify: data.txt changed, one: to run: data.txt changed",
    ),
    ("frozen", both(stages(frozen=True), edits(seed_txt="2\n")), {}, "one: unchanged, two: unchanged"),
    (
        "frozen, no output",
        both(stages(frozen=True), lost("a.txt", CACHE)),
        {},
        "one: missing; `dvc pull` or `--pull` fetches it, two: to skip: 'one' is missing",
    ),
    ("frozen, edited", both(stages(frozen=True), edits(a_txt="x\n")), {}, "one: to verify: a.txt changed"),
    (
        "frozen, never run",
        both(stages(frozen=True), lost("a.txt", "dvc.lock")),
        {},
        "one: missing; no dvc.lock knows it: unfreeze the stage to make it",
    ),
    (
        "failed, ignored",
        lost("data.txt"),
        {"on_error": "ignore"},
        f"one: will fail: stage 'one' reads 'data.txt', which is not there{ADVICE}",
    ),
    ("program", stages(cmd="no-such-program x"), {}, "one: will fail: there is no command 'no-such-program'"),
]


@pytest.mark.parametrize(("edit", "flags", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_each_state_has_its_word_and_its_cause_and_the_run_agrees(
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    edit: Callable[[Project], object],
    flags: dict[str, Any],
    expected: str,
) -> None:
    monkeypatch.setenv("PATH", project.environment["PATH"])
    monkeypatch.chdir(project.root)
    project.write({"data.txt": "0\n", "seed.txt": "1\n", "params.yaml": "p: 1\n"})
    with Repo() as repo:
        repo.add("data.txt")
    project.pipeline(graph())
    assert stock(project.root, all_pipelines=True) == ["one", "two"]
    edit(project)
    options = Options(all_pipelines=True, **{"on_error": "keep-going", **flags})
    found = api.status(project.root, options=options)
    assert expected in ", ".join(map(str, found))
    made = api.reproduce(project.root, options=options, prefect=False, jobs=2)
    for one, result in zip(found, made.results, strict=True):
        if isinstance(result.error, CommandFailed):
            break  # nobody foretells that
        assert one.outcome is result.outcome or not one.certain, f"{one}, but {result.outcome.value}: {result.why}"
