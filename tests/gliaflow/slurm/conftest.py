"""A cluster of this host for tests: programs in place of Slurm's that start a job at once."""

from pathlib import Path

import pytest

from tests.gliaflow.slurm.programs import Programs

BANNER = 'echo "*** Welcome to the cluster, 12 nodes are down ***"'


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    """A cluster of this host: a site's banner at each submission, and a squeue that fails every third time."""
    made = Programs(tmp_path, monkeypatch)
    number = f"$(wc -l < {made.folder}/sbatch.calls)"
    made.put(
        "sbatch", f'{BANNER}; shift; sh "$1" > /dev/null 2>&1 < /dev/null & echo; echo {number}; echo "*** Bye ***"'
    )
    made.put("squeue", f"n=$(wc -l < {made.folder}/squeue.calls); [ $((n % 3)) = 0 ] && exit 1; exit 0")
    made.put("scancel", "exit 0")
    return made


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that looks like a DVC repository, to be in."""
    made = tmp_path / "repository"
    (made / ".dvc").mkdir(parents=True)
    monkeypatch.chdir(made)
    return made
