"""The script of a job: what a stage asks for as options of sbatch."""

from pathlib import Path

import pytest

from gliaflow.core.settings import Settings
from gliaflow.slurm.site.profile import Profile
from gliaflow.slurm.site.script import limit, script, shown, wanted

GIB = 1 << 30


@pytest.mark.parametrize(
    ("settings", "profile", "number", "flags"),
    [
        (Settings(), Profile(), 1, ["--cpus-per-task=1"]),
        (Settings(cpus=4, gpus=2), Profile(), 1, ["--cpus-per-task=4", "--gpus=2"]),
        (Settings(gpus=1), Profile(gpus="--gres=gpu:a100:{n}"), 1, ["--cpus-per-task=1", "--gres=gpu:a100:1"]),
        (Settings(mem=(GIB, 3 * GIB)), Profile(mem="2G"), 1, ["--cpus-per-task=1", "--mem=1024M"]),
        (Settings(mem=(GIB, 3 * GIB)), Profile(), 2, ["--cpus-per-task=1", "--mem=3072M"]),
        (Settings(mem=(1,)), Profile(), 1, ["--cpus-per-task=1", "--mem=1M"]),
        (Settings(), Profile(mem="2G"), 1, ["--cpus-per-task=1", "--mem=2048M"]),
        (Settings(), Profile(qos="short", options=("--nice",)), 1, ["--cpus-per-task=1", "--qos=short", "--nice"]),
    ],
)
def test_what_a_stage_asks_for(settings: Settings, profile: Profile, number: int, flags: list[str]) -> None:
    assert wanted(settings, profile, number) == ["--ntasks=1", *flags]


def test_stages_that_share_a_job_ask_for_so_many_times_as_much() -> None:
    found = wanted(Settings(cpus=2), Profile(mem="2G"), exclude=("n1", "n2"), times=3)
    assert found == ["--ntasks=1", "--cpus-per-task=6", "--mem=6144M", "--exclude=n1,n2"]


@pytest.mark.parametrize(
    ("timeouts", "width", "time"),
    [
        # 10 s of grace each, and 60 s before the signal, in whole minutes
        ([50], 1, ["--time=2"]),
        ([51], 1, ["--time=3"]),
        ([None], 1, []),
        ([50, None], 1, []),
        ([50, 50, 50, 50], 1, ["--time=5"]),
        ([50, 50, 50, 50], 2, ["--time=4"]),  # half of all, and the longest once more
    ],
)
def test_a_limit_of_time_for_timeouts_alone(timeouts: list[float | None], width: int, time: list[str]) -> None:
    assert limit([Settings(timeout=one) for one in timeouts], width) == [*time, "--signal=B:TERM@60"]


def test_a_whole_script(tmp_path: Path) -> None:
    profile = Profile(setup=("module load cuda",), python="/usr/bin/python3")
    folders = [tmp_path / "50%", tmp_path / "2"]
    flags = ["--ntasks=1", "--exclude=n1,n2"]
    text = script(['a|b"c', "d"], flags, profile, folders, name="gliaflow-1", comment="3 abc", cwd="/a place", width=2)
    lines = text.splitlines()
    assert lines[:3] == ["#!/bin/sh", "# stage a_b_c", "# stage d"]
    assert '#SBATCH --comment="3 abc"' in lines
    assert '#SBATCH --chdir="/a place"' in lines
    assert f"#SBATCH --output={folders[0]}/out".replace("50%", "50%%") in lines
    assert lines[-4:-1] == ["#SBATCH --ntasks=1", "#SBATCH --exclude=n1,n2", "module load cuda"]
    assert lines[-1].startswith("exec /usr/bin/python3 -I -S -c ")
    assert lines[-1].endswith(f" 2 {folders[0]} {folders[1]}")


def test_a_name_that_lines_of_slurms_cannot_hold() -> None:
    assert shown('a|b"c\nd\\e@1') == "a_b_c_d_e@1"
