"""What a terminal shows of what programs print: hand-worked cases, and any bytes in any pieces."""

import codecs
import locale
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gliaflow.terminal.text import CONTROL, LONGEST_LINE, SHOW_SECONDS, Lines, encoding, plain

RED, OFF = "\x1b[31m", "\x1b[0m"
UP = "\x1b[A"


class Heard:
    """What is told of pieces of output, while time passes fast."""

    def __init__(self, *pieces: bytes, code: str = "utf-8") -> None:
        self.whole: list[str] = []
        self.unfinished: list[str] = []
        self.now = 0.0
        made = Lines(self._hear, self._clock, code)
        for piece in pieces:
            made.feed(piece)
        made.feed(b"", last=True)

    def _hear(self, text: str, whole: bool) -> None:
        (self.whole if whole else self.unfinished).append(text)

    def _clock(self) -> float:
        self.now += 2 * SHOW_SECONDS
        return self.now


@pytest.mark.parametrize(
    ("printed", "lines"),
    [
        ("", []),
        ("\n", [""]),
        ("a\nb", ["a", "b"]),
        ("a\r\nb\r\r\n\r\n", ["a", "b", ""]),
        ("a\tb\n", ["a\tb"]),
        # bars
        ("10%\r50%\r100%\ndone\n", ["100%", "done"]),
        ("10%\r50%\r", ["50%"]),
        ("\r\x1b[2K10%\r\x1b[2K100%\n", ["100%"]),
        ("longer\r\x1b[Kshort\n", ["short"]),
        ("gone\r\x1b[K", []),
        ("longer\x1b[1Gnew\n", ["new"]),
        ("10%\b\b\b100%\n", ["100%"]),
        ("|\b/\b-\b\n", [""]),
        ("b\bbo\bold\n", ["bold"]),
        ("a\x1b[3Cb\x1b[2Dc\n", ["a  c"]),
        # what moves no line
        ("\x1b[?25la\x1b[?25h\n", ["a"]),
        ("\x1b]0;title\x07a\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\\n", ["alink"]),
        ("\x1bPdevice\x1b\\a\x1b(Bb\x1b=c\x1b7d\x1b8\n", ["abcd"]),
        ("a\0b\x07c\x0bd\x0ce\x7ff\N{NEXT LINE}g\x9b?25hh\n", ["abcdefgh"]),
        ("\x1b]never ended\na\n", ["", "a"]),
        ("\x1b[12", []),
        ("\x1b[\na\n", ["", "a"]),
        # colours
        (f"{RED}a{OFF}b\n", [f"{RED}a{OFF}b{OFF}"]),
        (f"{RED}a\nb\n{OFF}c\n", [f"{RED}a{OFF}", f"{RED}b{OFF}", "c"]),
        (f"{RED}10%\r20%{OFF}\n", [f"{RED}20%{OFF}"]),
        ("\x1b[1m\x1b[31ma\x1b[m\n", [f"\x1b[1m{RED}a\x1b[m{OFF}"]),
        # bars of several lines are lines when something comes below them
        (f"A 0%\nB 0%{UP}\rA 50%\n\rB 50%{UP}\rA 100%\n\rB 100%\nend\n", ["A 0%", "A 100%", "B 100%", "end"]),
        (f"A 0%\nB 0%\r\x1b[2K{UP}\x1b[2KA 100%\nB 100%", ["A 0%", "A 100%", "B 100%"]),
        (f"A 0%\nB 0%\r{UP}log\nA 1%\nB 1%\n", ["A 0%", "log", "A 1%", "B 1%"]),
        (f"A\n\rinner{UP}\r          \n\r        {UP}\rA done\n\nend\n", ["A", "A done", "        ", "end"]),
        (f"{UP}{UP}a\nb\n", ["a", "b"]),
        ("a\n\x1b[9999Ab\nc\n", ["a", "b", "c"]),
        ("\x1b[H\x1b[2Ja\n", ["a"]),
    ],
)
def test_what_stays_of_what_was_printed(printed: str, lines: list[str]) -> None:
    data = printed.encode()
    assert Heard(data).whole == lines
    assert Heard(*(data[place : place + 1] for place in range(len(data)))).whole == lines


def test_states_of_an_unfinished_line_are_shown_each_once() -> None:
    heard = Heard(b"10%", b"", b"\r50", b"%", b"\r   \r", b"\r100%\n", b"a")
    assert heard.unfinished == ["10%", "50", "50%", "a"]
    assert heard.whole == ["100%", "a"]


def test_states_that_come_fast_are_shown_now_and_then_and_the_last_one_always() -> None:
    shown: list[str] = []
    now = [0.0]
    lines = Lines(lambda text, _: shown.append(text), lambda: now[0])
    for number in range(1000):
        now[0] = number / 1000
        lines.feed(f"\r{number}".encode())
    assert len(shown) == 10
    now[0] += SHOW_SECONDS
    lines.show()
    lines.show()
    assert shown[10:] == ["999"]


def test_a_bar_of_several_lines_moves_where_it_was_written() -> None:
    steps = [f"{UP}\rA {n}%\n\rB {n}%".encode() for n in (50, 100)]
    assert Heard(b"A 0%\nB 0%", *steps).unfinished == ["B 0%", "B 50%", "B 100%"]
    assert Heard(b"A\nB", f"{UP}\rA 1".encode(), b"\n").unfinished == ["B", "A 1", "B"]


@pytest.mark.parametrize("printed", [b"x" * (LONGEST_LINE * 3), b"\x1b[1m" + b"x" * (LONGEST_LINE * 3), b"." * 200_000])
def test_a_line_beyond_the_limit_is_cut_and_loses_nothing(printed: bytes) -> None:
    lines = Heard(*(printed[place : place + 1000] for place in range(0, len(printed), 1000))).whole
    assert "".join(plain(line) for line in lines) == plain(printed.decode())
    assert all(len(line) < LONGEST_LINE + 100 for line in lines)


@pytest.mark.parametrize(
    ("code", "printed", "shown"),
    [
        ("utf-8", "ä→".encode(), "ä→"),
        ("utf-8", b"a\xffb\xc3\xa4", "a\N{REPLACEMENT CHARACTER}bä"),
        ("utf-8", b"a\xc3", "a\N{REPLACEMENT CHARACTER}"),
        ("latin-1", "größer\x85".encode("latin-1"), "größer"),
        ("euc-jp", "名前".encode("euc-jp"), "名前"),
    ],
)
def test_each_encoding_is_read_as_it_was_printed(code: str, printed: bytes, shown: str) -> None:
    assert Heard(printed, code=code).whole == [shown]
    assert Heard(*(bytes([one]) for one in printed), code=code).whole == [shown]


@pytest.mark.parametrize(
    ("found", "used"), [("ANSI_X3.4-1968", "utf-8"), ("UTF-8", "utf-8"), ("ISO-8859-1", "iso8859-1")]
)
def test_programs_print_in_the_encoding_of_the_locale(monkeypatch: pytest.MonkeyPatch, found: str, used: str) -> None:
    monkeypatch.setattr(locale, "getencoding", lambda: found)
    assert encoding() == used
    assert codecs.lookup(used)


PIECES = st.sampled_from(
    ["a", "é", "\n", "\r", "\b", UP, "\x1b[2K", "\x1b[J", RED, OFF, "\x1b", "\x1b[", "\x1b]x", "\x07", "\t"]
)


@given(st.lists(st.one_of(PIECES, st.text(max_size=3)), max_size=40), st.integers(1, 7))
def test_whatever_is_printed_a_line_holds_text_and_colours_alone(printed: list[str], size: int) -> None:
    data = "".join(printed).encode("utf-8", "surrogatepass")
    whole, pieces = Heard(data), Heard(*(data[place : place + size] for place in range(0, len(data), size)))
    assert whole.whole == pieces.whole
    for line in whole.whole + whole.unfinished + pieces.unfinished:
        assert not CONTROL.search(re.sub(r"\x1b\[[0-?]*[ -/]*m", "", line))
        assert "\n" not in line
        assert line.endswith(OFF) or "\x1b" not in line
        assert not CONTROL.search(plain(line))


@pytest.mark.parametrize(
    ("text", "shown", "coloured"),
    [
        ("a\tb", "a\tb", "a\tb"),
        (f"{RED}a{OFF}", "a", f"{RED}a{OFF}"),
        (f"{RED}a\x1b[2Jb", "ab", f"{RED}ab{OFF}"),
        ("old\rnew\r", "new", "new"),
        ("\x1b", "", ""),
    ],
)
def test_plain(text: str, shown: str, coloured: str) -> None:
    assert (plain(text), plain(text, colours=True)) == (shown, coloured)
