"""Runners, seen from the process that gives the orders: each is started when it is needed, and replaced if it dies."""

import json
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from gliaflow.errors import how_it_ended, one_line
from gliaflow.experiments.making.experiment import Order
from gliaflow.experiments.making.runner import plain
from gliaflow.experiments.making.setting import Setting
from gliaflow.experiments.results import Experiment, Fate, Hear, Progress

TAIL = 20  # last lines of a runner that died
TRIES = 3  # of an experiment whose runner died: it goes on where it was
END_SECONDS = 45.0  # that a runner has to end its stages in; a supervisor kills after 10
BOOT = "import sys; sys.path.insert(0, sys.argv.pop(1)); from gliaflow.api import serve_experiments as s; s()"


class Runner:
    """One process that makes experiments, one at a time."""

    def __init__(self, setting: Setting) -> None:
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 it lives as long as the process
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-c", BOOT, str(Path(__file__).parents[3])],  # -I: nothing of the working directory
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            encoding="utf-8",
            start_new_session=True,  # Ctrl-C is for who gives the orders, who closes the pipe then
        )
        self._say(plain(setting))

    def make(self, order: Order, hear: Hear) -> Experiment | None:
        """Have an experiment made; None if the process ended before that."""
        self._say(plain(order))
        assert self._process.stdout
        for line in self._process.stdout:
            told = json.loads(line)
            if "experiment" in told:
                return Experiment.of(told["experiment"])
            if "progress" in told:
                hear(Progress(order.name, order.params, told["progress"]))
        self._process.wait()
        return None

    def failed(self, order: Order) -> Experiment:
        """What is told of the experiment that it made when it died: how that was, and its last words."""
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        ending = how_it_ended(self._process.returncode)
        why = f"its process {ending}{f': {one_line(lines[-1])}' if lines else ''}, {TRIES} times"
        return Experiment(order.name, order.params, Fate.FAILED, error=why, tail=lines[-TAIL:])

    def dismiss(self) -> None:
        """It has nothing more to do."""
        self._say("\n")
        self.close()

    def close(self) -> None:
        """It ends at once, with all that it runs; `wait` waits for that."""
        assert self._process.stdin
        with suppress(OSError):
            self._process.stdin.close()

    def wait(self) -> None:
        """Wait until it has ended, and help if it does not."""
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self.close()
        assert self._process.stdout
        self._process.stdout.close()
        self._errors.close()

    def _say(self, text: str) -> None:
        assert self._process.stdin
        with suppress(OSError, ValueError):  # it has ended, or was closed, which `make` finds out
            self._process.stdin.write(text)
            self._process.stdin.flush()


class Runners:
    """So many runners for a queue of orders."""

    def __init__(self, setting: Setting, number: int, hear: Hear) -> None:
        self._setting, self._number, self._hear = setting, number, hear
        self._running: set[Runner] = set()
        self._ending = threading.Event()
        self._lock = threading.Lock()

    def make(self, orders: Sequence[Order]) -> list[Experiment]:
        """Make all experiments, in this order as far as they do not run at once; what came of them, in this order."""
        todo: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        ended: queue.SimpleQueue[tuple[int, Experiment | BaseException]] = queue.SimpleQueue()
        for place in range(len(orders)):
            todo.put(place)
        threads = [
            threading.Thread(target=self._work, args=(orders, todo, ended), daemon=True) for _ in range(self._number)
        ]
        for thread in threads:
            todo.put(None)
            thread.start()
        found: dict[int, Experiment] = {}
        try:
            while len(found) < len(orders):
                place, one = ended.get()
                if isinstance(one, BaseException):
                    raise one
                found[place] = one
        finally:
            self._end()
            for thread in threads:
                thread.join()
            for runner in [*self._running]:  # those of a thread that a bug has ended
                self._forget(runner)
        return [found[place] for place in range(len(orders))]

    def _end(self) -> None:
        """End what still runs; after `make` has all, that is nothing."""
        self._ending.set()
        with self._lock:
            for runner in self._running:
                runner.close()

    def _work(
        self,
        orders: Sequence[Order],
        todo: "queue.SimpleQueue[int | None]",
        ended: "queue.SimpleQueue[tuple[int, Experiment | BaseException]]",
    ) -> None:
        """Make one experiment after another, with a runner of its own."""
        runner: Runner | None = None
        place: int | None = -1
        try:
            while (place := todo.get()) is not None and not self._ending.is_set():
                runner, found = self._made(runner, orders[place])
                if found:
                    self._hear(found)
                    ended.put((place, found))
        except BaseException as error:  # a bug, or no more processes: the sweep ends with it
            ended.put((place or 0, error))
        finally:
            if runner:
                runner.dismiss()
                self._forget(runner)

    def _made(self, runner: Runner | None, order: Order) -> tuple[Runner | None, Experiment | None]:
        """The runner that lives, and what came of the experiment; neither if all is to end."""
        lost: Experiment | None = None
        for _ in range(TRIES):
            with self._lock:
                if self._ending.is_set():
                    return runner, None
                runner = runner or Runner(self._setting)
                self._running.add(runner)
            self._hear(Progress(order.name, order.params, ""))
            if found := runner.make(order, self._hear):
                return runner, found
            lost = runner.failed(order)
            self._forget(runner)
            runner = None
        return None, None if self._ending.is_set() else lost

    def _forget(self, runner: Runner) -> None:
        runner.wait()
        with self._lock:
            self._running.discard(runner)
