"""What a person sees of a run: on terminals of every sort, and where lines stay."""

import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from io import StringIO
from pathlib import Path
from typing import TextIO

import pytest

from gliaflow.cli.screen import PROGRESS_SECONDS, Screen, clock
from gliaflow.core.report import Began, Line, Message, Outcome, Report, StageEnded, StageResult, Summary, Undeclared
from gliaflow.terminal.pseudo import Shown
from tests.support.terminals import CODE, Terminal, texts

XTERM = {"TERM": "xterm"}


class Slow(StringIO):
    """A file in the middle of whose writes another thread may come."""

    def write(self, text: str) -> int:
        number = super().write(text)
        time.sleep(0.001)
        return number


class Hours:
    """A clock that a test moves."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    """Of 60 columns."""
    with Terminal(60) as made:
        yield made


def plain(quiet: bool = False, verbose: bool = False) -> tuple[Screen, StringIO]:
    """A screen that is no terminal."""
    file = StringIO()
    return Screen(file, quiet, verbose), file


def on(
    terminal: Terminal, quiet: bool = False, verbose: bool = False, environment: Mapping[str, str] = XTERM
) -> Screen:
    return Screen(terminal.file(), quiet, verbose, environment={**XTERM, **environment})


def began(screen: Screen, address: str, commands: list[str]) -> None:
    screen.hear(Began(address, commands))


def line(screen: Screen, address: str, text: str, whole: bool, styled: str = "") -> None:
    screen.hear(Line(address, text, whole, styled))


def ended(screen: Screen, result: StageResult) -> None:
    screen.hear(StageEnded(result))


def summary(screen: Screen, results: list[StageResult]) -> None:
    screen.hear(Summary(Report(tuple(results))))


def play(screen: Screen) -> None:
    """A stage that runs and one that fails."""
    with screen:
        screen.say("hello")
        began(screen, "lgg-train", ["python -m stages.lgg.train", "echo end"])
        line(screen, "lgg-train", "epoch 1", whole=True)
        line(screen, "lgg-train", "epoch 2: 50%", whole=False)
        ended(screen, StageResult("lgg-train", Outcome.RUN, "seed 1 → 2", 62.34))
        began(screen, "lgg-evaluate", ["false"])
        ended(screen, StageResult("lgg-evaluate", Outcome.FAILED, error=ValueError("no\nmodel"), tail=["last words"]))
        summary(screen, [StageResult("lgg-train", Outcome.RUN), StageResult("lgg-evaluate", Outcome.FAILED)])


def test_elsewhere_than_on_a_terminal_whole_lines_come_as_they_are() -> None:
    screen, file = plain()
    play(screen)
    assert file.getvalue().splitlines() == [
        "hello",
        "lgg-train > python -m stages.lgg.train",
        "lgg-train > echo end",
        "lgg-train | epoch 1",
        "lgg-train: ran in 62.3 s: seed 1 → 2",
        "lgg-evaluate > false",
        "lgg-evaluate: failed: no model",
        "1 ran, 1 failed",
    ]


@pytest.mark.parametrize("text", ["[bold]x[/bold] :smile:", "x" * 500, "", "a\tb", "12 of 'a' in 0.5"])
def test_what_a_stage_prints_is_neither_markup_nor_cut_nor_coloured(text: str) -> None:
    screen, file = plain()
    line(screen, "a", text, whole=True)
    assert file.getvalue() == f"a | {text}\n"


def test_a_line_is_there_at_once_and_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    Screen().hear(Line("a", "b", whole=True))
    assert capsys.readouterr() == ("a | b\n", "")


def test_lines_of_stages_side_by_side_stay_whole() -> None:
    file = Slow()
    screen = Screen(file)
    names = [f"stage{number}" for number in range(4)]

    def one(name: str) -> None:
        for _ in range(20):
            line(screen, name, "text", whole=True)

    threads = [threading.Thread(target=one, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(file.getvalue().splitlines()) == sorted(f"{name} | text" for name in names for _ in range(20))


def test_a_terminal_shows_a_live_line_for_each_running_stage(terminal: Terminal) -> None:
    with on(terminal) as screen:
        began(screen, "lgg-train", ["python -m stages.lgg.train"])
        began(screen, "mnist-train", ["python -m stages.mnist.train"])
        assert terminal.shows("^lgg-train 0:0. python -m stages.lgg.train$")
        line(screen, "lgg-train", "epoch 3: 50%", whole=False)
        line(screen, "mnist-train", "[bold]loss[/bold] 0.5", whole=True)
        assert terminal.shows("^lgg-train 0:0. epoch 3: 50%$")
        assert terminal.shows(r"^mnist-train 0:0. \[bold\]loss\[/bold\] 0.5$")
        assert "|" not in terminal.printed
    assert terminal.left() == ["lgg-train > python -m stages.lgg.train", "mnist-train > python -m stages.mnist.train"]


def test_a_live_line_ends_with_its_stage(terminal: Terminal) -> None:
    with on(terminal) as screen:
        began(screen, "first", ["sleep"])
        assert terminal.shows("^first 0:0")
        ended(screen, StageResult("first", Outcome.RUN, seconds=1.26))
        assert terminal.shows(r"^first: ran in 1\.3 s$")
        began(screen, "second", ["sleep"])
        since = len(terminal.printed)
        line(screen, "second", "on", whole=True)
        assert terminal.shows("^second 0:0. on$", since)
        assert not any(text.startswith("first 0:0") for text in texts(terminal.printed[since:]))


def test_a_long_line_is_cut_and_leaves_the_name_and_the_clock(terminal: Terminal) -> None:
    with on(terminal) as screen:
        began(screen, "lgg-train", ["true"])
        line(screen, "lgg-train", "y" * 500, whole=False)
        assert terminal.shows("^lgg-train 0:0. y+…$")
        assert all(len(text) < 60 for text in texts(terminal.printed))


def test_a_terminal_shows_the_last_words_of_a_failed_stage(terminal: Terminal) -> None:
    play(on(terminal))
    assert [text for text in terminal.left() if "|" in text] == ["lgg-evaluate | last words"]
    assert "lgg-evaluate: failed: no model" in terminal.left()
    assert terminal.left()[-1] == "1 ran, 1 failed"


@pytest.mark.parametrize("live", [False, True])
def test_quiet_prints_nothing(live: bool, terminal: Terminal, capfd: pytest.CaptureFixture[str]) -> None:
    screen, file = plain(quiet=True)
    play(on(terminal, quiet=True) if live else screen)
    terminal.close()
    assert (file.getvalue(), terminal.printed) == ("", "")
    assert capfd.readouterr() == ("", "")


def test_verbose_on_a_terminal_prints_every_line_once_and_it_stays(terminal: Terminal) -> None:
    play(screen := on(terminal, verbose=True))
    ended(screen, StageResult("a", Outcome.UNCHANGED))
    assert [text for text in terminal.left() if "|" in text] == ["lgg-train | epoch 1"]
    assert "a: unchanged" in terminal.left()


def test_lines_and_live_lines_never_mix(terminal: Terminal) -> None:
    with on(terminal, verbose=True) as screen:
        for name in ("one", "two", "three"):
            began(screen, name, ["true"])
        for number in range(200):
            line(screen, "two", f"line {number} " + "x" * (number % 150), whole=True)
        for name in ("one", "two", "three"):
            ended(screen, StageResult(name, Outcome.RUN))
    left = "\n".join(terminal.left())
    wanted = [f"two | line {number} " + "x" * (number % 150) for number in range(200)]
    broken = [text[start : start + 60].rstrip() for text in wanted for start in range(0, len(text), 60)]
    assert "\n".join(broken) in left
    assert "0:0" not in left


@pytest.mark.parametrize(("lines", "rows"), [(24, 22), (10, 8), (4, 2), (2, 1), (1, 1)])
def test_no_more_live_lines_than_the_terminal_has_room_for(lines: int, rows: int) -> None:
    with Terminal(60, lines) as terminal:
        with on(terminal) as screen:
            screen.hear_all([Began(f"stage{number}", ["true"]) for number in range(200)])
            assert terminal.shows(f"… and {200 - rows + 1} more")
            screen.say("once more")
            assert terminal.shows("once more")
        terminal.close()
        states = terminal.printed.split("once more\r\n")[1].split("\x1b[J")
        assert len(states) > 1
        assert {state.count("\n") for state in states[:-1]} == {rows}
        assert terminal.left() == [*(f"stage{number} > true" for number in range(200)), "once more"]


@pytest.mark.parametrize("columns", [1, 5, 9, 20, 59, 300])
def test_a_terminal_of_any_width_has_one_row_for_each_running_stage(columns: int) -> None:
    with Terminal(columns) as terminal:
        with on(terminal) as screen:
            screen.hear_all([Began("ab", ["x"]), Began("a-long-名前-of-a-stage", ["y"])])
            line(screen, "ab", "epoch 1 of ２ with wide letters", whole=False)
            screen.say("now")
        terminal.close()
        rows = CODE.sub("", terminal.printed.split("now\r\n")[1].split("\x1b[J")[0]).split("\r\n")
        assert len(rows) == 3
        assert all(sum(2 if ord(one) > 0x2E80 else 1 for one in row) < max(columns, 2) for row in rows)


def test_a_terminal_that_becomes_narrower_keeps_no_live_line(terminal: Terminal) -> None:
    """It breaks each of the two lines of 59 columns into three of 20, of which none may stay."""
    with on(terminal) as screen:
        screen.hear_all([Began("a", ["x" * 80]), Began("b", ["y" * 80])])
        assert terminal.shows("^b 0:00 y+…$")
        since = len(terminal.printed)
        terminal.resize(20, 24)
        line(screen, "b", "on", whole=True)
        assert terminal.shows("^b 0:0. on$", since)
        assert "\x1b[6A" in terminal.printed[since:]


def test_what_others_print_comes_above_the_live_lines(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", terminal.file())
    monkeypatch.setattr(sys, "stderr", terminal.file())
    with Screen(environment=XTERM) as screen:
        began(screen, "a", ["true"])
        assert terminal.shows("^a 0:00 true$")
        print("from a library")
        print("a \x1b[2Kwarning", file=sys.stderr)
        line(screen, "a", "on", whole=True)
        assert terminal.shows("^a 0:0. on$")
    print("after")
    sys.stdout.flush()
    assert terminal.left() == ["a > true", "from a library", "a warning", "after"]


SETTINGS: list[tuple[dict[str, str], bool]] = [
    ({}, True),
    ({"TERM": "dumb"}, False),
    ({"TERM": "unknown"}, False),
    ({"TERM": ""}, False),
    ({"TERM": "dumb", "INSIDE_EMACS": "29.1,comint"}, False),
    ({"TERM": "dumb", "FORCE_COLOR": "1", "CLICOLOR_FORCE": "1", "TTY_INTERACTIVE": "1"}, False),
    ({"TERM": "eterm-color", "INSIDE_EMACS": "29.1,term:0.96"}, True),
    ({"TERM": "screen.xterm-256color"}, True),
    ({"CI": "true"}, False),
    ({"CI": "false"}, True),
    ({"CI": "true", "TTY_INTERACTIVE": "1"}, True),
    ({"TTY_INTERACTIVE": "0"}, False),
    ({"TTY_COMPATIBLE": "0"}, False),
    ({"TERM": "xterm-color", "JPY_PARENT_PID": "1", "FORCE_COLOR": "1", "CLICOLOR_FORCE": "1"}, False),
    ({"NO_COLOR": "1"}, True),
    ({"COLUMNS": "7", "LINES": "3"}, True),
]


@pytest.mark.parametrize(("environment", "live"), SETTINGS)
def test_which_terminals_are_live(terminal: Terminal, environment: dict[str, str], live: bool) -> None:
    screen = on(terminal, environment=environment)
    assert screen.live is live
    with screen:
        screen.hear_all([Began("a", ["true"]), Line("a", "b"), Line("a", "\x1b[31mred\x1b[0m", styled="\x1b[31mred")])
    terminal.close()
    assert ("\x1b[" in terminal.printed) is live
    if not live:
        assert terminal.printed == "a > true\r\na | b\r\na | red\r\n"


def test_a_terminal_that_does_not_know_its_size_is_not_live() -> None:
    for columns, lines in ((0, 0), (0, 24)):
        with Terminal(columns, lines) as terminal:
            assert not on(terminal).live


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"FORCE_COLOR": "1"},
        {"CLICOLOR_FORCE": "1"},
        {"TTY_COMPATIBLE": "1"},
        {"TTY_INTERACTIVE": "1"},
        {"FORCE_COLOR": "3", "CLICOLOR_FORCE": "1", "TTY_COMPATIBLE": "1", "TTY_INTERACTIVE": "1", "CI": "true"},
        {"GITHUB_ACTIONS": "true", "CI": "true", "FORCE_COLOR": "1", "COLUMNS": "20"},
    ],
)
def test_a_file_and_a_pipe_are_no_terminals_whatever_is_claimed(tmp_path: Path, claims: dict[str, str]) -> None:
    def show(file: TextIO) -> None:
        with file, Screen(file, environment={"TERM": "xterm-256color", **claims}) as screen:
            assert not screen.live
            began(screen, "a", ["true"])
            line(screen, "a", "x" * 500, whole=True)
            line(screen, "a", "red", whole=True, styled="\x1b[31mred\x1b[0m")
            line(screen, "a", "\x1b[2J\x1b[31mthat an executor did not clean\x1b[0m", whole=True)

    wanted = f"a > true\na | {'x' * 500}\na | red\na | that an executor did not clean\n"
    path = tmp_path / "log"
    show(path.open("w"))
    assert path.read_text() == wanted
    reading, writing = os.pipe()
    show(os.fdopen(writing, "w"))
    with os.fdopen(reading) as pipe:
        assert pipe.read() == wanted


@pytest.mark.parametrize(
    ("environment", "shown"),
    [
        ({}, "\x1b[31mred\x1b[0m"),
        ({"NO_COLOR": "1"}, "red"),
        ({"CLICOLOR": "0"}, "red"),
        ({"NO_COLOR": ""}, "\x1b[31m"),
    ],
)
def test_a_stages_colours_stay_on_a_terminal_that_may_have_some(
    terminal: Terminal, environment: dict[str, str], shown: str
) -> None:
    with on(terminal, verbose=True, environment=environment) as screen:
        line(screen, "a", "red", whole=True, styled="\x1b[31mred\x1b[0m")
    terminal.close()
    assert f"a | {shown}" in terminal.printed
    assert ("\x1b[1m" in terminal.printed) == ("\x1b[31m" in terminal.printed)  # nor is a name bold then


@pytest.mark.parametrize(
    ("code", "text", "shown"),
    [
        ("utf-8", "1 → 2 ä \N{SNOWMAN}", "1 → 2 ä \N{SNOWMAN}"),
        ("latin-1", "1 → 2 ä", "1 ? 2 ä"),
        ("ascii", "1 → 2 ä", "1 ? 2 ?"),
        ("cp1252", "1 → 2 ä…", "1 ? 2 ä…"),
        ("utf-16", "1 → 2", "1 → 2"),
        ("utf-8", "name \udcff", "name ?"),
        ("utf-8", "a\0b\x07c\x1b]0;title\x07d\x9be", "abcd"),
        ("utf-8", "old\rnew", "new"),
    ],
)
def test_each_encoding_gets_what_it_has(tmp_path: Path, code: str, text: str, shown: str) -> None:
    path = tmp_path / "log"
    with path.open("w", encoding=code) as file:
        screen = Screen(file)
        for _ in range(2):
            line(screen, "a", text, whole=True)
    assert path.read_bytes().decode(code) == f"a | {shown}\n" * 2


@pytest.mark.parametrize(
    ("event", "printed"),
    [
        (Began("a", ["for i in 1\ndo true\ndone\n", "x"]), ["a > for i in 1", "a > do true", "a > done", "a > x"]),
        (Message("one\ntwo"), ["one", "two"]),
        (Line("a", "one\ntwo"), ["a | one", "a | two"]),
        (Line("a", "one\r"), ["a | one"]),
        (StageEnded(StageResult("a", Outcome.SKIPPED, "one\ntwo")), ["a: skipped: one", "two"]),
    ],
)  # fmt: skip
def test_ends_of_lines_in_an_event_leave_whole_lines(
    event: Began | Message | Line | StageEnded, printed: list[str]
) -> None:
    screen, file = plain()
    screen.hear(event)
    assert file.getvalue() == "".join(f"{text}\n" for text in printed)


def test_a_stage_has_what_its_name_and_its_time_leave_of_a_live_terminal(terminal: Terminal) -> None:
    room = on(terminal).terminal
    assert isinstance(on(terminal), Shown)
    assert room
    assert room("lgg-train") == (60 - len("lgg-train 1:02:03 ") - 1, 24)
    terminal.resize(30, 10)
    assert room("lgg-train") == (20, 10)
    assert on(terminal, quiet=True).terminal is None
    assert on(terminal, environment={"CI": "1"}).terminal is None


# Where lines stay


def timed() -> tuple[Screen, StringIO, Hours]:
    hours, file = Hours(), StringIO()
    return Screen(file, clock=hours), file, hours


def test_a_bar_is_a_line_now_and_then() -> None:
    screen, file, hours = timed()
    began(screen, "a", ["train"])
    for second in range(0, 101):
        hours.now = 1000.0 + second
        line(screen, "a", f"{second}%", whole=False)
        screen.tick()
    assert file.getvalue().splitlines() == ["a > train", "a | 30%", "a | 60%", "a | 90%"]
    hours.now += PROGRESS_SECONDS
    screen.tick()
    screen.tick()
    assert file.getvalue().splitlines()[4:] == ["a | 100%"]
    hours.now += PROGRESS_SECONDS
    screen.tick()  # it stands there: nothing new
    line(screen, "a", "100%", whole=True)
    assert file.getvalue().splitlines()[5:] == ["a | 100%"]


def test_a_stage_that_prints_lines_needs_no_bar_besides() -> None:
    screen, file, hours = timed()
    began(screen, "a", ["train"])
    for second in range(100):
        hours.now = 1000.0 + second
        line(screen, "a", "half", whole=False)
        line(screen, "a", f"epoch {second}", whole=True)
        screen.tick()
    assert len(file.getvalue().splitlines()) == 101


def test_a_long_silence_tells_what_runs() -> None:
    screen, file, hours = timed()
    began(screen, "a", ["train"])
    hours.now += 30
    began(screen, "b", ["test"])
    since = len(file.getvalue())
    for _ in range(4 * 3600):
        hours.now += 1
        screen.tick()
    told = file.getvalue()[since:].splitlines()
    assert told == [
        f"still running: a ({a}), b ({b})"
        for a, b in [
            ("1:30", "1:00"), ("5:30", "5:00"), ("15:30", "15:00"), ("30:30", "30:00"), ("1:00:30", "1:00:00"),
            ("2:00:30", "2:00:00"), ("3:00:30", "3:00:00"), ("4:00:30", "4:00:00"),
        ]
    ]  # fmt: skip
    ended(screen, StageResult("b", Outcome.RUN))
    since = len(file.getvalue())
    hours.now += 60
    screen.tick()
    assert file.getvalue()[since:] == "still running: a (4:01:30)\n"


def test_a_long_silence_of_many_stages_is_one_line() -> None:
    screen, file, hours = timed()
    for number in range(200):
        began(screen, f"s{number}", ["true"])
    since = len(file.getvalue())
    hours.now += 61
    screen.tick()
    names = ", ".join(f"s{number} (1:01)" for number in range(5))
    assert file.getvalue()[since:] == f"still running: {names}, 195 more\n"


@pytest.mark.parametrize("quiet", [False, True])
def test_nobody_is_told_what_runs_when_nothing_does_or_quiet_was_asked_for(quiet: bool) -> None:
    hours, file = Hours(), StringIO()
    screen = Screen(file, quiet, clock=hours)
    if quiet:
        began(screen, "a", ["true"])
    hours.now += 7200
    screen.tick()
    assert file.getvalue() == ""


# What becomes of a run


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (StageResult("a", Outcome.UNCHANGED, "ignored"), ""),
        (StageResult("a", Outcome.RESTORED, "b changed", 3.0), "a: restored from run-cache: b changed\n"),
        (StageResult("a", Outcome.PULLED), "a: pulled\n"),
        (StageResult("a", Outcome.SAVED), "a: verified\n"),
        (StageResult("a", Outcome.SKIPPED, "'b' failed"), "a: skipped: 'b' failed\n"),
        (StageResult("a", Outcome.RUN, seconds=0.04), "a: ran in 0.0 s\n"),
    ],
)
def test_what_became_of_a_stage_in_words(row: StageResult, said: str) -> None:
    screen, file = plain()
    ended(screen, row)
    assert file.getvalue() == said


def test_the_summary_counts_what_there_was() -> None:
    screen, file = plain()
    outcomes = [Outcome.SKIPPED, Outcome.RUN, Outcome.UNCHANGED, Outcome.RUN, Outcome.RESTORED, Outcome.FAILED]
    summary(screen, [StageResult(str(number), outcome) for number, outcome in enumerate(outcomes)])
    assert file.getvalue() == "1 unchanged, 1 restored from run-cache, 2 ran, 1 failed, 1 skipped\n"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0:00"),
        (9.99, "0:09"),
        (60, "1:00"),
        (3599, "59:59"),
        (3600, "1:00:00"),
        (3725, "1:02:05"),
        (90000, "25:00:00"),
    ],
)
def test_clock(seconds: float, said: str) -> None:
    assert clock(seconds) == said


def test_what_was_not_declared_stands_below_the_summary() -> None:
    file = StringIO()
    with Screen(file) as screen:
        found = StageResult("a", Outcome.RUN, undeclared=Undeclared(("x.csv",)))
        summary(screen, [found, StageResult("b", Outcome.RUN, undeclared=Undeclared())])
    assert file.getvalue() == "2 ran\na read x.csv, which is none of its deps\n"
