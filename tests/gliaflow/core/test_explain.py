from typing import Any

import pytest

from gliaflow.cli.repro import Flags, repro
from gliaflow.core.explain import ABSENT, SHOWN, advice, differences, sentence
from gliaflow.core.report import Asked, Change, Outcome, StageResult, Used
from tests.support.repos import Project, stock


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ({"epochs": 5, "seed": 1}, {"epochs": 20, "seed": 1}, "lgg.train.epochs 5 → 20"),
        ({"unet": {"depth": 4, "width": 8}}, {"unet": {"depth": 3, "width": 8}}, "lgg.train.unet.depth 4 → 3"),
        ({"a": 1, "b": 2}, {"a": 2, "b": 3}, "lgg.train.a 1 → 2, lgg.train.b 2 → 3"),
        ({"a": 1}, {"a": 1, "b": {"c": 2}}, "lgg.train.b nothing → {'c': 2}"),
        ({"a": 1, "b": 2}, {"b": 2}, "lgg.train.a 1 → nothing"),
        ({"a": {"b": 1}}, {"a": 5}, "lgg.train.a {'b': 1} → 5"),
        ({}, {"a": {"b": 1}}, "lgg.train.a nothing → {'b': 1}"),
        (None, 0.5, "lgg.train null → 0.5"),
        (ABSENT, None, "lgg.train nothing → null"),
        ({"a": 1, "best": None}, {"a": 1}, "lgg.train.best null → nothing"),
        (ABSENT, ABSENT, "lgg.train is missing"),
        (0, False, ""),
        ([1, 2], [1, 3], "lgg.train [1, 2] → [1, 3]"),
        ({"a": 1}, {"a": 1}, ""),
    ],
)
def test_a_parameter_is_told_by_the_leaves_that_differ(old: Any, new: Any, said: str) -> None:
    assert sentence([Change("parameter", "lgg.train", old, new)]) == said


def test_a_leaf_of_nothing_that_comes_or_goes_is_told() -> None:
    assert sentence([Change("parameter", "lgg.train", {"best": None}, {})])
    assert sentence([Change("parameter", "lgg.train", {}, {"best": None})])


def test_a_long_value_is_cut() -> None:
    said = sentence([Change("parameter", "path", "x" * 41, "y" * 40)])
    assert said == f"path {'x' * 39}… → {'y' * 40}"


def test_a_value_of_several_lines_is_told_in_one() -> None:
    assert "\n" not in sentence([Change("parameter", "prompt", "a\nb", "a\nc")])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (Change("dependency", "data/a.csv", new="modified"), "data/a.csv changed"),
        (Change("dependency", "data/a.csv", new="deleted"), "data/a.csv is missing"),
        (Change("dependency", "data/a.csv", new="new"), "data/a.csv is new"),
        (Change("output", "model.pt", new="modified"), "model.pt changed"),
        (Change("output", "model.pt", new="deleted"), "model.pt is missing"),
        (Change("output", "model.pt", new="not in cache"), "model.pt is not in cache"),
        (Change("command", "its command changed"), "its command changed"),
        (Change("new", "it is in no dvc.lock yet"), "it is in no dvc.lock yet"),
        (Change("force", "forced"), "forced"),
    ],
)
def test_every_kind_of_change_has_its_words(change: Change, said: str) -> None:
    assert sentence([change]) == said


def test_changes_are_told_in_their_order() -> None:
    changes = [
        Change("parameter", "lgg.train", {"epochs": 5}, {"epochs": 20}),
        Change("dependency", "stages/lgg/unet.py", new="modified"),
    ]
    assert sentence(changes) == "lgg.train.epochs 5 → 20, stages/lgg/unet.py changed"
    assert sentence(iter(changes)) == sentence(changes)
    assert sentence([]) == ""


def test_no_more_than_four_are_told_and_the_rest_is_counted() -> None:
    assert SHOWN == 4
    four = [Change("dependency", name, new="modified") for name in "abcd"]
    assert sentence(four) == "a changed, b changed, c changed, d changed"
    more = Change("parameter", "p", {"x": 1, "y": 1}, {"x": 2, "y": 2})
    assert sentence([*four, more]) == "a changed, b changed, c changed, d changed, 2 more"
    assert sentence([more, *four]) == "p.x 1 → 2, p.y 1 → 2, a changed, b changed, 2 more"


def test_differences_are_full_names_with_both_values() -> None:
    old, new = {"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 1, "c": 4}, "d": 5}
    assert list(differences("p", old, new)) == [("p.a.c", 2, 4), ("p.d", 3, 5)]
    assert [name for name, _, _ in differences("p", {"a": 1, "b": {"c": 1}}, {"e": 5})] == ["p.a", "p.b", "p.e"]


def test_dry_tells_null_from_absent_and_what_changed_itself_from_what_will(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    def dry(pull: bool = False) -> list[str]:
        capsys.readouterr()
        repro(repo=project.root, flags=Flags(dry=True, pull=pull))
        return capsys.readouterr().out.splitlines()

    one = {"cmd": "cp seed.txt a.txt; echo 1 > d", "deps": ["seed.txt"], "params": ["p"], "outs": ["a.txt", "d"]}
    two = {"cmd": "cat a.txt d > b.txt", "deps": ["a.txt", "d", "code"], "params": ["q"], "outs": ["b.txt"]}
    project.write({"seed.txt": "1\n", "code/x.py": "1\n", "params.yaml": "p: {alpha: null}\nq: 1\n"})
    project.pipeline({"one": one, "two": two})
    assert stock(project.root) == ["one", "two"]
    assert dry(pull=True) == ["one: unchanged", "two: unchanged"]
    project.write({"params.yaml": "p: {beta: null}\nq: 2\n", "code/x.py": "2\n"})
    (project.root / "d").unlink()
    assert dry() == [
        "one: to run: p.alpha null → nothing, p.beta nothing → null",
        "two: to run: code changed, q 1 → 2, upstream one will run",
    ]
    assert dry(pull=True)[2:] == ["--dry did not look at the remote: --pull may fetch what is said here to run"]
    project.write({"params.yaml": "q: 2\n"})
    assert dry()[0] == "one: will fail: Parameters 'p' are missing from 'params.yaml'"


GIB = 1 << 30


@pytest.mark.parametrize(
    ("asked", "used", "said"),
    [
        (Asked(mem_bytes=16 * GIB), Used(60, 60, 15 * GIB), "used 15 GB of memory and asked for 16 GB (meta.mem)"),
        (Asked(mem_bytes=16 * GIB), Used(60, 60, 20 * GIB), "used 20 GB of memory and asked for 16 GB (meta.mem)"),
        (Asked(mem_bytes=16 * GIB), Used(60, 60, GIB), "used 1 GB of the 16 GB of memory that it asked for (meta.mem)"),
        (Asked(mem_bytes=16 * GIB), Used(60, 60, 8 * GIB), ""),
        (Asked(mem_bytes=16 * GIB), Used(9, 9, GIB), ""),
        (Asked(cpus=8), Used(60, 72, GIB), "kept 1.2 of the 8 CPUs busy that it asked for (meta.cpus)"),
        (Asked(cpus=8), Used(60, 240, GIB), ""),
        (Asked(), Used(60, 1, GIB), ""),
        (
            Asked(cpus=4, mem_bytes=8 * GIB),
            Used(10, 5, GIB),
            "used 1 GB of the 8 GB of memory that it asked for (meta.mem), and kept 0.5 of the 4 CPUs busy that it "
            "asked for (meta.cpus)",
        ),
        (None, Used(60, 1, GIB), ""),
        (Asked(cpus=8), None, ""),
    ],
)
def test_what_was_used_is_held_against_what_was_asked_for(asked: Asked | None, used: Used | None, said: str) -> None:
    assert advice(StageResult("train", Outcome.RUN, asked=asked, used=used)) == said
