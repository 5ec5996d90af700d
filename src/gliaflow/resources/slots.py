"""CPU and GPU slots and memory of this machine, shared by all flows that run on it: files that their holders lock.

In each stands who that is, for those who wait.

A lock belongs to an open file, which the stage's warden holds too: a slot is free only once all of the stage has ended.
"""

import contextlib
import fcntl
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

from gliaflow.core.settings import Settings, human
from gliaflow.resources.memory import Memory, open_for_all, total_memory

FOLDER = "GLIAFLOW_SLOTS"  # names the folder of the locks, for flows that must not share this machine's
THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
UNKNOWN = "another run on this machine"
SHOWN = 3  # holders of what a stage waits for
MOST_BYTES = 1 << 14  # of what its holder writes into a slot
NO_GPU = "no-gpu"  # the slot of stages that ask for a GPU where there is none
LISTED = re.compile(r"^(?:GPU )?(\d+)\s*[,:].*?((?:GPU|MIG)-[\w-]+)?\)?\s*$", re.MULTILINE)


@dataclass(frozen=True)
class Gpu:
    """A GPU as CUDA_VISIBLE_DEVICES calls it, and the name of its lock, the same for every flow."""

    name: str
    lock: str


@dataclass(frozen=True)
class SlotLease:
    """Slots that are held until they are released, or until all holders of the descriptors have ended."""

    descriptors: tuple[int, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    slots: tuple[str, ...] = ()
    """The names of CPU and GPU slots."""

    def release(self) -> None:
        """Let go of the slots; a warden may hold them a little longer."""
        for descriptor in self.descriptors:
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, 0)  # before the next holder has the lock, and has not written yet
            os.close(descriptor)


@dataclass(frozen=True)
class Holder:
    """Who holds a slot, as it wrote there."""

    stage: str
    root: str
    pid: int
    started: str
    """What tells the process from a later one of the same pid."""

    def __str__(self) -> str:
        """As a phrase, seen from this process."""
        if self.ours:
            return f"stage '{self.stage}' of this run"
        return f"stage '{self.stage}' of {self.root} (pid {self.pid})"

    @property
    def ours(self) -> bool:
        """Whether it is a stage of this process."""
        return self.pid == os.getpid()


class Slots:
    """`cpus` CPU slots, a slot for each GPU that the environment leaves visible, and the memory of the machine."""

    def __init__(self, cpus: int, environment: Mapping[str, str] = os.environ) -> None:
        self.cpus = [f"cpu-{number}" for number in range(cpus)]
        self.gpus = tuple(visible_gpus(environment))
        self._renumber = "CUDA_VISIBLE_DEVICES" not in environment
        self._folder = Path(environment.get(FOLDER) or Path(tempfile.gettempdir()) / "gliaflow-slots")
        self._folder.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(PermissionError):  # another user's
            self._folder.chmod(0o1777)
        self.memory = Memory(self._folder, total_memory())

    def acquire(self, settings: Settings, stage: str = "") -> SlotLease | None:
        """Take what a stage asks for, or nothing and return None. It gets at most all that there is.

        `stage` is its name, for whoever waits for the slots.
        """
        held: list[int] = []
        names: list[str] = []
        found: list[Gpu] = []
        try:
            cpus = min(settings.cpus, len(self.cpus))
            for name in self.cpus:
                if len(held) < cpus and (descriptor := self._lock(name)) is not None:
                    held.append(descriptor)
                    names.append(name)
            gpus = min(settings.gpus, max(len(self.gpus), 1))
            for gpu in self.gpus or [Gpu("", NO_GPU)]:
                if len(found) < gpus and (descriptor := self._lock(gpu.lock)) is not None:
                    held.append(descriptor)
                    found.append(gpu)
                    names.append(gpu.lock)
            if len(held) == cpus + gpus and self._takes_memory(settings, held):
                taken, held = tuple(held), []
                _write(taken, Holder(stage, str(Path.cwd()), os.getpid(), _started(os.getpid())))
                return SlotLease(taken, self._exports(settings, found), tuple(names))
            return None
        finally:
            for descriptor in held:
                os.close(descriptor)

    def _takes_memory(self, settings: Settings, held: list[int]) -> bool:
        if settings.mem and (descriptor := self.memory.acquire(settings.memory())) is not None:
            held.append(descriptor)
            return True
        return not settings.mem

    def holders(self, settings: Settings) -> str:
        """What the stage lacks and who has it, as a phrase; nothing of CPUs that this process alone holds.

        Those are told if the stage asks for several, which nobody may expect.
        """
        gpus = [gpu.lock for gpu in self.gpus] or [NO_GPU]
        lacks = [
            _lack("GPU", min(settings.gpus, len(gpus)), [self._holder(name) for name in gpus], own=True),
            _lack("CPU", settings.cpus, [self._holder(name) for name in self.cpus], own=settings.cpus > 1),
            self._lacks_memory(settings) if settings.mem else "",
        ]
        return ", and ".join(filter(None, lacks))

    def _lacks_memory(self, settings: Settings) -> str:
        """`8.0 GB of memory that stage 'train' of /repo (pid 12) holds`."""
        held = self.memory.holders()
        lacking = min(settings.memory(), self.memory.total) + sum(size for _, size in held) - self.memory.total
        if lacking <= 0:
            return ""
        return f"{human(lacking)} of memory that {_named([self._holder(path.name) for path, _ in held])}"

    def _holder(self, name: str) -> Holder | str:
        """Who holds a slot: nobody, as "", or what can be known."""
        descriptor = open_for_all(self._folder / name)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _read(descriptor) or UNKNOWN
        else:
            return ""
        finally:
            os.close(descriptor)

    def _lock(self, name: str) -> int | None:
        descriptor = open_for_all(self._folder / name)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return descriptor

    def _exports(self, settings: Settings, gpus: list[Gpu]) -> dict[str, str]:
        exports = dict.fromkeys(THREADS, str(settings.threads)) if settings.threads else {}
        if gpus and self.gpus:
            exports["CUDA_VISIBLE_DEVICES"] = ",".join(gpu.name for gpu in gpus)
            if self._renumber:
                exports["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"  # the order in which nvidia-smi counts
        return exports


def _lack(kind: str, wanted: int, holders: list[Holder | str], own: bool) -> str:
    """`2 GPUs that stage 'train' of /repo (pid 12) and another run on this machine hold`."""
    wanted, free = min(wanted, len(holders)), holders.count("")
    if free >= wanted:
        return ""
    others = [one for one in holders if one and (own or not (isinstance(one, Holder) and one.ours))]
    if not others:
        return ""
    what = f"a {kind}" if wanted - free == 1 else f"{wanted - free} {kind}s"
    return f"{what} that {_named(others)}"


def _named(holders: Iterable[Holder | str]) -> str:
    """`stage 'train' of /repo (pid 12) and another run on this machine hold`."""
    names = [name for name in dict.fromkeys(map(str, holders)) if name] or [UNKNOWN]
    shown = [*names[:SHOWN], *([f"{len(names) - SHOWN} more"] if len(names) > SHOWN else [])]
    return f"{' and '.join(filter(None, [', '.join(shown[:-1]), shown[-1]]))} hold{'' if shown[1:] else 's'}"


def _write(descriptors: Iterable[int], holder: Holder) -> None:
    text = json.dumps(asdict(holder)).encode()
    for descriptor in descriptors:
        with contextlib.suppress(OSError):  # the disk is full: nobody needs the text to run
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, text, 0)


def _read(descriptor: int) -> Holder | None:
    """What stands in a slot, if its writer lives; one that was killed left its text, while its warden has the lock."""
    try:
        found = Holder(**json.loads(os.pread(descriptor, MOST_BYTES, 0)))
    except (OSError, ValueError, TypeError):  # nothing yet, or what another version writes
        return None
    return found if found.stage and found.started == _started(found.pid) else None


def _started(pid: int) -> str:
    """When a process started, as its system tells it; nothing if it is not there."""
    try:
        return str(psutil.Process(pid).create_time())
    except (psutil.Error, ValueError, TypeError):
        return ""


def usable_cpus() -> int:
    """How many CPUs this process may use."""
    if hasattr(os, "sched_getaffinity"):  # macOS has it not
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def visible_gpus(environment: Mapping[str, str]) -> Iterator[Gpu]:
    """The GPUs that CUDA_VISIBLE_DEVICES names, by index or UUID; where it is not set, all that nvidia-smi lists."""
    chosen = environment.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None and not chosen.strip():
        return
    uuids, seen = _listed(environment), set[str]()
    names = uuids if chosen is None else [name.strip() for name in chosen.split(",")]
    for name in names:
        if not name or (name.lstrip("-").isdigit() and name not in uuids):
            return  # to CUDA, too, an index that is not there ends the list
        full = uuids.get(name) or next((uuid for uuid in uuids.values() if uuid.startswith(name)), name)
        if full not in seen:
            seen.add(full)
            yield Gpu(name, f"gpu-{full}".replace("/", "-"))


def _listed(environment: Mapping[str, str]) -> dict[str, str]:
    """Index → UUID of every GPU."""
    program = shutil.which("nvidia-smi", path=environment.get("PATH"))
    if program is None:
        return {}
    line = [program, "--query-gpu=index,uuid", "--format=csv,noheader"]
    try:
        shown = subprocess.run(line, capture_output=True, text=True, timeout=60, check=True, env=dict(environment))
    except (OSError, subprocess.SubprocessError):
        return {}
    return {index: uuid or index for index, uuid in LISTED.findall(shown.stdout)}
