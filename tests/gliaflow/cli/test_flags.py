"""What `--json` prints: one document on standard output, and nothing else there."""

import json
import math
from pathlib import Path

import pytest

from gliaflow.cli.flags import answer


def test_a_person_gets_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with answer(False) as tell:
        print("working")
        tell({"a": 1}, ["one", "two"])
    assert capsys.readouterr() == ("working\none\ntwo\n", "")


def test_a_program_gets_one_document_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    with answer(True) as tell:
        print("working")
        tell({"a": [1, "→"]}, ["one", "two"])
        print("done")
    said = capsys.readouterr()
    assert json.loads(said.out) == {"a": [1, "→"]}
    assert said.out.count("\n") == 1
    assert said.err == "working\ndone\n"
    print("later")
    assert capsys.readouterr().out == "later\n"


def test_after_an_error_there_is_no_document(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="broken"), answer(True):
        print("working")
        raise ValueError("broken")
    assert capsys.readouterr() == ("", "working\n")


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (math.nan, None),
        ({"a": (math.inf, [-math.inf, 0.1])}, {"a": [None, [None, 0.1]]}),
        ({1: True}, {"1": True}),
        (Path("a/b"), "a/b"),
        (0.1 + 0.2, 0.1 + 0.2),
    ],
)
def test_every_value_has_a_word_in_json(capsys: pytest.CaptureFixture[str], value: object, found: object) -> None:
    with answer(True) as tell:
        tell(value, [])
    assert json.loads(capsys.readouterr().out, parse_constant=pytest.fail) == found
