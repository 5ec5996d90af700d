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
from gliaflow.errors import GliaflowError, UserError
from gliaflow.machine.local import judged
from gliaflow.machine.spawn import GRACE_SECONDS
from gliaflow.slurm.kept import Place
from gliaflow.slurm.packs import Job, JobFailed, Member, Packs
from gliaflow.slurm.site.cluster import Cluster
from gliaflow.slurm.site.commands import Refused
from gliaflow.slurm.site.script import OUTPUT
from gliaflow.slurm.wrapper import BEGAN, LOG, End, read_exit
from gliaflow.terminal.text import Lines, plain

LOOK_SECONDS = 0.2
FAR_SECONDS = 1.0  # between two looks at a stage that others in its job keep waiting
LATE_SECONDS = {"COMPLETED": 60.0, "FAILED": 20.0, "": 60.0}  # that network file systems may show a file late
SOON_SECONDS = 5.0  # of a job that was ended by force
STOP_SECONDS = GRACE_SECONDS + 3  # that a job may take to end when it is told to
LATE_WORD_SECONDS = 15.0  # before a message tells that a job waits
AGAIN = {"TIMEOUT", "NODE_FAIL", "PREEMPTED", "OUT_OF_MEMORY", "BOOT_FAIL", "DEADLINE", "", "COMPLETED", "FAILED"}
BAD_NODE = {"NODE_FAIL", "BOOT_FAIL", ""}
CANCELLED = "CANCELLED"


class JobRun:
    """One try: `written` gives the folder of a new job; `adopted` is that of one which runs already."""

    def __init__(
        self,
        task: Task,
        cluster: Cluster,
        packs: Packs,
        written: Callable[[], Place],
        adopted: Place | None,
        bad_nodes: set[str],
    ) -> None:
        self._task, self._cluster, self._packs, self._written = task, cluster, packs, written
        self._adopted, self._bad_nodes = adopted, bad_nodes
        self._stop = threading.Event()
        self._id = ""
        self._place: Place | None = None
        self._alone = False
        self._last = deque[str](maxlen=TAIL)
        self.pid = os.getpid()

    def stop(self, number: int) -> None:  # noqa: ARG002 - the job gets SIGTERM from Slurm
        """Have the job cancelled; one that is only being submitted will find nothing to do."""
        self._stop.set()
        if self._place and not self._id:
            with suppress(OSError):
                self._place.withdraw()

    def close(self) -> None:
        """Nothing of it runs here."""

    def wait(self, listener: Listener) -> Ended:
        """Submit the job, unless it runs already, and follow it to its end."""
        address, place = self._task.stage.address, self._adopted
        try:
            wanted, asked = self._task.stage.settings, self._packs.asks(self._task.stage)
            if asked.gpus < wanted.gpus:
                listener.hear(Message(f"{address} runs without a GPU: no node has one"))
            if asked.cpus < wanted.cpus:
                listener.hear(Message(f"{address} gets {asked.cpus} of {wanted.cpus} CPUs: no node has more"))
            if place:
                listener.hear(Message(f"{address} goes on as job {place.id} of an earlier run"))
                member = Member(self._task, place)
                if ended := self._followed(member, Job([member], id=place.id), listener):
                    return ended
                place.remove()
            self._alone = self._alone or self._task.number > 1
            while True:
                self._place = self._written()
                if self._stop.is_set():
                    self._place.withdraw()
                avoided = tuple(sorted(self._bad_nodes))
                member = Member(
                    self._task, self._place, avoided, self._alone, lambda text: listener.hear(Message(text))
                )
                job = self._packs.submitted(member, self._stop)
                try:
                    if ended := self._followed(member, job, listener):
                        return ended
                finally:
                    self._packs.leave(member, job)
                member.place.remove()
        except Refused as error:
            return Ended(UserError(f"Slurm refuses the job of stage '{address}': {error}"))
        except GliaflowError as error:
            return Ended(error)

    def _followed(self, member: Member, job: Job, listener: Listener) -> Ended | None:
        """How the try ended; None if it left its job before that began with it, and needs one of its own."""
        if not job.id:
            return Ended(InterruptedError("interrupted"))
        self._id = job.id
        self._cluster.watch(job.id, member.place.name)
        try:
            return self._looked(member, job, listener)
        finally:
            self._cluster.forget(job.id)

    def _looked(self, member: Member, job: Job, listener: Listener) -> Ended | None:
        address, prepared, place = self._task.stage.address, self._task.prepared, member.place
        assert prepared.commands
        log, told = _Log(place.folder / LOG, self._heard(listener)), False
        since, gone, stopped = time.monotonic(), 0.0, 0.0
        while True:
            end = place.ended()
            if not member.began and (end or (place.folder / BEGAN).is_file()):
                member.began = time.monotonic()
                listener.hear(Began(address, list(prepared.commands.lines)))
            log.read(last=bool(end))
            if end:
                return self._judged(end, place, listener)
            now, seen = time.monotonic(), self._cluster.seen(job.id)
            if self._stop.is_set() and not stopped:
                stopped = now
                self._end(place)
            if stopped and (now - stopped > STOP_SECONDS or self._cluster.gone(job.id)):
                return Ended(InterruptedError("interrupted"))
            if self._cluster.gone(job.id):
                gone = gone or now
                state = seen.state if seen and seen.over else ""
                node = seen.node if seen else ""
                if not member.began and state != CANCELLED and place.packed and place.withdraw():
                    self._avoid(state, node)
                    self._alone = True
                    return None
                if now - gone > LATE_SECONDS.get(state, SOON_SECONDS):
                    log.read(last=True)
                    return self._lost(state, node, place)
            if not member.began and not stopped and job.overdue(now) and place.withdraw():
                return None
            if not (member.began or told or gone) and now - since > LATE_WORD_SECONDS:
                told = True
                reason = f" ({seen.reason})" if seen and seen.reason not in ("None", "") else ""
                listener.hear(Message(f"{address} waits in the queue as job {job.id}{reason}"))
            if stopped:
                time.sleep(LOOK_SECONDS)
            else:
                self._stop.wait(LOOK_SECONDS if job.near(member) else FAR_SECONDS)

    def _end(self, place: Place) -> None:
        """End the job; where others are in it and the run goes on, or did not submit it, this stage alone."""
        if place.packed and (place is self._adopted or not self._stop.is_set()):
            place.end()
        else:
            self._cluster.cancel(self._id)

    def _avoid(self, state: str, node: str) -> None:
        if state in BAD_NODE and node:
            self._bad_nodes.add(node)

    def _heard(self, listener: Listener) -> Callable[[str, bool], None]:
        def on_line(text: str, whole: bool) -> None:
            shown = plain(text)
            if whole:
                self._last.append(shown)
            listener.hear(Line(self._task.stage.address, shown, whole, text if text != shown else ""))

        return on_line

    def _judged(self, end: End, place: Place, listener: Listener) -> Ended:
        found = read_exit(end)
        used = Used(**found.used, gpu_bytes=None) if found.used else None
        if found.left and not found.timed_out:
            listener.hear(Message(f"{self._task.stage.address}: ended {found.left} processes that it left running"))
        if end["signalled"] and found.code and not self._stop.is_set():
            return replace(self._lost(self._state(), end["node"], place), used=used)
        return replace(judged(found, self._task, end["place"], self._last), used=used)

    def _state(self) -> str:
        """Why Slurm told the job to end; it may take a moment until it says so."""
        deadline = time.monotonic() + SOON_SECONDS
        while time.monotonic() < deadline and not self._cluster.gone(self._id):
            time.sleep(LOOK_SECONDS)
        seen = self._cluster.seen(self._id)
        return seen.state if seen and seen.over else "TIMEOUT"

    def _lost(self, state: str, node: str, place: Place) -> Ended:
        wanted, where = self._task.stage.settings, f" on {node}" if node else ""
        self._avoid(state, node)
        if not place.withdraw() and not state:  # only believed to be lost: it must not run beside the next one
            self._end(place)
        mem = wanted.memory(self._task.number)
        asked = f" than the {human(mem)} of meta.mem" if mem else ""
        words = {
            "TIMEOUT": f"ran longer than its limit of time allowed{where}",
            "OUT_OF_MEMORY": f"needed more memory{asked}{where}",
            "PREEMPTED": f"was ended for a job that is worth more{where}",
            "NODE_FAIL": f"was lost with its node{where}",
            "BOOT_FAIL": f"was lost with its node{where}",
            CANCELLED: "was cancelled by somebody",
        }
        if state == "FAILED" and not (place.folder / BEGAN).exists():
            words[state] = f"ended{where} before its commands began: look at setup and python of the profile"
        text = words.get(state, f"has gone and told nothing of its end{where}")
        error = JobFailed(f"its job {self._id} {text}{self._output(place)}")
        return Ended(error, again=state in AGAIN, delay=wanted.retry_delay)

    @staticmethod
    def _output(place: Place) -> str:
        """What the job printed that no command did, and where it stands."""
        path = place.folder / OUTPUT
        with suppress(OSError):
            text = path.read_text(errors="replace").strip().splitlines()
            return f": {plain(text[-1])} ({path})" if text else f" ({path})"
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
