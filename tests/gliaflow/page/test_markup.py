"""Elements escape what they hold; numbers and times as people read them."""

import pytest

from gliaflow.page.markup import duration, moment, number, prose, put, shortened, size, tag, written
from tests.support.runs import EVIL


def test_text_and_attributes_are_escaped() -> None:
    shown = written(
        tag("p", "<b>", tag("i", "&"), "tail ", None, ["x", [tag("br")]], title='"<>', class_="a", data_x=1)
    )
    assert shown == '<p title="&quot;<&gt;" class="a" data-x="1">&lt;b&gt;<i>&amp;</i>tail x<br></p>'


def test_what_is_no_text_becomes_a_mark() -> None:
    shown = written(tag("p", EVIL, title=EVIL))
    assert "<script" not in shown.split(">", 1)[1]
    assert "\0" not in shown
    assert "\x1b" not in shown
    shown.encode()
    assert "a\tb\n" in written(tag("p", "a\tb\nc"))


def test_attributes_that_are_not_given_are_left_out() -> None:
    assert written(tag("details", open=True, class_=None, hidden=False)) == '<details open=""></details>'


def test_more_text_goes_to_the_end() -> None:
    made = tag("p", tag("b", "x"))
    put(made, ["y", "z"])
    assert written(made) == "<p><b>x</b>yz</p>"
    assert written(tag("p", prose("call `dvc pull` first"))) == "<p>call <code>dvc pull</code> first</p>"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.314, "0.31 s"), (1.0, "1.0 s"), (59.94, "59.9 s"), (59.96, "1 min 00 s"), (185, "3 min 05 s"),
        (3599.6, "1 h 00 min"), (7620, "2 h 07 min"),
    ],
)  # fmt: skip
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_other_words() -> None:
    assert [size(None), size(0), size(1023), size(3 << 20)] == ["", "0 B", "1023 B", "3 MB"]
    assert [number(1, "stage"), number(0, "stage"), number(2, "stage")] == ["1 stage", "0 stages", "2 stages"]
    assert [shortened("abcdef", 6), shortened("abcdefg", 5), len(shortened("x" * 99, 34))] == ["abcdef", "ab…fg", 34]
    assert moment(1e9).startswith("2001-09-09 ")
