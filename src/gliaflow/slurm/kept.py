"""What runs keep of their jobs, on the disk: so that the next run finds those of one that was killed.

.dvc/tmp/gliaflow/slurm/RUN/lock   locked as long as the run lives; beside it `closed`, if it came to its end
                        RUN/N/     a job: what it is to do (see `wrapper`), `stage` whose it is, and its `id`;
                                   `taken` is locked by the run that has taken it over, and `pack` is there if
                                   stages share the job: what tells it from others
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from gliaflow.journal.lock import held, take
from gliaflow.slurm.wrapper import ENDED, STOP, WORK, End, replace, signature

BELOW = Path(".dvc/tmp/gliaflow/slurm")
LOCK, TAKEN, STAGE, ID, SCRIPT = "lock", "taken", "stage", "id", "script.sh"
PACK, WITHDRAWN, CLOSED = "pack", "withdrawn.json", "closed"
NAME = "gliaflow-{run}"


@dataclass(frozen=True)
class Whose:
    """The try of a stage that a job is."""

    address: str
    key: str = ""
    """Of all that the stage reads; empty if nobody may take what the job made but the run that started it."""
    outs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Place:
    """The folder of a job."""

    folder: Path
    whose: Whose

    @property
    def name(self) -> str:
        """Under which the jobs of its run are listed."""
        return NAME.format(run=self.folder.parent.name)

    @property
    def comment(self) -> str:
        """What tells the job from others of its run."""
        with suppress(OSError):
            return (self.folder / PACK).read_text()
        return f"{self.folder.name} {self.folder.parent.name}"

    @property
    def id(self) -> str:
        """The job's, once it is known."""
        with suppress(OSError):
            return (self.folder / ID).read_text()
        return ""

    def note_id(self, number: str) -> None:
        """Keep the job's id."""
        replace(self.folder / ID, number)

    @property
    def packed(self) -> bool:
        """Whether other stages run in the same job."""
        return (self.folder / PACK).exists()

    def join(self, first: "Place") -> None:
        """Share the job of another place; that one joins itself, before any other."""
        replace(self.folder / PACK, first.comment)

    def withdraw(self) -> bool:
        """Take the stage away from its job; False if the job has begun with it."""
        with suppress(FileNotFoundError):
            (self.folder / WORK).rename(self.folder / WITHDRAWN)
            return True
        return False

    @property
    def withdrawn(self) -> bool:
        """Whether the stage was taken away from its job."""
        return (self.folder / WITHDRAWN).exists()

    def end(self) -> None:
        """Have the job end this stage, or not begin with it, and go on with others."""
        if not self.withdraw():
            (self.folder / STOP).touch()

    def hold(self) -> bool:
        """Keep other runs from taking the job, as long as this process lives; False if one has, or it is gone."""
        with suppress(FileNotFoundError):
            descriptor = os.open(self.folder / TAKEN, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                take(descriptor)
            except BlockingIOError:
                os.close(descriptor)
                return False
            return True
        return False

    @property
    def adoptable(self) -> bool:
        """Whether its run was killed: one that came to its end has recorded what its jobs made, or given it up."""
        return not (self.folder.parent / CLOSED).exists()

    def ended(self) -> End | None:
        """How the job ended, once it has told."""
        with suppress(OSError, ValueError):
            found: End = json.loads((self.folder / ENDED).read_text())
            return found
        return None

    def whole(self, end: End) -> bool:
        """Whether the job ended well, and what it made lies where it was, as it was."""
        return end["exit"]["code"] == 0 and [signature(Path(path)) for path in self.whose.outs] == end["outs"]

    def remove(self) -> None:
        """Nobody needs it any more; a job that has not begun will not."""
        shutil.rmtree(self.folder, ignore_errors=True)


class Kept:
    """The jobs of this run, and those that runs left which have ended."""

    def __init__(self, root: Path, run: str) -> None:
        self.run, self._root = run, root / BELOW
        self._folder = self._root / run
        self._number = 0
        self._lock = -1

    def open(self) -> None:
        """Begin to keep jobs; the folder is there once it is locked."""
        partial = self._root / f".{self.run}"
        partial.mkdir(parents=True)
        self._lock = os.open(partial / LOCK, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        take(self._lock)
        partial.rename(self._folder)

    @property
    def shown(self) -> Place:
        """What the first job of a run would be called; there is no such folder."""
        return Place(self._root / "RUN" / "1", Whose(""))

    def new(self, whose: Whose) -> Place:
        """A folder for a job of this run."""
        self._number += 1
        made = Place(self._folder / str(self._number), whose)
        made.folder.mkdir()
        replace(made.folder / STAGE, json.dumps(asdict(whose)))
        return made

    def left(self) -> Iterator[Place]:
        """The jobs of runs that have ended, also those that another run has taken over."""
        for folder in sorted(self._root.glob("[!.]*/*/")):
            if folder.parent != self._folder and not held(folder.parent / LOCK):
                with suppress(OSError, ValueError, KeyError, TypeError):
                    found = json.loads((folder / STAGE).read_text())
                    yield Place(folder, Whose(found["address"], found["key"], tuple(found["outs"])))

    def close(self) -> None:
        """This run ends: what has ended well is removed, and folders of runs that have ended and left no job are."""
        if self._lock < 0:
            return
        (self._folder / CLOSED).touch()
        for folder in self._folder.glob("*/"):
            place = Place(folder, Whose(""))
            if (end := place.ended()) and end["exit"]["code"] == 0:
                place.remove()
        os.close(self._lock)
        for folder in self._root.glob("[!.]*/"):
            if not [*folder.glob("*/")] and not held(folder / LOCK):
                shutil.rmtree(folder, ignore_errors=True)
