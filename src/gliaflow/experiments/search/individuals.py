"""What has been trained of individuals, in a file: so a search goes on, and a repeated individual costs nothing."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from gliaflow.experiments.search.space import Value
from gliaflow.journal.lines import Lines


@dataclass(frozen=True)
class Trained:
    """How far an individual was trained."""

    epochs: tuple[Mapping[str, float], ...] = ()
    """The metrics of each epoch."""
    ended: bool = False
    """Whether there are no more epochs."""
    error: str = ""
    """Why training failed, if it did."""
    seconds: float = 0.0

    def reaches(self, until: int | None) -> bool:
        """Whether there is nothing more to train up to this epoch, or to the end."""
        return self.ended or bool(self.error) or (until is not None and len(self.epochs) >= until)

    def score(self, metric: str, until: int | None = None) -> float | None:
        """The metric after so many epochs, or after the last; None if it failed, or is no number."""
        epochs = self.epochs if until is None else self.epochs[:until]
        value = epochs[-1].get(metric) if epochs and not self.error else None
        return value if value is not None and abs(value) < float("inf") else None  # nan is less than nothing


@dataclass(frozen=True)
class Individual:
    """One member of one generation."""

    generation: int
    """From 0."""
    key: str
    """The hash of its parameters, and of the data and code that it is trained with."""
    values: Mapping[str, Value]
    score: float | None
    epochs: int
    """How many epochs it was trained for."""
    seconds: float
    error: str = ""

    @property
    def name(self) -> str:
        """What it is called."""
        return f"g{self.generation}-{self.key[:6]}"

    def plain(self) -> dict[str, object]:
        """For a program."""
        return {"name": self.name, **asdict(self)}


class Book:
    """The file `path`, a line for each time that an individual was trained; the longest training counts."""

    def __init__(self, path: Path) -> None:
        self._lines = Lines(path)
        self._known: dict[str, Trained] = {}
        for found in self._lines.read():
            try:
                self._take(found.pop("key"), Trained(**{**found, "epochs": tuple(found["epochs"])}))
            except (TypeError, KeyError):  # another version wrote it
                continue

    def get(self, key: str) -> Trained:
        """What is known of an individual."""
        return self._known.get(key, Trained())

    def add(self, key: str, trained: Trained) -> None:
        """Note how far an individual was trained."""
        self._take(key, trained)
        self._lines.append({"key": key, **asdict(trained)})

    def _take(self, key: str, trained: Trained) -> None:
        before = self._known.get(key)
        if before is None or before.error or len(trained.epochs) >= len(before.epochs):
            self._known[key] = trained
