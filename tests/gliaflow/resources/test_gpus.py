"""The memory of GPUs that a stage holds, as an nvidia-smi of the test's own tells it."""

import os
import subprocess
from pathlib import Path

import pytest

from gliaflow.resources.gpus import GpuMeter


@pytest.fixture
def child() -> "subprocess.Popen[bytes]":
    """A process below this one."""
    return subprocess.Popen(["sleep", "60"])


def meter(folder: Path, script: str) -> GpuMeter:
    """One that looks only when it is told to."""
    (folder / "nvidia-smi").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "nvidia-smi").chmod(0o755)
    made = GpuMeter(os.getpid(), {"PATH": f"{folder}:{os.environ['PATH']}"})
    made.close()
    return made


def test_what_processes_of_the_stage_hold_is_summed_and_the_most_is_kept(
    tmp_path: Path, child: "subprocess.Popen[bytes]"
) -> None:
    shown = tmp_path / "shown"
    found = meter(tmp_path, f"cat {shown}")
    try:
        for text in (f"{child.pid}, 300\n1, 9000\n", f"{child.pid}, 500\n{child.pid}, 700\n", f"{child.pid}, [N/A]\n"):
            shown.write_text(text)
            found.look()
        assert found.peak_bytes == 1200 << 20
    finally:
        child.kill()
        child.wait()


def test_an_nvidia_smi_that_fails_tells_nothing(tmp_path: Path) -> None:
    found = meter(tmp_path, "exit 9")
    with pytest.raises(subprocess.CalledProcessError):
        found.look()
    assert found.peak_bytes is None


def test_without_nvidia_smi_nothing_is_known() -> None:
    found = GpuMeter(os.getpid(), {"PATH": ""})
    found.close()
    assert found.peak_bytes is None
