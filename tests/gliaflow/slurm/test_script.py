"""The script of a job: what a stage asks for as options of sbatch."""

from pathlib import Path

import pytest

from gliaflow.core.settings import Settings
from gliaflow.slurm.profile import Profile
from gliaflow.slurm.script import script, shown, wanted

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
        (Settings(), Profile(mem="2G"), 1, ["--cpus-per-task=1", "--mem=2G"]),
        # 10 s of grace and 60 s before the signal, in whole minutes
        (Settings(timeout=50), Profile(), 1, ["--cpus-per-task=1", "--time=2"]),
        (Settings(timeout=51), Profile(), 1, ["--cpus-per-task=1", "--time=3"]),
    ],
)
def test_what_a_stage_asks_for(settings: Settings, profile: Profile, number: int, flags: list[str]) -> None:
    assert wanted(settings, profile, number) == ["--ntasks=1", *flags, "--signal=B:TERM@60"]


def test_a_whole_script(tmp_path: Path) -> None:
    profile = Profile(partition="gpu", setup=("module load cuda",), python="/usr/bin/python3")
    folder = tmp_path / "50%"
    text = script(
        'a|b"c',
        Settings(),
        profile,
        folder,
        name="gliaflow-1",
        comment="3 abc",
        cwd="/a place",
        exclude=["n1", "n2"],
    )
    lines = text.splitlines()
    assert lines[:2] == ["#!/bin/sh", "# stage a_b_c"]
    assert '#SBATCH --comment="3 abc"' in lines
    assert '#SBATCH --chdir="/a place"' in lines
    assert f"#SBATCH --output={folder}/out".replace("50%", "50%%") in lines
    assert lines[-4:-1] == ["#SBATCH --partition=gpu", "#SBATCH --exclude=n1,n2", "module load cuda"]
    assert lines[-1].startswith("exec /usr/bin/python3 -I -S -c ")
    assert lines[-1].endswith(f" {folder}")


def test_a_name_that_lines_of_slurms_cannot_hold() -> None:
    assert shown('a|b"c\nd\\e@1') == "a_b_c_d_e@1"
