import re
import threading
import time
from collections.abc import Callable
from io import StringIO

import pytest
from rich.console import Console

from gliaflow.cli.screen import Screen, clock
from gliaflow.core.report import Began, Line, Outcome, Report, StageEnded, StageResult, Summary
from tests.support.patience import PATIENCE


class Slow(StringIO):
    """A file in the middle of whose writes another thread may come."""

    def write(self, text: str) -> int:
        number = super().write(text)
        time.sleep(0.001)
        return number


def plain(quiet: bool = False) -> tuple[Screen, StringIO]:
    """A screen that is no terminal."""
    file = StringIO()
    return Screen(Console(file=file, highlight=False, soft_wrap=True), quiet), file


def terminal(quiet: bool = False) -> tuple[Screen, StringIO]:
    """A terminal of 60 columns."""
    file = StringIO()
    return Screen(Console(file=file, force_terminal=True, width=60, color_system=None, highlight=False), quiet), file


def began(screen: Screen, address: str, commands: list[str]) -> None:
    screen.hear(Began(address, commands))


def line(screen: Screen, address: str, text: str, whole: bool) -> None:
    screen.hear(Line(address, text, whole))


def ended(screen: Screen, result: StageResult) -> None:
    screen.hear(StageEnded(result))


def summary(screen: Screen, results: list[StageResult]) -> None:
    screen.hear(Summary(Report(tuple(results))))


def lines(file: StringIO, since: int = 0) -> list[str]:
    """What stands there, without what moves the cursor and without columns' padding."""
    text = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", file.getvalue()[since:]).replace("\r", "\n")
    return [" ".join(line.split()) for line in text.split("\n")]


def shown(file: StringIO, text: str, since: int = 0) -> bool:
    """Whether a line begins with it, in time."""
    deadline = time.monotonic() + PATIENCE
    while not any(line.startswith(text) for line in lines(file, since)):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


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
    screen = Screen(Console(file=file))
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


def test_a_terminal_shows_a_live_line_for_each_running_stage() -> None:
    screen, file = terminal()
    with screen:
        began(screen, "lgg-train", ["python -m stages.lgg.train"])
        began(screen, "mnist-train", ["python -m stages.mnist.train"])
        assert shown(file, "lgg-train 0:00 python -m stages.lgg.train")
        line(screen, "lgg-train", "epoch 3: 50%", whole=False)
        line(screen, "mnist-train", "[bold]loss[/bold] 0.5", whole=True)
        assert shown(file, "lgg-train 0:00 epoch 3: 50%") or shown(file, "lgg-train 0:01 epoch 3: 50%")
        assert any(line.endswith(" [bold]loss[/bold] 0.5") for line in lines(file))
        assert not any("|" in line for line in lines(file))


def test_a_live_line_ends_with_its_stage() -> None:
    screen, file = terminal()
    with screen:
        began(screen, "first", ["sleep"])
        assert shown(file, "first 0:0")
        ended(screen, StageResult("first", Outcome.RUN, seconds=1.26))
        assert shown(file, "first: ran in 1.3 s")
        began(screen, "second", ["sleep"])
        assert shown(file, "second 0:0")
        since = len(file.getvalue())
        line(screen, "second", "on", whole=True)
        assert shown(file, "second 0:0", since)
        assert not any(line.startswith("first 0:0") for line in lines(file, since))


def test_a_long_line_is_cut_and_leaves_the_name_and_the_clock() -> None:
    screen, file = terminal()
    with screen:
        began(screen, "lgg-train", ["true"])
        line(screen, "lgg-train", "y" * 500, whole=False)
        assert shown(file, "lgg-train 0:0")
        assert any(line.startswith("lgg-train 0:0") and line.endswith("yyy…") for line in lines(file))


def test_a_terminal_shows_the_last_words_of_a_failed_stage() -> None:
    screen, file = terminal()
    play(screen)
    assert [line for line in lines(file) if "|" in line] == ["lgg-evaluate | last words"]
    assert "lgg-evaluate: failed: no model" in lines(file)


@pytest.mark.parametrize("make", [plain, terminal])
def test_quiet_prints_nothing(
    make: Callable[[bool], tuple[Screen, StringIO]], capfd: pytest.CaptureFixture[str]
) -> None:
    screen, file = make(True)
    play(screen)
    assert file.getvalue() == ""
    assert capfd.readouterr() == ("", "")


def test_verbose_on_a_terminal_prints_every_line_once() -> None:
    file = StringIO()
    console = Console(file=file, force_terminal=True, width=60, color_system=None, highlight=False)
    play(Screen(console, verbose=True))
    printed = [line for line in lines(file) if "|" in line]
    assert printed == ["lgg-train | epoch 1"]
    ended(Screen(console, verbose=True), StageResult("a", Outcome.UNCHANGED))
    assert "a: unchanged" in lines(file)


def test_a_file_is_no_terminal_even_if_colours_are_forced(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    with Screen() as screen:
        line(screen, "a", "x" * 500, whole=True)
    assert capsys.readouterr() == (f"a | {'x' * 500}\n", "")


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
