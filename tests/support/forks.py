"""`dvc` and `gliaflow` as processes of their own that need not import DVC first: half of their time.

A server, which has imported both, forks one for each command that it is asked for: with the command's own arguments,
environment, working directory, output and exit code, as if it had been started. Prefect is left to the commands that
need it: as it is imported it reads the environment, and takes all logging of the process, DVC's too.

    python tests/support/forks.py SOCKET
"""

import atexit
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, NoReturn

MODULES = ("dvc", "gliaflow")
IMPORTED = (
    "dvc.cli.parser", "dvc.commands.status", "dvc.repo", "dvc_data.index.checkout", "gliaflow.api", "gliaflow.cli.app",
    "gliaflow.cli.repro", "gliaflow.cli.screen", "gliaflow.cli.share", "gliaflow.versioning.publish",
    "gliaflow.versioning.versions", "gliaflow.workspace.workspace",
)  # fmt: skip
READ_AT_START = ("PYTHON", "LC_", "LANG", "MALLOC")  # the interpreter itself reads variables that begin so


class Forks:
    """The server, started when it is first asked; `environment` is the one in which it imports."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._path, self._environment = str(folder / "forks"), dict(environment)
        self._server: subprocess.Popen[bytes] | None = None

    def runs(self, line: Sequence[str], environment: Mapping[str, str]) -> bool:
        """Whether it can do what a process of that environment would."""
        one, other = (
            {n: t for n, t in e.items() if n.startswith(READ_AT_START)} for e in (environment, self._environment)
        )
        return list(line[:2]) == [sys.executable, "-m"] and line[2] in MODULES and one == other

    def run(
        self, line: Sequence[str], cwd: Path, environment: Mapping[str, str], seconds: float
    ) -> "subprocess.CompletedProcess[str]":
        """As `subprocess.run` with a time limit, and the output of both kinds as text.

        Raises:
            TimeoutExpired: it took longer, and was killed.
        """
        request = {"arguments": list(line[2:]), "cwd": str(cwd), "environment": dict(environment)}
        with self._connected() as link, TemporaryFile("w+") as output, TemporaryFile("w+") as errors:
            socket.send_fds(link, [b" "], [output.fileno(), errors.fileno()])
            link.sendall(json.dumps(request).encode())
            link.shutdown(socket.SHUT_WR)
            link.settimeout(seconds)
            told = link.makefile()
            pid = int(told.readline())
            try:
                code = int(told.readline())
            except TimeoutError:
                os.kill(pid, signal.SIGKILL)
                raise subprocess.TimeoutExpired(list(line), seconds) from None
            for file in (output, errors):
                file.seek(0)
            return subprocess.CompletedProcess(list(line), code, output.read(), errors.read())

    def close(self) -> None:
        """End the server."""
        if self._server:
            self._server.terminate()
            self._server.wait()

    @contextmanager
    def _connected(self) -> Iterator[socket.socket]:
        if self._server is None:
            command = [sys.executable, "-P", __file__, self._path]
            self._server = subprocess.Popen(command, env=self._environment, stdin=subprocess.DEVNULL)
        with socket.socket(socket.AF_UNIX) as link:
            while True:
                with suppress(FileNotFoundError, ConnectionRefusedError):
                    link.connect(self._path)
                    break
                assert self._server.poll() is None
                time.sleep(0.02)
            yield link


def serve(path: str) -> None:
    """Fork a process for each request, and another that waits for it and tells its pid and its exit code."""
    for name in IMPORTED:
        importlib.import_module(name)
    assert "prefect" not in sys.modules
    gc.freeze()  # the same pages in all of them
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(path)
        door.listen()
        while True:
            link, _ = door.accept()
            with suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            if not os.fork():
                door.close()
                os._exit(_wait_for_one(link))
            link.close()


def _wait_for_one(link: socket.socket) -> int:
    data, files, _, _ = socket.recv_fds(link, 1 << 16, 2)
    while more := link.recv(1 << 16):
        data += more
    if not (pid := os.fork()):
        link.close()
        _become(json.loads(data), files)
    link.sendall(f"{pid}\n".encode())
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with suppress(BrokenPipeError):  # who asked may have given it up
        link.sendall(f"{code}\n".encode())
    return 0


def _become(request: Mapping[str, Any], files: Sequence[int]) -> NoReturn:
    """Be that command, and exit as Python would."""
    for number, file in zip((1, 2), files, strict=True):
        os.dup2(file, number)
        os.close(file)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["cwd"])
    module, *arguments = request["arguments"]
    sys.argv = [module, *arguments]
    sys.path.insert(0, request["cwd"])  # as after `python -m`
    code: object = 0
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        code = ended.code
    except BaseException:
        traceback.print_exc()
        code = 1
    if not isinstance(code, int | None):
        print(code, file=sys.stderr)
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code or 0)


if __name__ == "__main__":
    serve(sys.argv[1])
