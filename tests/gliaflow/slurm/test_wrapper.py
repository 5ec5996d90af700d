"""What runs in a job: the commands, their lines in a file, and one file that tells how they ended."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gliaflow.machine.spawn import ROOT
from gliaflow.slurm.script import PROGRAM
from gliaflow.slurm.wrapper import BEGAN, ENDED, LOG, WORK, read_exit, signature
from tests.support.patience import PATIENCE
from tests.support.repos import soon


def started(folder: Path, *lines: str, **more: Any) -> "subprocess.Popen[bytes]":
    """A job of these shell lines, as Slurm would start it."""
    commands = [["/bin/sh", "-c", line] for line in lines]
    work = {"commands": commands, "cwd": str(folder), "env": {}, "timeout": None, "outs": [], **more}
    (folder / WORK).write_text(json.dumps(work))
    line = [sys.executable, "-I", "-S", "-c", PROGRAM, str(ROOT), str(folder)]
    return subprocess.Popen(line, env={**os.environ, "SLURM_JOB_ID": "12"})


def ended(folder: Path, *lines: str, **more: Any) -> tuple[int, dict[str, Any]]:
    """The exit code of such a job, and what it told."""
    code = started(folder, *lines, **more).wait(PATIENCE)
    found: dict[str, Any] = json.loads((folder / ENDED).read_text())
    return code, found


def test_a_job_that_ends_well(tmp_path: Path) -> None:
    out = tmp_path / "out"
    line = "echo one; echo two >&2; printf $OWN > out"
    code, told = ended(tmp_path, line, "printf 'no end'", env={"OWN": "mine"}, outs=[str(out)])
    assert code == 0
    assert (tmp_path / LOG).read_bytes().replace(b"no end\r", b"") == b"one\ntwo\nno end\n"
    assert out.read_text() == "mine"
    assert (told["place"], told["job"], told["signalled"]) == (1, "12", False)
    assert told["node"] == (tmp_path / BEGAN).read_text()
    assert told["outs"] == [signature(out)]
    assert read_exit(told).code == 0  # type: ignore[arg-type]
    assert told["exit"]["used"]["peak_bytes"] > 0


def test_the_first_command_that_fails_is_the_last(tmp_path: Path) -> None:
    code, told = ended(tmp_path, "exit 3", "touch never")
    assert (code, told["place"], told["exit"]["code"]) == (3, 0, 3)
    assert not (tmp_path / "never").exists()


def test_a_program_that_cannot_start_is_told(tmp_path: Path) -> None:
    _, told = ended(tmp_path, "true", commands=[["/none/such"]])
    found = read_exit(told)  # type: ignore[arg-type]
    assert found.refused == (2, "/none/such")


def test_a_timeout_ends_all_of_it(tmp_path: Path) -> None:
    _, told = ended(tmp_path, "sleep 600 & sleep 600", timeout=0.5)
    assert told["exit"]["timed_out"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_of_slurms_reaches_the_commands_which_may_save_their_state(tmp_path: Path, number: int) -> None:
    job = started(tmp_path, "trap 'echo saved > state; exit 0' TERM; touch ready; while :; do sleep 0.1; done")
    assert soon(lambda: (tmp_path / "ready").exists())
    job.send_signal(number)
    assert job.wait(PATIENCE) == 0
    assert (tmp_path / "state").read_text() == "saved\n"
    told = json.loads((tmp_path / ENDED).read_text())
    assert told["signalled"]


def test_a_job_whose_folder_is_gone_does_nothing(tmp_path: Path) -> None:
    line = [sys.executable, "-I", "-S", "-c", PROGRAM, str(ROOT), str(tmp_path / "gone")]
    ran = subprocess.run(line, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_it_needs_nothing_but_the_standard_library() -> None:
    code = (
        "import sys; sys.path.append(sys.argv[1]); import gliaflow.slurm.wrapper; "
        "print({name.partition('.')[0] for name in sys.modules} - sys.stdlib_module_names - {'__main__', 'gliaflow'})"
    )
    line = [sys.executable, "-I", "-S", "-c", code, str(ROOT)]
    assert subprocess.run(line, capture_output=True, text=True, check=True).stdout == "set()\n"


def test_the_signature_of_a_folder_tells_a_change(tmp_path: Path) -> None:
    (tmp_path / "d/sub").mkdir(parents=True)
    (tmp_path / "d/sub/a").write_text("12")
    before = signature(tmp_path / "d")
    assert before[:2] == [1, 2]
    (tmp_path / "d/b").write_text("3")
    assert signature(tmp_path / "d")[:2] == [2, 3]
    assert signature(tmp_path / "none") == [0, 0, 0]
