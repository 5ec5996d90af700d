"""What was measured beside a peer, the bar that holds for it, and the table of all."""

import sys
from collections.abc import Sequence
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from benchmarks.clock import Took

WIDTH = 160  # characters, where there is no terminal


class Bar(NamedTuple):
    """The most that ours may take: so many times the peer's seconds, and some more."""

    times: float
    more: float = 0

    def seconds(self, peer: float) -> float:
        """The most beside this peer."""
        return self.times * peer + self.more

    def __str__(self) -> str:
        times = f"1/{1 / self.times:g}" if self.times < 1 else f"{self.times:g} ×"
        return f"≤ {times}" + (f" + {self.more:g} s" if self.more else "")


class Row(NamedTuple):
    """What is compared: ours and a peer, by name."""

    what: str
    ours: Took
    name: str
    peer: Took
    bar: Bar

    @property
    def missed(self) -> bool:
        """Whether ours took too long."""
        return self.ours.seconds > self.bar.seconds(self.peer.seconds)

    def cells(self) -> tuple[str, ...]:
        """The line of the table."""
        seconds = [
            f"{took.seconds:.2f}" if took.seconds > 1 else f"{took.seconds:.4f}" for took in (self.ours, self.peer)
        ]
        runs, cpu, memory = (
            each if (each := f"{ours:{form}}") == (other := f"{peer:{form}}") else f"{each} : {other}"
            for ours, peer, form in (
                (self.ours.runs, self.peer.runs, "d"),
                (self.ours.cpu, self.peer.cpu, ".2f"),
                (self.ours.megabytes, self.peer.megabytes, ".0f"),
            )
        )
        ratio = f"{self.ours.seconds / self.peer.seconds:.3f}"
        answer = "missed" if self.missed else "ok"
        return self.what, seconds[0], self.name, seconds[1], ratio, str(self.bar), answer, runs, cpu, memory


def show(rows: Sequence[Row]) -> None:
    """Print them. Where runs, CPU or memory differ, ours stand before the peer's."""
    table = Table("what", "ours (s)", "peer", "peer (s)", "ratio", "bar", "", "runs", "CPU (s)", "peak (MB)", box=None)
    for row in rows:
        table.add_row(*row.cells())
    Console(width=None if sys.stdout.isatty() else WIDTH).print(table)
