"""Holds the benchmarks to what they say: equal graphs, turns, whole processes, and bars that can be missed."""

import sys
from pathlib import Path

import pytest

from benchmarks import clock, graphs, repro
from benchmarks.clock import Took
from benchmarks.peers import Tool, contest
from benchmarks.table import Bar, Row, show
from tests.support.repos import Project, environment

TWO = """rule all:
    input: 'o1.txt'

rule s0:
    input: 'seed.txt'
    output: 'o0.txt'
    shell: 'cat seed.txt > o0.txt && echo 0 >> o0.txt'

rule s1:
    input: 'o0.txt', 'own.txt'
    output: 'o1.txt'
    shell: 'cat o0.txt own.txt > o1.txt && echo 1 >> o1.txt'
"""
HOLDS = "held = b'x' * 100_000_000; import time; time.sleep(2)"


def test_snakemake_gets_the_same_graph() -> None:
    assert graphs.snakefile(graphs.two("own.txt")) == TWO


def test_braces_in_a_command_are_no_wildcards_of_snakemake() -> None:
    made = graphs.snakefile({"s": {"cmd": "echo ${HOME}", "deps": ["a"], "outs": ["b"]}})
    assert "shell: 'echo ${{HOME}}'" in made


def test_a_graph_is_always_the_same_and_each_stage_reads_earlier_outputs() -> None:
    stages = graphs.graph(50)
    assert stages == graphs.graph(50)
    known = {"seed.txt"}
    for each in stages.values():
        assert set(each["deps"]) <= known
        assert each["cmd"].startswith(f"cat {' '.join(each['deps'])} > {each['outs'][0]}")
        known |= set(each["outs"])


@pytest.mark.parametrize(
    ("bar", "words", "just", "late"),
    [
        (Bar(1.1), "≤ 1.1 ×", 11, 11.1),
        (Bar(1), "≤ 1 ×", 10, 10.1),
        (Bar(1 / 2), "≤ 1/2", 5, 5.1),
        (Bar(1 / 7), "≤ 1/7", 1.42, 1.43),
        (Bar(1, 2), "≤ 1 × + 2 s", 12, 12.1),
    ],
)
def test_a_bar_is_missed_by_what_is_above_it(bar: Bar, words: str, just: float, late: float) -> None:
    rows = [Row("work", Took(seconds, 1, 80), "peer", Took(10, 1, 80), bar) for seconds in (just, late)]
    assert str(bar) == words
    assert [row.missed for row in rows] == [False, True]


def test_the_table_shows_both_times_and_what_else_they_took(capsys: pytest.CaptureFixture[str]) -> None:
    show([Row("work", Took(2.5, 4, 80, 7), "peer", Took(10, 8, 120, 3), Bar(1 / 5))])
    assert capsys.readouterr().out.splitlines()[1].split() == (
        [
            "work",
            "2.50",
            "peer",
            "10.00",
            "0.250",
            "≤",
            "1/5",
            "missed",
            "7",
            ":",
            "3",
            "4.00",
            ":",
            "8.00",
            "80",
            ":",
            "120",
        ]
    )


def test_programs_take_turns_until_each_has_run_as_often_as_it_shall(tmp_path: Path) -> None:
    line = (sys.executable, "-c", "open('../turns', 'a').write(input_ := __import__('os').environ['WHO'])")
    ours, peer = (Tool(name, line, {**environment(tmp_path), "WHO": name}) for name in "ab")
    project = Project(tmp_path / "project", {})
    seen = []

    def ready(tool: Tool, number: int) -> Project:
        seen.append((tool.name, number))
        return project

    found = contest(ready, {ours: 3, peer: 2})
    assert (tmp_path / "turns").read_text() == "ababa"
    assert seen == [("a", 0), ("b", 0), ("a", 1), ("b", 1), ("a", 2)]
    assert (found[ours].runs, found[peer].runs) == (3, 2)


def test_the_median_counts() -> None:
    assert Took.typical([Took(1, 4, 50), Took(9, 5, 70), Took(2, 6, 60)]) == Took(2, 5, 60, 3)


def test_the_peak_is_that_of_all_processes_together(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    child = f"import subprocess, sys; held = b'x' * 100_000_000; subprocess.run([sys.executable, '-c', {HOLDS!r}])"
    took = clock.timed((sys.executable, "-c", child), tmp_path / "in", environment(tmp_path))
    assert 200 < took.megabytes < 400
    assert took.seconds > 2


def test_what_fails_ends_it_with_what_was_printed(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    line = (sys.executable, "-c", "import sys; print('this is why'); sys.exit(3)")
    with pytest.raises(SystemExit, match=r"(?s)^this is why\nerror: .*: exit 3 in "):
        clock.timed(line, tmp_path / "in", environment(tmp_path))


def test_a_part_that_is_not_there_is_named_before_anything_is_measured() -> None:
    with pytest.raises(SystemExit, match=r"^error: no part is called bigger; there are small, stages, restored, "):
        repro.main(["small", "bigger"])


def test_all_parts_are_in_its_help() -> None:
    assert repro.__doc__
    assert all(f"[{part}]" in repro.__doc__ for part in repro.PARTS)
