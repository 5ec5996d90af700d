"""What runs keep of their jobs, on the disk: so that the next run finds those of one that was killed.

.dvc/tmp/gliaflow/slurm/RUN/lock   locked as long as the run lives
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
PACK, WITHDRAWN = "pack", "withdrawn.json"
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

    def hold(self) -> None:
        """Keep other runs from taking the job, as long as this process lives."""
        take(os.open(self.folder / TAKEN, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))

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
        """Begin to keep jobs."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(self._folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        take(self._lock)

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
        """The jobs of runs that have ended."""
        for folder in sorted(self._root.glob("*/*/")):
            if folder.parent != self._folder and not held(folder.parent / LOCK) and not held(folder / TAKEN):
                with suppress(OSError, ValueError, KeyError, TypeError):
                    found = json.loads((folder / STAGE).read_text())
                    yield Place(folder, Whose(found["address"], found["key"], tuple(found["outs"])))

    def close(self) -> None:
        """This run ends: folders of runs that have ended and left no job are removed."""
        if self._lock < 0:
            return
        os.close(self._lock)
        for folder in self._root.iterdir():
            if not [*folder.glob("*/")] and not held(folder / LOCK):
                shutil.rmtree(folder, ignore_errors=True)
