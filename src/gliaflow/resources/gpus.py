"""The memory of GPUs that a tree of processes holds, as nvidia-smi tells it now and then."""

import shutil
import subprocess
import threading
from collections.abc import Mapping

from gliaflow.resources.usage import descendants

LOOK_SECONDS = 2.0
LIMIT_SECONDS = 20.0  # that nvidia-smi may take
QUERY = ("--query-compute-apps=pid,used_gpu_memory", "--format=csv,noheader,nounits")
MIB = 1 << 20


class GpuMeter:
    """Looks at what the descendants of process `pid` hold of GPUs, until it is closed."""

    def __init__(self, pid: int, environment: Mapping[str, str]) -> None:
        self.peak_bytes: int | None = None
        """The most at one moment, of all GPUs together; None where nothing tells."""
        self._pid, self._environment = pid, dict(environment)
        self._program = shutil.which("nvidia-smi", path=environment.get("PATH"))
        self._closed = threading.Event()
        if self._program:
            threading.Thread(target=self._run, daemon=True, name="gpu-memory").start()

    def close(self) -> None:
        """Look no more."""
        self._closed.set()

    def _run(self) -> None:
        while not self._closed.wait(LOOK_SECONDS):
            try:
                self.look()
            except (OSError, subprocess.SubprocessError):
                return

    def look(self) -> None:
        """Look once.

        Raises:
            OSError, SubprocessError: nvidia-smi does not tell.
        """
        assert self._program
        line = [self._program, *QUERY]
        shown = subprocess.run(
            line, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=True, env=self._environment
        )
        ours, total = {*descendants(self._pid)}, 0
        for row in shown.stdout.splitlines():
            pid, _, size = (part.strip() for part in row.partition(","))
            if pid.isdigit() and size.isdigit() and int(pid) in ours:
                total += int(size) * MIB
        self.peak_bytes = max(self.peak_bytes or 0, total)
