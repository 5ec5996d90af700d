"""One try of a stage as a job: submitted, followed by its log, and judged by the file that it leaves."""

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from gliaflow.core.job import TAIL
from gliaflow.core.ports import Ended, Listener, Task
from gliaflow.core.report import Began, Line, Message, Used
from gliaflow.core.settings import human
from gliaflow.errors import GliaflowError
from gliaflow.machine.local import judged
from gliaflow.machine.spawn import GRACE_SECONDS
from gliaflow.slurm import commands
from gliaflow.slurm.cluster import Cluster
from gliaflow.slurm.commands import Away
from gliaflow.slurm.kept import SCRIPT, Place
from gliaflow.slurm.script import OUTPUT
from gliaflow.slurm.wrapper import BEGAN, LOG, End, read_exit
from gliaflow.terminal.text import Lines, plain

LOOK_SECONDS = 0.2
LATE_SECONDS = {"COMPLETED": 60.0, "FAILED": 20.0, "": 60.0}  # that network file systems may show a file late
SOON_SECONDS = 5.0  # of a job that was ended by force
STOP_SECONDS = GRACE_SECONDS + 3  # that a job may take to end when it is told to
AWAY_SECONDS = 600.0  # that the cluster may be away when a job is submitted
LATE_WORD_SECONDS = 15.0  # before a message tells that a job waits
AGAIN = {"TIMEOUT", "NODE_FAIL", "PREEMPTED", "OUT_OF_MEMORY", "BOOT_FAIL", "DEADLINE", "", "COMPLETED", "FAILED"}
BAD_NODE = {"NODE_FAIL", "BOOT_FAIL", ""}


class JobFailed(GliaflowError):
    """A job ended, and not by its commands."""

    exit_code = 1


class JobRun:
    """One try; `written` gives the folder of its job with its script, and `adopted` that of one that runs already."""

    def __init__(
        self,
        task: Task,
        cluster: Cluster,
        written: Callable[[], Place],
        adopted: Place | None,
        bad_node: Callable[[str], object],
    ) -> None:
        self._task, self._cluster, self._written, self._bad_node = task, cluster, written, bad_node
        self._place, self._adopted = adopted, adopted is not None
        self._stop = threading.Event()
        self._id = ""
        self._last = deque[str](maxlen=TAIL)
        self.pid = os.getpid()

    def stop(self, number: int) -> None:  # noqa: ARG002 - the job gets SIGTERM from Slurm
        """Have the job cancelled."""
        self._stop.set()

    def close(self) -> None:
        """Nothing of it runs here."""

    def wait(self, listener: Listener) -> Ended:
        """Submit the job, unless it runs already, and follow it to its end."""
        address = self._task.stage.address
        try:
            place = self._place = self._place or self._written()
            self._id = place.id or self._submitted(place)
            if not self._id:
                return Ended(InterruptedError("interrupted"))
            if self._adopted:
                listener.hear(Message(f"{address} goes on as job {self._id} of an earlier run"))
            self._cluster.watch(self._id, place.name)
            return self._followed(place, listener)
        except GliaflowError as error:
            return Ended(error)
        finally:
            self._cluster.forget(self._id)

    def _submitted(self, place: Place) -> str:
        """The id of the job, which is on the disk; nothing if the run is to end before there is one."""
        deadline = time.monotonic() + AWAY_SECONDS
        while not self._stop.is_set():
            try:
                number = commands.submit(place.folder / SCRIPT, self._task.stage.address)
            except Away as error:
                number = self._listed(place)
                if not number and time.monotonic() > deadline:
                    raise JobFailed(f"the cluster does not answer: {error}") from None
            if number:
                place.note_id(number)
                return number
            self._stop.wait(commands.AWAY_PAUSE)
        return ""

    @staticmethod
    def _listed(place: Place) -> str:
        """The id of a job that was submitted although the answer was lost."""
        for number, seen in (commands.look([place.name]) or {}).items():
            if seen.comment == place.comment:
                return number
        return ""

    def _followed(self, place: Place, listener: Listener) -> Ended:
        address, prepared = self._task.stage.address, self._task.prepared
        assert prepared.commands
        log, began, told = _Log(place.folder / LOG, self._heard(listener)), False, False
        since, gone, stopped = time.monotonic(), 0.0, 0.0
        while True:
            end = place.ended()
            if not began and (end or (place.folder / BEGAN).is_file()):
                began = True
                listener.hear(Began(address, list(prepared.commands.lines)))
            log.read(last=bool(end))
            if end:
                return self._judged(end, listener)
            now, seen = time.monotonic(), self._cluster.seen(self._id)
            if self._stop.is_set() and not stopped:
                stopped = now
                self._cluster.cancel(self._id)
            if stopped and (now - stopped > STOP_SECONDS or self._cluster.gone(self._id)):
                return Ended(InterruptedError("interrupted"))
            if self._cluster.gone(self._id):
                gone = gone or now
                state = seen.state if seen and seen.over else ""
                if now - gone > LATE_SECONDS.get(state, SOON_SECONDS):
                    log.read(last=True)
                    return self._lost(state, seen.node if seen else "", place)
            if not began and not told and now - since > LATE_WORD_SECONDS:
                told = True
                reason = f" ({seen.reason})" if seen and seen.reason not in ("None", "") else ""
                listener.hear(Message(f"{address} waits in the queue as job {self._id}{reason}"))
            if stopped:
                time.sleep(LOOK_SECONDS)
            else:
                self._stop.wait(LOOK_SECONDS)

    def _heard(self, listener: Listener) -> Callable[[str, bool], None]:
        def on_line(text: str, whole: bool) -> None:
            shown = plain(text)
            if whole:
                self._last.append(shown)
            listener.hear(Line(self._task.stage.address, shown, whole, text if text != shown else ""))

        return on_line

    def _judged(self, end: End, listener: Listener) -> Ended:
        found = read_exit(end)
        used = Used(**found.used, gpu_bytes=None) if found.used else None
        if found.left and not found.timed_out:
            listener.hear(Message(f"{self._task.stage.address}: ended {found.left} processes that it left running"))
        if end["signalled"] and found.code and not self._stop.is_set():
            return replace(self._lost(self._state(), end["node"], self._place), used=used)
        return replace(judged(found, self._task, end["place"], self._last), used=used)

    def _state(self) -> str:
        """Why Slurm told the job to end; it may take a moment until it says so."""
        deadline = time.monotonic() + SOON_SECONDS
        while time.monotonic() < deadline and not self._cluster.gone(self._id):
            time.sleep(LOOK_SECONDS)
        seen = self._cluster.seen(self._id)
        return seen.state if seen and seen.over else "TIMEOUT"

    def _lost(self, state: str, node: str, place: Place | None) -> Ended:
        wanted, where = self._task.stage.settings, f" on {node}" if node else ""
        if state in BAD_NODE and node:
            self._bad_node(node)
        mem = wanted.memory(self._task.number)
        asked = f" than the {human(mem)} of meta.mem" if mem else ""
        words = {
            "TIMEOUT": f"ran longer than its limit of time allowed{where}",
            "OUT_OF_MEMORY": f"needed more memory{asked}{where}",
            "PREEMPTED": f"was ended for a job that is worth more{where}",
            "NODE_FAIL": f"was lost with its node{where}",
            "BOOT_FAIL": f"was lost with its node{where}",
            "CANCELLED": "was cancelled by somebody",
        }
        lines = self._output(place) if place else ""
        text = words.get(state, f"has gone and told nothing of its end{where}")
        error = JobFailed(f"its job {self._id} {text}{lines}")
        return Ended(error, again=state in AGAIN, delay=wanted.retry_delay)

    @staticmethod
    def _output(place: Place) -> str:
        """What the job printed that no command did, and where it stands."""
        path = place.folder / OUTPUT
        with suppress(OSError):
            text = path.read_text(errors="replace").strip().splitlines()
            return f": {plain(text[-1])} ({path})" if text else ""
        return ""


class _Log:
    """The lines of a file that grows, also on another host."""

    def __init__(self, path: Path, on_line: Callable[[str, bool], None]) -> None:
        self._path, self._offset = path, 0
        self._text = Lines(on_line, code="utf-8")

    def read(self, last: bool) -> None:
        """Tell what is new; of the `last` time also a line that has no end."""
        with suppress(OSError), self._path.open("rb") as file:
            file.seek(self._offset)
            while data := file.read(1 << 20):
                self._offset += len(data)
                self._text.feed(data)
        self._text.show()
        if last:
            self._text.feed(b"", last=True)
