"""A warm worker: a process that trains one individual after another, and keeps what is slow to get.

It is a program of its own, run by the Python of the stages, and imports only the standard library besides the module
that it is given. What it keeps: imported libraries, the device, and the data, as long as the parameters that the data
depends on stay the same. What it gives up after each individual: weights, optimiser, graph, caches.

It reads lines of JSON from its standard input, and writes some to its standard output:

    {"train": KEY, "params": {…}, "until": 3}   train up to that epoch, or to the end where it is null; one that was
                                                trained so far goes on
    {"forget": [KEY, …]}                        these will not go on

    {"epoch": 3, "metrics": {"loss": 0.3, …}}   an epoch has ended, counted from 1
    {"ended": true, "epochs": [{…}, …], …}      the order is done; "ended" tells whether there are no more epochs
    {"error": "…", "epochs": […], …}            training failed
    {"fresh": "…"}                              the data can only be loaded by a new process
    {"broken": "…"}                             the module offers nothing to a search
    {"forgotten": true, "host": 1234, …}        as asked; bytes that the process holds on the host and on the device
"""

import contextlib
import ctypes
import gc
import importlib
import json
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from queue import SimpleQueue
from typing import Any

LOADS = "LOADS"  # the name in the module of the parameters that `load` depends on; none by default


class Worker:
    """Trains by the door of a module: `load(params) -> data`, `train(data, params) -> iterator of metrics`."""

    def __init__(self, module: Any, tell: Callable[..., None]) -> None:
        self.module, self.tell = module, tell
        self.running: dict[str, Training] = {}
        self.data: Any = None
        self.loaded: str | None = None  # the parameters that the data depends on
        self.settled = False  # whether an individual has ended

    def obey(self, order: Mapping[str, Any]) -> None:
        """Carry one order out."""
        if "forget" in order:
            for key in order["forget"]:
                self.drop(key)
            self.tell(forgotten=True, **held())
        else:
            self.train(order["train"], order["params"], order["until"])

    def train(self, key: str, params: Mapping[str, Any], until: int | None) -> None:
        """Train an individual up to an epoch, or to the end."""
        if key not in self.running:
            if not self.load(params):
                return
            self.running[key] = Training()
        error, one = "", self.running[key]
        try:
            ended = one.go_on(self.module, self.data, params, until, self.tell)
        except Exception as raised:
            error, ended = words(raised), True
        if ended:
            self.drop(key)
        self.tell(**{"error": error} if error else {"ended": ended}, epochs=one.metrics, **held())

    def load(self, params: Mapping[str, Any]) -> bool:
        """Have the data for these parameters; False if another process must."""
        needed = json.dumps([picked(params, name) for name in getattr(self.module, LOADS, ())])
        if needed != self.loaded:
            first = self.loaded is None
            for key in [*self.running]:
                self.drop(key)
            self.data = None
            try:
                self.data = self.module.load(params)
            except Exception as error:
                self.tell(**{"error" if first else "fresh": words(error)}, **held())
                return False
            self.loaded = needed
        return True

    def drop(self, key: str) -> None:
        """Give all up that belongs to an individual."""
        one = self.running.pop(key, None)
        if one:
            one.close()
            empty()
        if one and not self.settled:
            self.settled = True
            gc.freeze()  # what is here by now stays: it need not be looked through after each individual


class Training:
    """One individual that is being trained."""

    def __init__(self) -> None:
        self.epochs: Iterator[Mapping[str, float]] | None = None
        self.gradients: set[str] = set()  # that TensorFlow has registered for it
        self.metrics: list[dict[str, float]] = []  # of the epochs that have ended

    def go_on(
        self, module: Any, data: Any, params: Mapping[str, Any], until: int | None, tell: Callable[..., None]
    ) -> bool:
        """Train up to an epoch, or to the end; whether there are no more epochs."""
        before = set(registered())
        try:
            self.epochs = self.epochs or iter(module.train(data, params))
            while until is None or len(self.metrics) < until:
                metrics = next(self.epochs, None)
                if metrics is None:
                    return True
                self.metrics.append({name: float(value) for name, value in metrics.items()})
                tell(epoch=len(self.metrics), metrics=self.metrics[-1])
            return False
        finally:
            self.gradients |= registered().keys() - before

    def close(self) -> None:
        """Give it up: a generator frees what its variables hold."""
        epochs, self.epochs = self.epochs, None
        close = getattr(epochs, "close", None)
        if close:
            close()
        for name in self.gradients:
            registered().pop(name, None)


def registered() -> dict[str, Any]:
    """The gradients that TensorFlow knows; it never forgets one by itself, nor the graph of the model that it is of."""
    ops = sys.modules.get("tensorflow.python.framework.ops")
    found: dict[str, Any] = getattr(getattr(ops, "gradient_registry", None), "_registry", {})
    return found


def picked(params: Any, name: str) -> Any:
    """The value of a nested parameter; None if it is not there."""
    for part in name.split("."):
        params = params.get(part) if isinstance(params, dict) else None
    return params


def empty() -> None:
    """Free what libraries hold for nobody."""
    if "tensorflow" in sys.modules:
        for name in ("keras", "tf_keras"):
            if name in sys.modules:
                sys.modules[name].backend.clear_session()
    gc.collect()
    torch = sys.modules.get("torch")
    if torch and torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    with contextlib.suppress(AttributeError):  # a C library that has no such function
        ctypes.CDLL(None).malloc_trim(0)  # the heap goes back to the system, so that what is held can be seen


def held() -> dict[str, int]:
    """Bytes that the process holds: on the host, and on the devices."""
    return {"host": host_bytes(), "device": device_bytes()}


def host_bytes() -> int:
    """Bytes of memory of its own that the process has now; 0 where the system does not tell."""
    try:
        _, resident, shared, *_ = map(int, Path("/proc/self/statm").read_text().split())
    except OSError:
        return 0
    return (resident - shared) * os.sysconf("SC_PAGE_SIZE")


def device_bytes() -> int:
    """Bytes that the libraries hold on all GPUs."""
    total = 0
    torch = sys.modules.get("torch")
    if torch and torch.cuda.is_available() and torch.cuda.is_initialized():
        total += sum(torch.cuda.memory_allocated(number) for number in range(torch.cuda.device_count()))
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow:
        for number in range(len(tensorflow.config.list_physical_devices("GPU"))):
            total += tensorflow.config.experimental.get_memory_info(f"GPU:{number}")["current"]
    return total


def words(error: BaseException) -> str:
    """An error in one line: what a stage says to its user, or the kind of a bug and where it is."""
    text = " ".join(str(error).split())
    if hasattr(error, "exit_code"):  # an error that is meant for a user
        return text
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {text} ({Path(place.filename).name}:{place.lineno})"


def main() -> None:
    """Serve the process at the other end of standard input; end with it."""
    orders, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)  # what a library prints is no answer
    sys.path[0] = str(Path.cwd())  # as `python -m` has it; never the folder of this file
    todo: SimpleQueue[dict[str, Any]] = SimpleQueue()

    def listen() -> None:
        for line in orders:
            todo.put(json.loads(line))
        os._exit(0)  # whoever gave the orders has ended, maybe in the middle of an epoch

    threading.Thread(target=listen, daemon=True).start()

    def tell(**what: object) -> None:
        answers.write(json.dumps(what) + "\n")
        answers.flush()

    try:
        module = importlib.import_module(sys.argv[1])
        missing = [name for name in ("load", "train") if not hasattr(module, name)]
        broken = f"it has no {' and no '.join(missing)}" if missing else ""
    except Exception as error:
        broken = words(error)
    while broken:
        todo.get()
        tell(broken=broken)
    worker = Worker(module, tell)
    while True:
        worker.obey(todo.get())


if __name__ == "__main__":
    main()
