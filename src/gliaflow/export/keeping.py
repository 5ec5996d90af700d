"""Keeps a run while it goes on: as a journal, and on a Prefect server if there is one to tell."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict
from pathlib import Path

from gliaflow.core.ports import Listener
from gliaflow.core.report import Event, RunStopped
from gliaflow.errors import TransientError, one_line
from gliaflow.export.configured import Server
from gliaflow.journal.writer import Journal
from gliaflow.relay import Relay

INTERRUPTED = "interrupted"
KEEP_SECONDS = 60.0  # that a slow disk has at the end for what is not yet written
LAST_SECONDS = 5.0  # that a run waits at its end for Prefect to be told
UNTOLD = "Prefect does not know of this run yet"
LATER = "the next run that reaches it tells it, or `gliaflow ui`"
BOOT = "import sys; sys.path.append(sys.argv.pop(1)); from gliaflow.export.companion import main; main()"


class Several:
    """A listener that tells several."""

    def __init__(self, listeners: Sequence[Listener]) -> None:
        self._listeners = listeners

    def hear(self, event: Event) -> None:
        """Pass the event on."""
        for listener in self._listeners:
            listener.hear(event)


@contextmanager
def kept(
    where: Path,
    home: Path,
    facts: Mapping[str, object],
    tags: Sequence[str],
    server: tuple[str, Server] | None,
    say: Callable[[str], None],
    cancel: Callable[[], None],
) -> Iterator[Listener]:
    """Yield the listener that keeps a run; what the block raises is how the run ended.

    Args:
        where: The folder of the journals.
        home: Where this user's repositories with journals are noted.
        facts: What the first line of the journal holds besides.
        tags: What the run is marked with besides.
        server: The server to tell live, if any, and what it is called in the marks of journals.
        say: Told what the user should know.
        cancel: Called when somebody cancels the run on the server.
    """
    journal = Journal(where, home, {**facts, **({"server": server[0]} if server else {})}, tags)
    told = accompanied(server[1], server[0], journal.path, home, say, cancel) if server else nullcontext()
    with told:
        try:
            with Relay([journal], most=sys.maxsize, seconds=KEEP_SECONDS) as relay:
                try:
                    yield relay
                except BaseException as error:
                    cancelled = isinstance(error, KeyboardInterrupt | InterruptedError | TransientError)
                    relay.hear(RunStopped(one_line(error) or INTERRUPTED, cancelled))
                    raise
        finally:
            journal.close()
            if journal.wrong:
                say(f"the journal of this run is not complete: {journal.path}: {journal.wrong}")


@contextmanager
def accompanied(
    server: Server, key: str, journal: Path, home: Path, say: Callable[[str], None], cancel: Callable[[], None]
) -> Iterator[None]:
    """Have a server told of the run in `journal`, live; its marks are under `key`.

    Args:
        server: The server.
        key: What the server is called in the marks of journals.
        journal: The journal, which need not be there yet.
        home: A folder that is nobody's repository, for the program to run in.
        say: Told once if the server does not do what it should.
        cancel: Called when somebody cancels the run on the server.
    """
    told: list[str] = []
    known, done = threading.Event(), threading.Event()  # the server knows all; there is nothing to wait for
    try:
        program = _start({"server": asdict(server), "key": key, "journal": str(journal)}, home)
    except OSError as error:
        say(f"{UNTOLD}: {one_line(error)}; {LATER}")
        yield
        return

    def listen() -> None:
        assert program.stdout
        with program:  # it may tell of earlier runs a little longer than this one lasts
            for line in program.stdout:
                heard = json.loads(line)
                if heard.get("cancel"):
                    cancel()
                elif why := heard.get("wrong"):
                    told.append(why)
                elif heard.get("done"):
                    known.set()
                    done.set()
        done.set()

    threading.Thread(target=listen, name="prefect", daemon=True).start()
    try:
        yield
    finally:
        _close(program)
        if not done.wait(LAST_SECONDS):
            program.kill()
        if not known.is_set():
            why = told[-1] if told else f"{server.url} is too slow"
            say(f"{UNTOLD}: {why}; {LATER}")


def _start(work: dict[str, object], home: Path) -> "subprocess.Popen[str]":
    """Start the program; secrets go by its standard input, which no other process sees."""
    own = home / "gliaflow"
    own.mkdir(parents=True, exist_ok=True)
    program = subprocess.Popen(
        [sys.executable, "-I", "-c", BOOT, str(Path(__file__).parents[2])],  # -I: nothing of the working directory
        cwd=own,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,  # what ends the run by its terminal is told before the program ends
    )
    assert program.stdin
    with suppress(OSError):
        program.stdin.write(f"{json.dumps(work)}\n")
        program.stdin.flush()
    return program


def _close(program: "subprocess.Popen[str]") -> None:
    """Tell the program that the run is over."""
    assert program.stdin
    with suppress(OSError):
        program.stdin.close()
