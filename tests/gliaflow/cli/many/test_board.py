"""What a person sees of experiments: lines, and on a terminal a live table."""

from io import StringIO

import pytest
from rich.console import Console

from gliaflow.cli.many.board import Board, failures, ordered, short, table
from gliaflow.experiments.results import Experiment, Fate, Progress


def experiment(name: str, a: str, acc: float | None = None, fate: Fate = Fate.DONE, **more: object) -> Experiment:
    metrics = {} if acc is None else {"m.json": {"test.acc": acc}}
    return Experiment(name, {"train.a": a}, fate, "f00", metrics, {}, 1.25, **more)  # type: ignore[arg-type]


ONE, TWO = experiment("one", "1", 0.5), experiment("two", "2", 0.75)
LOST = experiment("lost", "3", fate=Fate.FAILED, error="stage 'x': exited with 1", tail=["a", "b", "c", "d", "e", "f"])


def printed(grid: object) -> list[str]:
    file = StringIO()
    Console(file=file, width=100).print(grid)
    return [line.rstrip() for line in file.getvalue().splitlines()]


def test_a_line_for_each_that_has_ended() -> None:
    file = StringIO()
    with Board(4, ["train.a"], file=file) as board:
        for one in (Progress("one", ONE.params, ""), ONE, LOST, experiment("old", "0", 1, Fate.KNOWN), TWO):
            board.hear(one)
    assert file.getvalue().splitlines() == [
        "[1/4]  one  a=1  acc 0.5  1.2 s",
        "[2/4]  lost  a=3  failed: stage 'x': exited with 1  1.2 s",
        "[4/4]  two  a=2  acc 0.75  1.2 s",
    ]


def test_quiet_is_quiet() -> None:
    file = StringIO()
    with Board(1, ["train.a"], quiet=True, file=file) as board:
        board.hear(ONE)
    assert file.getvalue() == ""


def test_the_live_table_shows_the_best_what_runs_and_how_far_it_is() -> None:
    board = Board(9, ["train.a"], "acc", file=StringIO())
    for one in (ONE, TWO, LOST, Progress("busy", {"train.a": "4"}, ""), Progress("busy", {"train.a": "4"}, "train")):
        board.hear(one)
    head, *rows, last = printed(board._drawn())
    assert head.split() == ["experiment", "a", "acc", "time"]
    assert [row.split() for row in rows] == [
        ["two", "2", "0.75", "1.2", "s", "best"],
        ["one", "1", "0.5", "1.2", "s"],
        ["busy", "4", "0", "s", "train"],
    ]
    assert last == "3 of 9 experiments, 1 failed; 0 s"


def test_the_live_table_does_not_grow_without_end() -> None:
    board = Board(100, ["train.a"], file=StringIO())
    for number in range(100):
        board.hear(experiment(f"e{number}", str(number), number))
    rows = printed(board._drawn())
    assert len(rows) == 12
    assert rows[-2].split()[0] == "e99"


def test_the_whole_table_marks_the_best_the_known_and_the_failed() -> None:
    found = [experiment("old", "0", 0.25, Fate.KNOWN), ONE, LOST]
    rows = [row.split() for row in printed(table(found, ["train.a"], ["acc"], "acc", minimize=True))]
    assert rows[1] == ["old", "0", "0.25", "1.2", "s", "best"]
    assert rows[3] == ["lost", "3", "1.2", "s", "failed"]
    rows = [row.split() for row in printed(table(found, ["train.a"], ["acc"]))]
    assert rows[1][-1] == "known"


@pytest.mark.parametrize(
    ("metric", "minimize", "expected"),
    [("acc", False, "two one lost"), ("acc", True, "one two lost"), (None, False, "lost one two")],
)
def test_the_order(metric: str | None, minimize: bool, expected: str) -> None:
    assert " ".join(one.name for one in ordered([LOST, ONE, TWO], metric, minimize)) == expected


def test_what_failed_with_its_last_lines() -> None:
    told = "lost (train.a=3) failed: stage 'x': exited with 1"
    assert list(failures([LOST])) == [told, "    b", "    c", "    d", "    e", "    f"]


def test_short_names() -> None:
    assert [short(name) for name in ("a.b.c", "c", "m.json:c", "m.json:a.c")] == ["c"] * 4
