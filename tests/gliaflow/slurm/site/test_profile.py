"""What a site wants of jobs, out of a file."""

from pathlib import Path

import pytest

from gliaflow.errors import BadInput
from gliaflow.slurm.site.profile import Profile, read_profile


def written(root: Path, text: str, name: str = "slurm.toml") -> Path:
    (root / ".gliaflow").mkdir(exist_ok=True)
    (root / ".gliaflow" / name).write_text(text)
    return root


def test_without_a_file_nothing_is_wanted(tmp_path: Path) -> None:
    assert read_profile(tmp_path) == Profile()
    assert Profile().flags == []


def test_all_keys(tmp_path: Path) -> None:
    text = (
        'partition = "gpu"\naccount = "lab"\nqos = "short"\nconstraint = "a100"\nmem = "2G"\n'
        'gpus = "--gres=gpu:a100:{n}"\n'
        'options = ["--nice=10"]\nsetup = ["module load cuda"]\njobs = 20\npython = "/usr/bin/python3"\n'
    )
    found = read_profile(written(tmp_path, text, "slurm-big.toml"), "big")
    flags = ["--partition=gpu", "--account=lab", "--qos=short", "--constraint=a100", "--nice=10"]
    assert found.flags == flags
    assert (found.gpus, found.mem, found.jobs) == ("--gres=gpu:a100:{n}", "2G", 20)
    assert (found.setup, found.python) == (("module load cuda",), "/usr/bin/python3")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('partitions = "gpu"', "partitions is not known; did you mean partition?"),
        ("color = 1", "color is not known; known are partition, account"),
        ("partition = 3", "partition is 3: it should be a text"),
        ('setup = "module load"', "setup is 'module load': it should be a list of texts"),
        ('setup = ["a\\nb"]', "it should be a list of texts, a line each"),
        ("jobs = 0", "jobs is 0: it should be a whole number, at least 1"),
        ("jobs = true", "jobs is True: it should be a whole number"),
        ('gpus = "--gpus=1"', "gpus is '--gpus=1': it needs {n}"),
        ("pack_cpus = 0", "pack_cpus is 0: it should be a whole number, at least 1"),
        ('pack = "20"', "pack is '20': it should be a time such as 20m"),
        ('pack = "900h"', "pack is '900h': it should be a time such as 20m, 90s or 1h, a week at most"),
        ("account = 'a\"b'", "it may hold no quote and no backslash"),
        ('options = ["nice"]', "'nice' should begin with -"),
        ('options = ["--nice=1", "--array=1-3"]', "--array is for gliaflow to say"),
        ('options = ["-oout"]', "-o is for gliaflow to say"),
        ("options = ['--x=\"']", "may hold no quote"),
        ('pack = "0m"', "pack is '0m': it should be a time"),
        ("pack = 20", "pack is 20: it should be a time"),
        ('mem = "much"', "mem is 'much': it should be a size such as 2G"),
        ('default = "yes"', "default is 'yes': it should be true or false"),
        ("partition = ", "cannot be read as TOML"),
    ],
)
def test_what_is_wrong_is_refused_by_file_key_and_value(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(BadInput) as caught:
        read_profile(written(tmp_path, text))
    assert said in str(caught.value)
    assert "slurm.toml" in str(caught.value)


def test_a_named_profile_has_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"slurm-big\.toml: no such profile"):
        read_profile(tmp_path, "big")


@pytest.mark.parametrize(
    ("pack", "seconds"), [("", 0.0), ("20m", 1200.0), ("90s", 90.0), ("1h", 3600.0), ("1.5 h", 5400.0)]
)
def test_the_time_of_jobs_that_stages_share(pack: str, seconds: float) -> None:
    assert Profile(pack=pack).pack_seconds == seconds


@pytest.mark.parametrize(
    ("mem", "megabytes"), [("", 0), ("2G", 2048), ("800M", 800), ("800", 800), ("1T", 1 << 20), ("1000K", 1)]
)
def test_memory_in_the_unit_of_sbatch(mem: str, megabytes: int) -> None:
    assert Profile(mem=mem).megabytes == megabytes


def test_a_profile_may_be_the_default(tmp_path: Path) -> None:
    assert not read_profile(tmp_path).default
    assert read_profile(written(tmp_path, 'default = true\npack = "20m"\n')).default


def test_a_profile_that_is_a_link_to_nothing_is_not_taken_for_none(tmp_path: Path) -> None:
    (tmp_path / ".gliaflow").mkdir()
    (tmp_path / ".gliaflow/slurm.toml").symlink_to(tmp_path / "gone")
    with pytest.raises(BadInput, match="is a link to nothing"):
        read_profile(tmp_path)
