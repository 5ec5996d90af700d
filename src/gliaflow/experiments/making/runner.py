"""A runner: a process that makes one experiment after another, as it is told on its standard input.

DVC works in one working directory a process, so experiments that run side by side need a process each. One process
makes many of them, since loading DVC takes longer than a small experiment. It ends with its input: whoever gives the
orders may be killed. Each line that it reads or writes is one JSON document.
"""

import json
import os
import queue
import signal
import sys
import threading
from dataclasses import asdict
from typing import Any, TextIO

from gliaflow.core.report import Began, Event, Message, StageEnded
from gliaflow.errors import GliaflowError
from gliaflow.experiments.making.experiment import Order, Reproduce, failed, perform
from gliaflow.experiments.making.setting import Setting


class Teller:
    """Writes what happens as lines of JSON; a listener of runs."""

    def __init__(self, file: TextIO) -> None:
        self._file, self._lock = file, threading.Lock()

    def tell(self, **what: Any) -> None:
        """Write one line."""
        with self._lock:
            self._file.write(json.dumps(what, default=str) + "\n")
            self._file.flush()

    def hear(self, event: Event) -> None:
        """Tell which stage runs."""
        if isinstance(event, Began) and not event.place:
            self.tell(progress=event.address)
        elif isinstance(event, StageEnded) and event.result.outcome.reproduced:
            self.tell(ended=event.result.address, outcome=event.result.outcome.value)
        elif isinstance(event, Message) and " waits" in event.text:
            self.tell(progress=event.text)


def serve(reproduce: Reproduce) -> None:
    """Read a setting, then orders; tell of each what came of it. Returns at an empty line."""
    orders, tell = _streams()
    setting = Setting.of(json.loads(orders.readline()))
    todo: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(orders, todo), daemon=True).start()
    while order := todo.get():
        _make(setting, Order(**order), reproduce, tell)


def _make(setting: Setting, order: Order, reproduce: Reproduce, tell: Teller) -> None:
    try:
        found = perform(setting, order, reproduce, tell, lambda text: tell.tell(progress=text))
    except (GliaflowError, OSError) as error:
        found = failed(order, error)
    tell.tell(experiment=found.plain())


def _streams() -> tuple[TextIO, Teller]:
    """The two ends of the pipe; what else reads standard input finds nothing, what else prints goes to errors."""
    orders, told = os.fdopen(os.dup(0), "r", encoding="utf-8"), os.fdopen(os.dup(1), "w", encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return orders, Teller(told)


def _listen(orders: TextIO, todo: "queue.SimpleQueue[dict[str, Any] | None]") -> None:
    """Pass orders on; at the end of the file end this process as SIGTERM does, so that stages are ended too."""
    for line in orders:
        if not line.strip():
            todo.put(None)
            return
        todo.put(json.loads(line))
    os.kill(os.getpid(), signal.SIGTERM)


def plain(setting: Setting | Order) -> str:
    """As one line for a runner."""
    return json.dumps(asdict(setting)) + "\n"
