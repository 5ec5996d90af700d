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
from gliaflow.slurm.site.script import PROGRAM
from gliaflow.slurm.wrapper import BEGAN, ENDED, LOG, STOP, WORK, read_exit, signature
from tests.support.patience import PATIENCE
from tests.support.repos import soon


def put(folder: Path, *lines: str, **more: Any) -> Path:
    """What a job of these shell lines finds in the folder of a stage."""
    folder.mkdir(exist_ok=True)
    commands = [["/bin/sh", "-c", line] for line in lines]
    work = {"commands": commands, "cwd": str(folder), "env": {}, "timeout": None, "outs": [], **more}
    (folder / WORK).write_text(json.dumps(work))
    return folder


def job(*folders: Path, width: int = 1) -> "subprocess.Popen[bytes]":
    """A job of these stages, as Slurm would start it."""
    line = [sys.executable, "-I", "-S", "-c", PROGRAM, str(ROOT), str(width), *map(str, folders)]
    return subprocess.Popen(line, env={**os.environ, "SLURM_JOB_ID": "12"})


def started(folder: Path, *lines: str, **more: Any) -> "subprocess.Popen[bytes]":
    """A job of one stage."""
    return job(put(folder, *lines, **more))


def code(folder: Path) -> int:
    """That of the stage of a folder, which has ended."""
    return int(json.loads((folder / ENDED).read_text())["exit"]["code"])


def ended(folder: Path, *lines: str, **more: Any) -> tuple[int, dict[str, Any]]:
    """The exit code of such a job, and what it told."""
    number = started(folder, *lines, **more).wait(PATIENCE)
    found: dict[str, Any] = json.loads((folder / ENDED).read_text())
    return number, found


def test_a_job_that_ends_well(tmp_path: Path) -> None:
    out = tmp_path / "out"
    line = "echo one; echo two >&2; printf $OWN > out"
    number, told = ended(tmp_path, line, "printf 'no end'", env={"OWN": "mine"}, outs=[str(out)])
    assert number == 0
    assert (tmp_path / LOG).read_bytes().replace(b"no end\r", b"") == b"one\ntwo\nno end\n"
    assert out.read_text() == "mine"
    assert (told["place"], told["job"], told["signalled"]) == (1, "12", False)
    assert told["node"] == (tmp_path / BEGAN).read_text()
    assert told["outs"] == [signature(out)]
    assert read_exit(told).code == 0  # type: ignore[arg-type]
    assert told["exit"]["used"]["peak_bytes"] > 0


def test_the_first_command_that_fails_is_the_last(tmp_path: Path) -> None:
    number, told = ended(tmp_path, "exit 3", "touch never")
    assert (number, told["place"], told["exit"]["code"]) == (3, 0, 3)
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
    running = started(tmp_path, "trap 'echo saved > state; exit 0' TERM; touch ready; while :; do sleep 0.1; done")
    assert soon(lambda: (tmp_path / "ready").exists())
    running.send_signal(number)
    assert running.wait(PATIENCE) == 0
    assert (tmp_path / "state").read_text() == "saved\n"
    told = json.loads((tmp_path / ENDED).read_text())
    assert told["signalled"]


def test_a_job_whose_folder_is_gone_does_nothing(tmp_path: Path) -> None:
    line = [sys.executable, "-I", "-S", "-c", PROGRAM, str(ROOT), "1", str(tmp_path / "gone")]
    ran = subprocess.run(line, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_it_needs_nothing_but_the_standard_library() -> None:
    program = (
        "import sys; sys.path.append(sys.argv[1]); import gliaflow.slurm.wrapper; "
        "print({name.partition('.')[0] for name in sys.modules} - sys.stdlib_module_names - {'__main__', 'gliaflow'})"
    )
    line = [sys.executable, "-I", "-S", "-c", program, str(ROOT)]
    assert subprocess.run(line, capture_output=True, text=True, check=True).stdout == "set()\n"


def test_the_signature_of_a_folder_tells_a_change(tmp_path: Path) -> None:
    (tmp_path / "d/sub").mkdir(parents=True)
    (tmp_path / "d/sub/a").write_text("12")
    before = signature(tmp_path / "d")
    assert before[:2] == [1, 2]
    (tmp_path / "d/b").write_text("3")
    assert signature(tmp_path / "d")[:2] == [2, 3]
    assert signature(tmp_path / "none") == [0, 0, 0]


def test_stages_that_share_a_job_run_one_after_another_and_none_stops_the_others(tmp_path: Path) -> None:
    line = "echo {} >> ../order; exit {}"
    folders = [put(tmp_path / f"{n}", line.format(n, int(n == 1))) for n in range(3)]
    assert job(*folders).wait(PATIENCE) == 1
    assert (tmp_path / "order").read_text() == "0\n1\n2\n"
    assert [code(folder) for folder in folders] == [0, 1, 0]


def test_a_wide_job_runs_several_at_once(tmp_path: Path) -> None:
    """Two wait for each other; the third for a lane."""
    meet = "touch $ME; while [ ! -e ../{}/{} ]; do sleep 0.05; done"
    one = put(tmp_path / "a", meet.format("b", "me_b"), env={"ME": "me_a"})
    two = put(tmp_path / "b", meet.format("a", "me_a"), env={"ME": "me_b"})
    three = put(tmp_path / "c", "true")
    assert job(one, two, three, width=2).wait(PATIENCE) == 0
    assert [code(folder) for folder in (one, two, three)] == [0, 0, 0]


def test_a_stage_that_was_taken_away_from_its_job_does_not_run_there(tmp_path: Path) -> None:
    first = put(tmp_path / "1", "mv ../2/job.json ../2/withdrawn.json")
    second, third = put(tmp_path / "2", "touch ran"), put(tmp_path / "3", "touch ran")
    assert job(first, second, third).wait(PATIENCE) == 0
    assert not (second / "ran").exists()
    assert not (second / ENDED).exists()
    assert (third / "ran").exists()


def test_one_stage_is_ended_and_the_others_go_on(tmp_path: Path) -> None:
    first, second = put(tmp_path / "1", "touch begun; sleep 600"), put(tmp_path / "2", "true")
    running = job(first, second)
    assert soon(lambda: (first / "begun").exists())
    (first / STOP).touch()
    running.wait(PATIENCE)
    assert (code(first), code(second)) == (-signal.SIGTERM, 0)
    assert not json.loads((first / ENDED).read_text())["signalled"]


def test_once_slurm_ends_a_job_no_further_stage_begins(tmp_path: Path) -> None:
    first, second = put(tmp_path / "1", "touch begun; sleep 600"), put(tmp_path / "2", "touch ran")
    running = job(first, second)
    assert soon(lambda: (first / "begun").exists())
    running.send_signal(signal.SIGTERM)
    running.wait(PATIENCE)
    assert json.loads((first / ENDED).read_text())["signalled"]
    assert (second / WORK).exists()
    assert not (second / "ran").exists()


def test_a_stage_of_which_nothing_can_be_told_does_not_stop_those_behind_it(tmp_path: Path) -> None:
    """Here its log cannot be written; what is printed tells why."""
    first, second = put(tmp_path / "1", "true"), put(tmp_path / "2", "true")
    (first / LOG).mkdir()
    assert job(first, second).wait(PATIENCE) == 1
    assert not (first / ENDED).exists()
    assert code(second) == 0
