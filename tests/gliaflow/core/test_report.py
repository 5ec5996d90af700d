"""What became of a run, counted and raised as DVC does."""

import pytest

from gliaflow.core.options import OnError
from gliaflow.core.report import Outcome, Report, StageResult, Undeclared
from gliaflow.errors import NotReproduced, UserError

BAD = StageResult("bad", Outcome.FAILED, error=UserError("no\nfile"))
WORSE = StageResult("worse", Outcome.FAILED, error=ValueError("a bug"))
RESULTS = (StageResult("first", Outcome.RUN), BAD, StageResult("skipped", Outcome.SKIPPED, "'bad' failed"), WORSE)


def test_reproduced_is_what_ran_or_was_restored_or_verified() -> None:
    report = Report(tuple(StageResult(outcome.name, outcome) for outcome in Outcome))
    assert report.reproduced == ["RESTORED", "SAVED", "RUN"]
    assert [result.address for result in report.failed] == ["FAILED"]


def test_why_is_the_error_on_one_line_unless_it_is_told() -> None:
    assert BAD.why == "no file"
    assert StageResult("s", Outcome.FAILED, "told", error=ValueError("other")).why == "told"
    assert StageResult("s", Outcome.RUN).why == ""


@pytest.mark.parametrize(
    ("on_error", "addresses", "words"),
    [
        ("fail", ["bad"], "failed to reproduce 'bad': no file"),
        ("keep-going", ["bad", "worse"], "failed to reproduce stages: 'bad' and 'worse': no file"),
    ],
)
def test_the_first_failure_is_the_cause(on_error: OnError, addresses: list[str], words: str) -> None:
    with pytest.raises(NotReproduced) as caught:
        Report(RESULTS, on_error).raise_if_failed()
    assert (caught.value.addresses, str(caught.value), caught.value.exit_code) == (addresses, words, 2)
    assert caught.value.__cause__ is BAD.error


def test_nothing_is_raised_of_a_run_without_failures_or_that_ignores_them() -> None:
    Report(RESULTS[:1]).raise_if_failed()
    Report(RESULTS, "ignore").raise_if_failed()


def test_what_is_not_declared_is_told_in_a_sentence_each() -> None:
    assert Undeclared().sentences("s") == []
    assert Undeclared(("a",), ("b", "c")).sentences("s") == [
        "s read a, which is none of its deps",
        "s wrote b, c, which are none of its outputs",
    ]
    many = Undeclared(tuple("abcdefg"))
    assert many.sentences("s") == ["s read a, b, c, d, e and 2 more, which are none of its deps"]
    assert (many.count, Undeclared(("a",), ("b",)).count) == (7, 2)
