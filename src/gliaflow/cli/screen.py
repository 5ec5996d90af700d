"""What a person sees of a run: a live line for each running stage on a terminal, else every line as it comes."""

import sys
import threading
import time
from collections.abc import Sequence

from rich.console import Console
from rich.live import Live
from rich.table import Column, Table
from rich.text import Text

from gliaflow.core.report import Began, Event, Line, Message, Outcome, Report, StageEnded, StageResult, Summary


class Screen:
    """Prints to `console`: nothing if `quiet`; if `verbose`, unchanged stages too, and on a terminal every line."""

    def __init__(self, console: Console | None = None, quiet: bool = False, verbose: bool = False) -> None:
        # A file is no terminal, whatever FORCE_COLOR says: lines in it must be whole.
        tty = None if sys.stdout.isatty() else False
        self.console = console or Console(highlight=False, soft_wrap=True, force_terminal=tty)
        self._lock = threading.Lock()
        self._running: dict[str, tuple[float, str]] = {}
        self._live = Live(console=self.console, get_renderable=self._lines, refresh_per_second=4, transient=True)
        self._terminal = self.console.is_terminal
        self.quiet, self.verbose = quiet, verbose

    def __enter__(self) -> "Screen":
        if self._terminal and not self.quiet:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def say(self, message: str) -> None:
        """One line of the flow's own."""
        if not self.quiet:
            if self._terminal:
                self.console.print(Text(message))
            else:
                encoding = getattr(self.console.file, "encoding", None) or "utf-8"
                self.console.file.write(f"{message}\n".encode(encoding, "replace").decode(encoding))  # at once: unmixed
                self.console.file.flush()

    def hear(self, event: Event) -> None:
        """Show an event."""
        match event:
            case Message(text=text):
                self.say(text)
            case Began(address=address, commands=commands):
                self._began(address, commands)
            case Line(address=address, text=text, whole=whole):
                self._line(address, text, whole)
            case StageEnded(result=result):
                self._ended(result)
            case Summary(report=report):
                self._summary(report)

    def _began(self, address: str, commands: Sequence[str]) -> None:
        """A stage's commands start."""
        with self._lock:
            self._running[address] = (time.monotonic(), commands[0])
        for command in commands:
            self.say(f"{address} > {command}")

    def _line(self, address: str, text: str, whole: bool) -> None:
        """A line of a stage, or, not `whole`, what stands so far on it."""
        with self._lock:
            since = self._running.get(address, (time.monotonic(), ""))[0]
            self._running[address] = (since, text)
        if whole and (self.verbose or not self._terminal):
            self.say(f"{address} | {text}")

    def _ended(self, result: StageResult) -> None:
        """A stage is done."""
        with self._lock:
            self._running.pop(result.address, None)
        if self._terminal and not self.verbose and result.outcome is Outcome.FAILED:
            for text in result.tail:
                self.say(f"{result.address} | {text}")
        if self.verbose or result.outcome is not Outcome.UNCHANGED:
            seconds = f" in {result.seconds:.1f} s" if result.outcome is Outcome.RUN else ""
            reason = f": {result.why}" if result.why else ""
            self.say(f"{result.address}: {result.outcome.value}{seconds}{reason}")

    def _summary(self, report: Report) -> None:
        """How many stages came to what."""
        counts = {outcome: sum(result.outcome is outcome for result in report.results) for outcome in Outcome}
        self.say(", ".join(f"{number} {outcome.value}" for outcome, number in counts.items() if number))

    def _lines(self) -> Table:
        table = Table.grid(
            Column(no_wrap=True), Column(no_wrap=True), Column(no_wrap=True, ratio=1), padding=(0, 1), expand=True
        )
        with self._lock:
            for address, (since, text) in self._running.items():
                table.add_row(Text(address, "bold"), clock(time.monotonic() - since), Text(text, overflow="ellipsis"))
        return table


def clock(seconds: float) -> str:
    """3725 s as 1:02:05."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
