"""Owns every process of a flow's stages: whatever ends the flow, `kill -9` included, ends them too.

A program of its own that imports the standard library alone, started once a flow by `process.Supervisor`. For each
request it forks a warden, the parent of one stage's commands and, on Linux, of whatever they leave behind
(PR_SET_CHILD_SUBREAPER). A warden speaks lines of JSON with the flow over a socket of its own; at its end of file, or
when told to stop, it ends every descendant: the signal first, SIGKILL once the grace is over.
"""

import contextlib
import ctypes
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

MAX_FDS = 250  # of one request: link, output and the locks that the warden keeps until its tree has ended
PR_SET_CHILD_SUBREAPER = 36
IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LIBC = ctypes.CDLL(None, use_errno=True)
CANNOT_RUN = 127  # what a shell reports for a command that is not there


def adopt_orphans() -> None:
    """Become the parent of orphaned descendants; elsewhere than on Linux they stay what they are."""
    if sys.platform == "linux":
        LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def children() -> dict[int, list[int]]:
    """The children of every process of the machine."""
    found: dict[int, list[int]] = {}
    if sys.platform == "linux":
        for entry in os.scandir("/proc"):
            if entry.name.isdigit():
                with contextlib.suppress(OSError):  # it has ended
                    fields = Path(entry.path, "stat").read_text().rpartition(")")[2].split()
                    found.setdefault(int(fields[1]), []).append(int(entry.name))
    else:
        listed = subprocess.run(["ps", "-axo", "pid=,ppid="], capture_output=True, text=True, check=False).stdout
        for line in listed.splitlines():
            pid, parent = map(int, line.split())
            found.setdefault(parent, []).append(pid)
    return found


def descendants(roots: Iterable[int]) -> list[int]:
    """`roots` and all that descends from them."""
    family, waiting = children(), list(roots)
    result = []
    while waiting:
        result.append(pid := waiting.pop())
        waiting += family.get(pid, [])
    return result


def send(number: int, pids: Iterable[int]) -> None:
    """Signal each, gone or not."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


class Warden:
    """The parent of one stage's commands."""

    def __init__(self, link: socket.socket, output: int) -> None:
        self.link, self.output = link, output
        self.woken, self.waker = socket.socketpair()
        self.sources = [self.woken, self.link]
        self.unread = b""
        self.kill_at: float | None = None  # when the grace ends
        self.main = 0  # pid of the running command
        self.code = 0

    def run(self) -> None:
        """Serve the request that comes over the link, then exit."""
        os.setsid()
        adopt_orphans()
        self.waker.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # a handler, or the wake-up is not written
        signal.set_wakeup_fd(self.waker.fileno(), warn_on_full_buffer=False)
        request = self.hear()
        if request is None:
            return
        self.grace = float(request["grace"])
        self.say(pid=os.getpid())
        if self.hear() is None:  # the word to go
            return
        for command in request["commands"]:
            self.say(command=command)
            self.main = self.start(command, request["cwd"], request["env"])
            self.watch()
            if self.code or self.kill_at:
                break
        self.main = 0
        left = self.end_the_rest()
        self.say(code=self.code, left=left)

    def start(self, command: list[str], cwd: str, env: dict[str, str]) -> int:
        pid = os.fork()
        if pid:
            return pid
        try:
            signal.set_wakeup_fd(-1)
            for number in (*IGNORED, signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ):
                signal.signal(number, signal.SIG_DFL)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(self.output, 1)
            os.dup2(self.output, 2)
            os.closerange(3, MAX_FDS + 50)
            os.chdir(cwd)
            os.execvpe(command[0], command, env)
        except OSError as error:
            os.write(2, f"{error.filename or command[0]}: {error.strerror}\n".encode())
        finally:
            os._exit(CANNOT_RUN)

    def watch(self) -> None:
        """Until the command has ended: reap, and heed the flow."""
        while self.main:
            wait = None if self.kill_at is None else max(self.kill_at - time.monotonic(), 0.05)
            ready, _, _ = select.select(self.sources, [], [], wait)
            if self.woken in ready:
                self.woken.recv(4096)
            if self.link in ready:
                told = self.hear()
                if told is None:
                    self.sources.remove(self.link)  # an end of file stays readable
                self.stop(told["stop"] if told else signal.SIGTERM)
            self.reap()
            if self.kill_at is not None and time.monotonic() >= self.kill_at:
                send(signal.SIGKILL, descendants([os.getpid()])[1:])

    def stop(self, number: int) -> None:
        if self.kill_at is None:
            self.kill_at = time.monotonic() + self.grace
            send(number, descendants([os.getpid()])[1:])

    def reap(self) -> bool:
        """Take in what has ended; False once no child is left."""
        try:
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if ended[0] == self.main:
                    self.main, self.code = 0, os.waitstatus_to_exitcode(ended[1])
        except ChildProcessError:
            return False
        return True

    def end_the_rest(self) -> int:
        """End what the commands left running; how many those were."""
        left = 0
        deadline = self.kill_at or time.monotonic() + self.grace
        number = signal.SIGTERM
        while self.reap():
            pids = descendants([os.getpid()])[1:]
            left = max(left, len(pids))
            if time.monotonic() >= deadline:
                number = signal.SIGKILL
            send(number, pids)
            time.sleep(0.02)
        return left

    def hear(self) -> Any:
        """What the flow says next; None once it is gone."""
        while b"\n" not in self.unread:
            try:
                more = self.link.recv(1 << 16)
            except ConnectionError:
                more = b""
            if not more:
                return None
            self.unread += more
        line, self.unread = self.unread.split(b"\n", 1)
        return json.loads(line)

    def say(self, **what: object) -> None:
        with contextlib.suppress(OSError):  # nobody listens any more
            self.link.sendall(json.dumps(what).encode() + b"\n")


def serve(control: socket.socket) -> None:
    """Fork a warden for each request until the flow is gone and no warden is left."""
    wardens: set[int] = set()
    while True:
        ready, _, _ = select.select([control], [], [], 0.5)
        if ready:
            message, fds, _, _ = socket.recv_fds(control, 1, MAX_FDS)
            if not message:
                break
            link, output = fds[:2]
            pid = os.fork()
            if not pid:
                with contextlib.suppress(BaseException):
                    control.close()
                    Warden(socket.socket(fileno=link), output).run()
                    os._exit(0)
                os._exit(1)
            wardens.add(pid)
            for fd in fds:
                os.close(fd)
        reap(wardens)
    while wardens:  # each sees the end of its own link
        reap(wardens)
        time.sleep(0.05)


def reap(wardens: set[int]) -> None:
    """Take in ended wardens; one that was killed left its commands to this process, which ends them."""
    orphaned = False
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            orphaned |= ended[1] != 0
            wardens.discard(ended[0])
    if orphaned:
        mine = set(children().get(os.getpid(), [])) - wardens
        send(signal.SIGKILL, descendants(mine))


if __name__ == "__main__":
    for ignored in IGNORED:
        signal.signal(ignored, signal.SIG_IGN)
    adopt_orphans()
    serve(socket.socket(fileno=int(sys.argv[1])))
