"""Start the processes of stages under one supervisor, a process of its own that outlives no flow."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from gliaflow.machine.process import Process
from gliaflow.machine.supervisor import MAX_FDS
from gliaflow.terminal.pseudo import Measure, open_pair

ROOT = Path(__file__).parents[2]  # where the package lies
PROGRAM = (
    "import sys; sys.path.append(sys.argv[1]); from gliaflow.machine.supervisor import main; main(int(sys.argv[2]))"
)
GRACE_SECONDS = 10.0  # between the first signal and SIGKILL


class Supervisor:
    """The process under which all stages of a flow run; it outlives no flow."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def spawn(
        self,
        commands: Sequence[Sequence[str]],
        cwd: str,
        env: Mapping[str, str],
        keep: Sequence[int] = (),
        stdin: int | None = None,
        terminal: Measure | None = None,
    ) -> Process:
        """Prepare to run `commands`, which read the descriptor `stdin`, or nothing.

        They print to a pipe, or to a pseudo-terminal of the size of `terminal`, if the system has one to give. The
        warden keeps the descriptors `keep` open until its tree has ended.
        """
        reads = stdin is not None
        keep = [stdin, *keep] if stdin is not None else keep
        request = {"commands": commands, "cwd": cwd, "env": dict(env), "grace": GRACE_SECONDS, "stdin": reads}
        for attempt in (1, 2):  # the supervisor may have been killed
            try:
                process = self._ask(keep, terminal)
                try:
                    process.begin(request)
                except OSError:
                    process.close()
                    raise
                return process
            except ConnectionError:
                self._forget()
                if attempt == 2:
                    raise
        raise AssertionError("unreachable")

    def _ask(self, keep: Sequence[int], terminal: Measure | None) -> Process:
        ours, theirs = socket.socketpair()
        try:
            reading, writing = open_pair(terminal()) if terminal else os.pipe()
        except OSError:
            terminal = None
            reading, writing = os.pipe()
        try:
            with self._lock:
                if self._control is None:
                    self._start()
                assert self._control is not None
                fds = [theirs.fileno(), writing, *keep]
                while len(fds) > MAX_FDS:
                    socket.send_fds(self._control, [b"+"], fds[:MAX_FDS])
                    fds = fds[MAX_FDS:]
                socket.send_fds(self._control, [b"!"], fds)
        except OSError:
            ours.close()
            os.close(reading)
            raise
        finally:
            theirs.close()
            os.close(writing)
        return Process(ours, reading, terminal)

    def _start(self) -> None:
        self._control, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", PROGRAM, str(ROOT), str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # what is sent to the flow's group is for the flow, which tells the wardens
            )

    def _forget(self) -> None:
        """Let another one be started if this one has ended."""
        with self._lock, suppress(subprocess.TimeoutExpired):
            if self._control is not None and self._process is not None:
                self._process.wait(0.5)
                self._control.close()
                self._control = self._process = None

    def close(self) -> None:
        """End the supervisor; it waits for its wardens, and they for their trees."""
        with self._lock:
            if self._control is not None and self._process is not None:
                self._control.close()
                self._process.wait()
            self._control = self._process = None
