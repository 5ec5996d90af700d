"""An executor of this workspace, with stages that are looked at: it names what they open and do not declare.

Python tells by its audit hooks what it opens. What is not Python is followed by strace, where that is at hand. Neither
changes what a stage computes, nor what DVC records of it.
"""

import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from gliaflow.audit.commands import Started, started
from gliaflow.audit.declared import Declared, Files
from gliaflow.audit.imports import INIT, has_code
from gliaflow.audit.watch import trace
from gliaflow.audit.watch.notes import Notes, Opened
from gliaflow.core.graph import Stage
from gliaflow.core.job import keeps
from gliaflow.core.ports import Ended, Executor, Lease, Listener, Run, Task
from gliaflow.core.report import Message, Undeclared
from gliaflow.errors import one_line
from gliaflow.machine.local import LocalExecutor

BLIND = "{}: only its Python programs were looked at; install strace, or let it follow processes, for the others"
TAKEN = "{} was not looked at: an earlier run had begun it"
DEAF = "{} was not looked at: its Python takes no notice of PYTHONPATH, or is older than 3.8"


class Watching:
    """Has `inner`, whose stages run in this workspace, run those of a DVC repository, and looks at what they open.

    Python tells its notes in a folder of the repository, also from another host. strace is used on this host alone.
    """

    travels = False

    def __init__(self, inner: Executor, repo: Any) -> None:
        self._inner, self._files, self.ahead = inner, Files(repo), inner.ahead
        self._traces = isinstance(inner, LocalExecutor)
        self._kept = set[str]()
        self._declared = {stage.addressing: Declared.of(stage) for stage in repo.index.stages if stage.cmd}
        folder = Path(repo.tmp_dir, "gliaflow", "audit")
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = Path(mkdtemp(dir=folder))

    def accepts(self, stage: Stage) -> bool:
        """What the inner one says."""
        return self._inner.accepts(stage)

    def check(self, stages: Sequence[Stage]) -> None:
        """What the inner one looks for."""
        self._inner.check(stages)

    def tries(self, stage: Stage) -> int:
        """What the inner one says."""
        return self._inner.tries(stage)

    def reserve(self, stage: Stage) -> Lease | None:
        """What the inner one gives."""
        return self._inner.reserve(stage)

    def holders(self, stage: Stage) -> str:
        """What the inner one says."""
        return self._inner.holders(stage)

    def keeps(self, task: Task) -> bool:
        """What the inner one says."""
        if kept := keeps(self._inner, task):
            self._kept.add(task.stage.address)
        return kept

    def launch(self, task: Task, lease: Lease) -> "Watched":
        """Start a try that is looked at."""
        kept = task.stage.address in self._kept
        self._kept.discard(task.stage.address)
        commands, declared = task.prepared.commands, self._declared[task.stage.address]
        assert commands
        starts = started(commands.lines, declared.folder)
        notes = Notes(self._folder, self._files.tops, declared)
        follow = trace.prefix() if self._traces and not starts.plain else ()
        if follow:
            watched = replace(commands, prefix=(*follow, "-o", str(notes.folder / trace.NAME), "--"))
        else:
            watched = replace(commands, env=notes.environment(commands.env))
        run = self._inner.launch(replace(task, prepared=replace(task.prepared, commands=watched)), lease)

        def look(listener: Listener) -> Undeclared | None:
            opened = trace.opened(notes.folder, declared.folder) if follow else notes.taken()
            if kept and not opened.processes:
                listener.hear(Message(TAKEN.format(declared.address)))
                return None
            if not starts.plain and not follow:
                listener.hear(Message(BLIND.format(declared.address)))
            elif starts.programs and not opened.processes:
                listener.hear(Message(DEAF.format(declared.address)))
                return None
            found = undeclared(opened, starts, declared, self._files)
            for text in found.sentences(declared.address):
                listener.hear(Message(text))
            return found

        return Watched(run, declared.address, look, notes)

    def close(self) -> None:
        """Nothing more is to come."""
        self._inner.close()
        with suppress(OSError):
            shutil.rmtree(self._folder)


class Watched:
    """One try that is looked at."""

    def __init__(self, run: Run, address: str, look: Callable[[Listener], Undeclared | None], notes: Notes) -> None:
        self._run, self._address, self._look, self._notes = run, address, look, notes
        self.pid = run.pid

    def wait(self, listener: Listener) -> Ended:
        """Bring the try to its end, and tell what it opened; what goes wrong with that is no failure of the stage."""
        ended = self._run.wait(listener)
        try:
            return replace(ended, undeclared=self._look(listener))
        except Exception as error:
            listener.hear(Message(f"what stage '{self._address}' opened is not known: {one_line(error)}"))
            return ended

    def stop(self, number: int) -> None:
        """Signal the processes."""
        self._run.stop(number)

    def close(self) -> None:
        """End what still runs."""
        self._run.close()
        self._notes.close()


def undeclared(opened: Opened, starts: Started, declared: Declared, files: Files) -> Undeclared:
    """What of the opened files the stage does not declare, as one writes it in the folder of the run.

    A file counts that is still there. One that the stage has written is not told again as one that it read.
    """
    written = {path for path in map(files.real, {*opened.written, *starts.written}) if os.path.lexists(path)}
    wrote = [path for path in files.count(written) if not declared.makes(path) and not declared.makes(path.resolve())]
    read = files.count(path for path in {*map(files.real, {*opened.read, *starts.read})} - written if path.is_file())
    read = [path for path in read if not declared.covers(path) and not declared.covers(path.resolve())]
    read = [path for path in read if path.name != INIT or has_code(path)]
    return Undeclared(tuple(map(os.path.relpath, read)), tuple(map(os.path.relpath, wrote)))
