"""Versions, and the commands that lead to the same again."""

import shlex
from pathlib import Path
from xml.etree.ElementTree import Element

import pytest

from gliaflow.cli.app import app
from gliaflow.page.again import again, command, versions
from tests.support.runs import EVIL, whole


def text(*found: Element) -> str:
    return " ".join(" ".join("".join(one.itertext()) for one in part.iter()) for part in found)


@pytest.mark.parametrize(
    ("parameters", "line"),
    [
        ({}, "gliaflow repro"),
        (None, "gliaflow repro"),
        ({"targets": ["a b", "c"], "flags": {"force": True}}, "gliaflow repro --force 'a b' c"),
        ({"flags": {"on_error": "keep-going", "run_cache": False}}, "gliaflow repro --keep-going --no-run-cache"),
        ({"flags": {"on_error": "ignore", "all_pipelines": True}}, "gliaflow repro --ignore-errors --all-pipelines"),
        ({"targets": ["-x"]}, "gliaflow repro -- -x"),
    ],
)
def test_the_call(parameters: object, line: str) -> None:
    assert command(parameters) == line
    app.parse_args(shlex.split(line)[1:], exit_on_error=False, print_error=False)  # raises if it is no call of it


def test_how_to_get_the_same_again(tmp_path: Path) -> None:
    run = whole(tmp_path)
    run.versions = {"code": {"changed": ["train.py", EVIL], "more": 1}}
    shown = again(run)
    assert "".join(shown[1].itertext()) == f"git checkout {'c' * 40}\ndvc pull\ngliaflow repro --force two"
    assert "3 paths differed" in text(*shown)
    run.first["commit"] = run.versions = {}
    assert "names no commit" in text(*again(run))
    assert "git checkout" not in text(*again(run))


def test_versions_of_code_data_and_packages(tmp_path: Path) -> None:
    run = whole(tmp_path)
    run.versions = {"code": {"changed": []}, "python": "3.11.7", "packages": {"dvc": "3.67.1", "numpy": "2.0"}}
    assert run.seen.end
    run.seen.end["locks"] = {"dvc.lock": "9" * 32}
    shown = text(*versions(run))
    for part in (
        "c" * 40,
        "nothing",
        "9" * 32,
        "3.11.7",
        "dvc 3.67.1",
        "requirements.lock",
        "2" * 32,
        "loss.tsv",
        "rate",
    ):
        assert part in shown
    run.versions = {}
    assert "not known" in text(*versions(run))
