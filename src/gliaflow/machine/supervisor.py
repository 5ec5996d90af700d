"""Owns every process of a flow's stages: whatever ends the flow, `kill -9` included, ends them too.

A program of its own, started once a flow by `spawn.Supervisor`. It imports `resources.usage`, and all else of the
standard library. For each request it forks a warden, the parent of one stage's commands and, on Linux, of whatever they
leave behind (PR_SET_CHILD_SUBREAPER). A warden speaks lines of JSON with the flow over a socket of its own; at its end
of file, or when told to stop, it ends every descendant: by the signal first, after a grace by SIGKILL.
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
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypedDict

from gliaflow.resources.usage import Meter

MAX_FDS = 200  # in one message; a request that has more comes in several
PR_SET_CHILD_SUBREAPER = 36
IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LIBC = ctypes.CDLL(None, use_errno=True)
MOVING = "RSI"  # states of a process that may start another one
QUIET_LOOKS = 2  # in a row: a look reads one process after another
STAND_SECONDS = 1.0  # at most until all that was told to stand still does
LOOK_SECONDS = 0.001  # between two such looks
POLL_SECONDS = 0.02  # between two looks at what is left
LAST_OPEN = 3  # the descriptor over which a command tells why it could not start; closed when it does
MOST_OPEN = 1 << 20  # descriptors to close where there is no limit, for which systems have numbers of their own
CANNOT_RUN = 127  # what a shell reports for a command that is not there


Refused = tuple[int, str]  # why a command could not start: errno, and the path that it is about, if any


class Request(TypedDict, total=False):
    """What a run tells a warden: first its work, then the word to go, or to stop with a signal."""

    commands: list[list[str]]
    cwd: str
    env: dict[str, str]
    stdin: bool  # whether the third of its descriptors is what the commands read
    grace: float
    go: bool
    stop: int


def adopt_orphans() -> None:
    """Become the parent of orphaned descendants; on other systems than Linux they stay what they are."""
    if sys.platform == "linux":
        LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


class Seen(NamedTuple):
    """A process as one look found it."""

    parent: int  # pid
    state: str  # a letter: T stands still, D waits for a disk or for what it starts, Z has ended


def processes() -> dict[int, Seen]:
    """All of the machine, by pid."""
    found: dict[int, Seen] = {}
    if sys.platform == "linux":
        for entry in os.scandir("/proc"):
            if entry.name.isdigit():
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended
                    state, parent, *_ = Path(entry.path, "stat").read_text(errors="replace").rpartition(")")[2].split()
                    found[int(entry.name)] = Seen(int(parent), state)
    else:
        with subprocess.Popen(["ps", "-axo", "pid=,ppid=,state="], stdout=subprocess.PIPE, text=True) as ps:
            listed = ps.communicate()[0]
        for pid, parent, state in map(str.split, listed.splitlines()):
            found[int(pid)] = Seen(int(parent), state[0].replace("U", "D"))
        found.pop(ps.pid, None)
    return found


def children(found: Mapping[int, Seen]) -> dict[int, list[int]]:
    """The children of each process that has some."""
    family: dict[int, list[int]] = {}
    for pid, seen in found.items():
        family.setdefault(seen.parent, []).append(pid)
    return family


def descendants(found: Mapping[int, Seen], roots: Iterable[int]) -> list[int]:
    """`roots` and all that descends from them."""
    family, waiting = children(found), list(roots)
    result = []
    while waiting:
        result.append(pid := waiting.pop())
        waiting += family.get(pid, [])
    return result


def send(number: int, pids: Iterable[int]) -> set[int]:
    """Signal each, gone or not; returns those that this process may not signal, such as another user's."""
    refused = set()
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass
        except PermissionError:
            refused.add(pid)
    return refused


def send_to_tree(number: int, top: int) -> None:
    """Signal `top`, unless it is this process, and all below it, none of which starts another one meanwhile.

    First each is stopped by SIGSTOP, a parent before its children. Then all get the signal, and go on by SIGCONT, the
    children before their parent: a shell with job control must not see its command stopped. A process may start one
    more before SIGSTOP reaches it, so this looks again until nothing moves, for `STAND_SECONDS` at most.
    """
    tree: dict[int, None] = {}  # pids, parents before their children
    told: set[int] = set()
    refused: set[int] = set()
    quiet, deadline = 0, time.monotonic() + STAND_SECONDS
    try:
        while quiet < QUIET_LOOKS and time.monotonic() < deadline:
            found = processes()
            still = {pid for pid, seen in found.items() if seen.state not in MOVING}
            tree.update(dict.fromkeys(pid for pid in descendants(found, [top]) if pid in found and pid != os.getpid()))
            done = (told & still) | refused
            late = [pid for pid in tree if pid in found and pid not in done]
            quiet = 0 if late else quiet + 1
            parents = still | refused | {os.getpid()}
            ready = [pid for pid in late if pid == top or found[pid].parent in parents]
            refused |= send(signal.SIGSTOP, ready)
            told.update(ready)
            time.sleep(LOOK_SECONDS)
    finally:
        send(number, tree)
        send(signal.SIGCONT, reversed(tree))


def wake_on_children() -> socket.socket:
    """A socket that can be read from when a child of this process has ended."""
    woken, waker = socket.socketpair()
    waker.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)  # a handler, or the wake-up is not written
    signal.set_wakeup_fd(waker.detach(), warn_on_full_buffer=False)
    return woken


def readable(sources: Iterable[int | socket.socket], seconds: float | None) -> list[int | socket.socket]:
    """Those that can be read from; unlike select, with file descriptors of any number."""
    poll = select.poll()
    by_number: dict[int, int | socket.socket] = {}
    for source in sources:
        number = source if isinstance(source, int) else source.fileno()
        by_number[number] = source
        poll.register(number, select.POLLIN)
    return [by_number[number] for number, _ in poll.poll(None if seconds is None else seconds * 1000)]


class Warden:
    """The parent of one stage's commands."""

    def __init__(self, link: socket.socket, output: int, others: Sequence[int] = ()) -> None:
        self.link, self.output, self.others = link, output, others
        self.input: int | None = None
        self.woken = wake_on_children()
        self.sources = [self.woken, self.link]
        self.unread = b""
        self.escalation: list[tuple[float, int]] = []  # when to send which signal, once told to stop
        self.main = 0  # pid of the running command
        self.code = 0
        self.report = -1  # a pipe, in which the running command tells why it could not start
        self.refused: Refused | None = None

    def run(self) -> None:
        """Serve the request that comes over the link, then exit."""
        os.setsid()
        adopt_orphans()
        request = self.hear()
        if request is None:
            return
        self.grace = float(request["grace"])
        self.input = self.others[0] if request.get("stdin") else None
        self.say(pid=os.getpid())
        self.meter = Meter()
        for place, command in enumerate(request["commands"]):
            self.say(command=command, waits=place > 0)
            if not self.may_go():
                break
            self.main = self.start(command, request["cwd"], request["env"])
            self.watch()
            if self.code or self.escalation:
                break
        self.main = 0
        self.say(over=True)
        left = self.end_the_rest()
        self.say(code=self.code, left=left, refused=self.refused, used=self.meter.read())

    def may_go(self) -> bool:
        """Wait for the word to go, which the run gives before each command."""
        told = self.hear()
        if told and "stop" in told:
            self.code = -told["stop"]
        return told is not None and "stop" not in told

    def start(self, command: list[str], cwd: str, env: dict[str, str]) -> int:
        """Start one command in a process group of its own; its pid, or 0 if the system gives no process."""
        self.report, report = os.pipe()
        signal.pthread_sigmask(signal.SIG_BLOCK, IGNORED)  # what is sent to the child meanwhile waits for its defaults
        try:
            pid = os.fork()
        except OSError as error:
            self.code, self.refused = CANNOT_RUN, (error.errno or 0, "")
            os.close(self.report)
            pid = -1
        if pid:
            os.close(report)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, IGNORED)
            return max(pid, 0)
        try:
            os.setpgid(0, 0)  # a stage may signal its group, which must not be the warden's
            signal.set_wakeup_fd(-1)
            for number in (*IGNORED, signal.SIGQUIT, signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ):
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, IGNORED)
            os.dup2(os.open(os.devnull, os.O_RDONLY) if self.input is None else self.input, 0)
            os.dup2(self.output, 1)
            os.dup2(self.output, 2)
            if report != LAST_OPEN:
                report = os.dup2(report, LAST_OPEN, inheritable=False)
            limit = os.sysconf("SC_OPEN_MAX")
            os.closerange(LAST_OPEN + 1, limit if 0 < limit < MOST_OPEN else MOST_OPEN)
            os.chdir(cwd)
            os.execvpe(command[0], command, env)
        except OSError as error:
            os.write(2, f"{error.filename or command[0]}: {error.strerror}\n".encode())
            os.write(report, json.dumps([error.errno, str(error.filename or command[0])]).encode())
        finally:
            os._exit(CANNOT_RUN)

    def watch(self) -> None:
        """Until the command has ended: reap, and hear the run."""
        while self.main:
            wait = self.meter.due
            if self.escalation:
                wait = min(wait, max(self.escalation[0][0] - time.monotonic(), 0.05))
            ready = readable(self.sources, 0 if b"\n" in self.unread else wait)
            self.meter.look()
            if self.woken in ready:
                self.woken.recv(4096)
            if self.link in ready or b"\n" in self.unread:
                told = self.hear()
                if told is None:
                    self.sources.remove(self.link)  # an end of file stays readable
                if told is None or "stop" in told:
                    self.stop(told["stop"] if told else signal.SIGTERM)
            self.reap()
            self.escalate()

    def stop(self, number: int) -> None:
        """Begin the end of all."""
        if not self.escalation:
            now = time.monotonic()
            gentle = [(now + self.grace / 3, signal.SIGTERM)] if number in (signal.SIGINT, signal.SIGHUP) else []
            self.escalation = [(now, number), *gentle, (now + self.grace, signal.SIGKILL)]

    def escalate(self) -> None:
        """Send what is due: each signal once, but SIGKILL until nothing is left."""
        while self.escalation and self.escalation[0][0] <= time.monotonic():
            number = self.escalation[0][1]
            send_to_tree(number, os.getpid())
            if number == signal.SIGKILL:
                break
            self.escalation.pop(0)

    def reap(self) -> bool:
        """Take in what has ended; False once no child is left."""
        try:
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if ended[0] == self.main:
                    self.main, self.code = 0, os.waitstatus_to_exitcode(ended[1])
                    if told := os.read(self.report, 1 << 16):  # an end of file, if the command did start
                        self.refused = tuple(json.loads(told))
                    os.close(self.report)
        except ChildProcessError:
            return False
        return True

    def end_the_rest(self) -> int:
        """End what the commands left running; how many those were."""
        left = 0
        while self.reap():
            left = max(left, len(descendants(processes(), [os.getpid()])) - 1)
            self.stop(signal.SIGTERM)
            self.escalate()
            time.sleep(POLL_SECONDS)
        return left

    def hear(self) -> Request | None:
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
        found: Request = json.loads(line)
        return found

    def say(self, **what: object) -> None:
        """Tell the run something, as a line of JSON."""
        with contextlib.suppress(OSError):  # nobody listens any more
            self.link.sendall(json.dumps(what).encode() + b"\n")


class Supervisor:
    """Forks a warden for each request, until the flow is gone and nothing is left to end."""

    def __init__(self, control: socket.socket) -> None:
        self.control, self.woken = control, wake_on_children()
        self.wardens: set[int] = set()
        self.fds: list[int] = []  # of a request that is not complete
        self.orphaned = False  # whether a warden was killed: its commands are children of this process by now

    def run(self) -> None:
        """Serve."""
        sources = [self.woken, self.control]
        while len(sources) > 1 or self.wardens or self.orphaned:
            ready = readable(sources, POLL_SECONDS if self.orphaned else None)
            if self.woken in ready:
                self.woken.recv(4096)
            if self.control in ready:
                message, fds, _, _ = socket.recv_fds(self.control, 1, MAX_FDS)
                self.fds += fds
                if message == b"!":
                    self.fork(self.fds)
                    self.fds = []
                elif not message:
                    sources.remove(self.control)
            self.reap()

    def fork(self, fds: list[int]) -> None:
        """Hand a request to a new warden; if there can be none, tell the run why."""
        try:
            pid = os.fork()
        except OSError as error:
            pid = -1
            with contextlib.suppress(OSError):
                os.write(fds[0], json.dumps({"code": CANNOT_RUN, "refused": [error.errno, ""]}).encode() + b"\n")
        if not pid:
            with contextlib.suppress(BaseException):
                self.control.close()
                Warden(socket.socket(fileno=fds[0]), fds[1], fds[2:]).run()
                os._exit(0)
            os._exit(1)
        self.wardens |= {pid} if pid > 0 else set()
        for fd in fds:
            os.close(fd)

    def reap(self) -> None:
        """Take in ended wardens, and end what a killed one left, until nothing of it is left."""
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                self.orphaned |= ended[0] in self.wardens and ended[1] != 0
                self.wardens.discard(ended[0])
        if self.orphaned:
            found = processes()
            left = set(children(found).get(os.getpid(), [])) - self.wardens
            send(signal.SIGKILL, descendants(found, left))
            self.orphaned = bool(left)


def main(descriptor: int) -> None:
    """The program: the supervisor of the flow that holds the other end of the socket."""
    for ignored in IGNORED:
        signal.signal(ignored, signal.SIG_IGN)
    adopt_orphans()
    Supervisor(socket.socket(fileno=descriptor)).run()
