"""What a person sees of a run: a live line for each running stage on a terminal, else every line as it comes."""

import os
import sys
import threading
import time
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from io import TextIOBase
from typing import TextIO

from gliaflow.core.report import Began, Event, Line, Message, Outcome, Report, StageEnded, StageResult, Summary
from gliaflow.terminal.pseudo import Size
from gliaflow.terminal.stream import Stream
from gliaflow.terminal.text import plain

DRAW_SECONDS = 0.25  # between two states of the live lines
LOOK_SECONDS = 1.0  # between two looks at what has long been silent
PROGRESS_SECONDS = 30.0  # at least between two states of an unfinished line where lines stay
SILENT_MINUTES = (1, 5, 15, 30, 60)  # without a line, until one tells what runs; then each hour
MOST_NAMED = 5  # stages in that line
CLOSE_SECONDS = 0.5  # for what is being written at the end
CLOCK_COLUMNS = 9  # of a running stage's time, with the spaces around it
LEAST_COLUMNS = 20  # that a stage may print to


@dataclass
class Running:
    """A stage that runs."""

    since: float
    text: str
    """Its last line, or what stands so far on one that is not finished."""
    printed: float
    """When a line of it was printed."""
    unprinted: str = ""
    """What stands on its unfinished line, if that is not printed."""


class Screen:
    """Prints to standard output: nothing if `quiet`; if `verbose`, unchanged stages too, and on a terminal every line.

    It is live if somebody looks at a terminal whose cursor moves. Else it prints lines, with nothing but text in them.
    """

    def __init__(
        self,
        file: TextIO | None = None,
        quiet: bool = False,
        verbose: bool = False,
        environment: Mapping[str, str] = os.environ,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = Stream(file or sys.stdout, environment)
        self.live = self._stream.moves and not quiet
        self.quiet, self.verbose = quiet, verbose
        self._colours, self._clock = self._stream.colours, clock
        self._lock = threading.RLock()
        self._running: dict[str, Running] = {}
        self._drawn: list[int] = []  # columns of each live line that stands there
        self._below: tuple[str, Size | None] = "", None  # what stands there, and on what
        self._spoke, self._told = clock(), 0  # when a line was printed; how often it was told what runs since
        self._over = threading.Event()
        self._aside = ExitStack()

    def __enter__(self) -> "Screen":
        if self.live:
            self._aside.enter_context(self._redirected())
        if not self.quiet:
            threading.Thread(target=self._look, name="screen", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._aside.close()
        if self._lock.acquire(timeout=CLOSE_SECONDS):
            self._running.clear()
            self._write([])
            self._lock.release()
            if self._stream.lost and self._stream.error and not isinstance(self._stream.error, BrokenPipeError):
                reason = f"{self._stream.error.strerror}; {self._stream.lost} lines are missing there"
                _warn(f"standard output: {reason}")
        else:
            _warn("standard output takes no more; `gliaflow logs` has the lines that are not there")

    @property
    def terminal(self) -> Callable[[str], Size] | None:
        """Tells how much of the terminal lines of a stage have; None if it is not live."""
        return self._size if self.live else None

    def _size(self, address: str) -> Size:
        columns, lines = self._stream.size or (80, 24)
        return Size(max(columns - _columns(address) - CLOCK_COLUMNS - 1, LEAST_COLUMNS), lines)

    def say(self, message: str) -> None:
        """One line of the flow's own."""
        with self._lock:
            self._print([plain(line) for line in message.split("\n")])

    def hear(self, event: Event) -> None:
        """Show an event."""
        self.hear_all([event])

    def hear_all(self, events: Sequence[Event]) -> None:
        """Show events, in their order."""
        with self._lock:
            lines: list[str] = []
            for event in events:
                lines += self._line(event) if isinstance(event, Line) else self._lines(event)
            self._print(lines)

    def tick(self) -> None:
        """Show what time alone changes."""
        with self._lock:
            if self.live:
                self._write([])
            elif not self.quiet:
                self._print([line for address, one in self._running.items() for line in self._progress(address, one)])
                self._tell_silence()

    def _look(self) -> None:
        while not self._over.wait(DRAW_SECONDS if self.live else LOOK_SECONDS):
            with suppress(Exception):  # a broken terminal is no reason to look no more
                self.tick()

    def _lines(self, event: Event) -> Iterator[str]:
        """What is printed of an event."""
        match event:
            case Message(text=text):
                yield from map(plain, text.split("\n"))
            case Began(address=address, commands=commands, place=place):
                now = self._clock()
                running = self._running.get(address) if place else None
                self._running[address] = Running(running.since if running else now, commands[0], now)
                for command in commands:
                    yield from (f"{address} > {plain(line)}" for line in command.rstrip("\n").split("\n"))
            case StageEnded(result=result):
                yield from self._ended(result)
            case Summary(report=report):
                yield _summary(report)
                for result in report.results:
                    if result.undeclared:
                        yield from map(plain, result.undeclared.sentences(result.address))

    def _line(self, event: Line) -> Sequence[str]:
        """What is printed of a line of a stage; of what stands on an unfinished one, nothing yet."""
        now, address, text, whole = self._clock(), event.address, event.text, event.whole
        if not (running := self._running.get(address)):
            running = self._running[address] = Running(now, "", now)
        running.text, running.unprinted = text, "" if whole else text
        if not whole or (self.live and not self.verbose):
            return ()
        running.printed = now
        if self._colours and event.styled:
            text = event.styled
        return [f"{address} | {plain(line, self._colours)}" for line in text.split("\n")]

    def _progress(self, address: str, running: Running) -> Iterator[str]:
        """What stands on a stage's unfinished line, if the last line of it came long ago."""
        if running.unprinted and self._clock() - running.printed >= PROGRESS_SECONDS:
            yield f"{address} | {plain(running.unprinted)}"
            running.printed, running.unprinted = self._clock(), ""

    def _tell_silence(self) -> None:
        """Tell what runs if nothing was printed for long."""
        last = SILENT_MINUTES[-1]
        minutes = [*SILENT_MINUTES, last * (self._told - len(SILENT_MINUTES) + 2)][min(self._told, len(SILENT_MINUTES))]
        if self._running and self._clock() - self._spoke >= minutes * 60:
            named = [f"{a} ({clock(self._clock() - one.since)})" for a, one in self._running.items()]
            rest = [f"{len(named) - MOST_NAMED} more"] if len(named) > MOST_NAMED else []
            told, spoke = self._told + 1, self._spoke
            self._print([f"still running: {', '.join(named[:MOST_NAMED] + rest)}"])
            self._told, self._spoke = told, spoke

    def _ended(self, result: StageResult) -> Iterator[str]:
        """A stage is done."""
        self._running.pop(result.address, None)
        if self.live and not self.verbose and result.outcome is Outcome.FAILED:
            for text in result.tail:
                yield f"{result.address} | {plain(text)}"
        if self.verbose or result.outcome is not Outcome.UNCHANGED:
            seconds = f" in {result.seconds:.1f} s" if result.outcome is Outcome.RUN else ""
            reason = f": {result.why}" if result.why else ""
            yield from map(plain, f"{result.address}: {result.outcome.value}{seconds}{reason}".split("\n"))

    def _print(self, lines: Sequence[str]) -> None:
        if lines and not self.quiet:
            self._spoke, self._told = self._clock(), 0
            self._write(lines)

    def _write(self, lines: Sequence[str]) -> None:
        """Write lines, and below them what is live; in one piece, or it would flicker."""
        size = self._stream.size if self.live else None
        before = self._erased(size)
        text = "".join(f"{line}\n" for line in lines)
        below = "" if self._over.is_set() or not size else self._drawing(size)
        if text or (below, size) != self._below:
            self._stream.write(before + text + below)
            self._below = below, size

    def _erased(self, size: Size | None) -> str:
        """What takes the live lines away; a terminal that became narrower has broken each into several."""
        up = sum(-(-columns // size.columns) for columns in self._drawn) if size else len(self._drawn)
        self._drawn = []
        return f"\x1b[{up}A\r\x1b[J" if up else ""

    def _drawing(self, size: Size) -> str:
        most = max(size.lines - 2, 1)
        shown = list(self._running.items())
        hidden = len(shown) - most + 1 if len(shown) > most else 0
        if hidden:
            shown = shown[: most - 1]
        widest = min(max((_columns(address) for address, _ in shown), default=0), max(size.columns // 2, 1))
        now, rows = self._clock(), []
        for address, one in shown:
            name = _cut(address, widest)
            name = (f"\x1b[1m{name}\x1b[0m" if self._colours else name) + " " * (widest - _columns(name))
            rest = f" {clock(now - one.since)} {plain(one.text)}".replace("\t", " ").replace("\n", " ")
            rows.append((name, widest, _cut(rest, size.columns - 1 - widest)))
        if hidden:
            rows.append(("", 0, _cut(f"… and {hidden} more", size.columns - 1)))
        self._drawn = [max(width + _columns(rest), 1) for _, width, rest in rows]
        return "".join(f"{name}{rest}\n" for name, _, rest in rows)

    @contextmanager
    def _redirected(self) -> Iterator[None]:
        """What others print to the terminal comes above the live lines."""
        with ExitStack() as stack:
            stack.enter_context(redirect_stdout(_Above(self, sys.stdout)))
            if sys.stderr and sys.stderr.isatty():
                stack.enter_context(redirect_stderr(_Above(self, sys.stderr)))
            yield


class _Above(TextIOBase):
    """A stream whose lines a screen prints; a question, which ends no line, is passed on."""

    def __init__(self, screen: Screen, file: TextIO) -> None:
        self._screen, self._file, self._rest = screen, file, ""

    def write(self, text: str) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._screen.say(line)
        return len(text)

    def flush(self) -> None:
        rest, self._rest = self._rest, ""
        self._file.write(rest)
        self._file.flush()

    def fileno(self) -> int:
        return self._file.fileno()

    def isatty(self) -> bool:
        return self._file.isatty()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._file.encoding


def _warn(text: str) -> None:
    """Say it on standard error, if anybody reads that."""
    if sys.stderr:
        stream = Stream(sys.stderr)
        if stream.ready:
            stream.write(f"{text}\n")


def _summary(report: Report) -> str:
    """How many stages came to what."""
    counts = {outcome: sum(result.outcome is outcome for result in report.results) for outcome in Outcome}
    return ", ".join(f"{number} {outcome.value}" for outcome, number in counts.items() if number)


def _columns(text: str) -> int:
    """That a terminal needs for the text."""
    return len(text) if text.isascii() else sum(map(_width, plain(text)))


def _width(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _cut(text: str, columns: int) -> str:
    """As much of it as fits."""
    if _columns(text) <= columns:
        return text
    kept, left = "", columns - 1
    for character in text:
        left -= _width(character)
        if left < 0:
            break
        kept += character
    return f"{kept}…" if columns > 0 else ""


def clock(seconds: float) -> str:
    """3725 s as 1:02:05."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
