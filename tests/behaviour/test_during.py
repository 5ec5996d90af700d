"""What a stage sees of the repository while the run goes on: what it sees under `dvc repro`. And after kill -9."""

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.support.repos import GLIAFLOW, Project

MANY = 60
NAMES = [f"s{number:02}" for number in range(MANY)]
READ = NAMES[: MANY // 2]
PICK = """import pathlib, re, sys
names = sys.argv[2:]
for part in re.split("^(?=  [^ -])", pathlib.Path(sys.argv[1]).read_text(), flags=re.M):
    if part.strip().partition(":")[0] in names:
        print(part)
print(*(line for line in pathlib.Path(".gitignore").read_text().splitlines() if line[1:4] in names), sep="\\n")
"""
SORTED = "python -m json.tool --sort-keys"  # DVC gives them in any order
WATCHERS = {
    "copy": f"cp dvc.lock held && python pick.py held {' '.join(READ)} > seen.txt && rm held",
    "push": f"dvc push -q {' '.join(READ)} && find ../remote -type f | sort > seen.txt",
    "status": f"dvc status {' '.join(READ)} > seen.txt",
    "metrics": f"dvc metrics diff --json --targets {' '.join(f'{name}.json' for name in READ)} | {SORTED} > seen.txt",
    "commit": (
        "git add dvc.lock .gitignore && git commit -qam state && git show HEAD:dvc.lock > held && "
        f"python pick.py held {' '.join(READ)} > seen.txt && rm held"
    ),
}


def graph(command: str) -> dict[str, Any]:
    """Sixty stages side by side; in their middle one that looks about, and reads what the first half of them made."""
    stages: dict[str, Any] = {}
    for number, name in enumerate(NAMES):
        metric = {"metrics": [{f"{name}.json": {"cache": number % 2 == 0}}]}
        made = {"outs": [f"{name}.json"]} if number % 3 else metric
        value = f"echo '{{\"{name}\": '$(cat seed.txt)'}}'"
        stages[name] = {"cmd": f"sleep {number % 3 / 20}; {value} > {name}.json", "deps": ["seed.txt"], **made}
        if name == READ[-1]:
            read = [f"{one}.json" for one in READ]
            stages["watcher"] = {"cmd": command, "deps": read, "outs": [{"seen.txt": {"cache": False}}]}
    return stages


@pytest.fixture
def twins(project: Project, tmp_path: Path, request: pytest.FixtureRequest) -> tuple[Project, Project]:
    """Two repositories of the graph, each with a remote of its own."""
    project.write({"seed.txt": "1\n", "pick.py": PICK})
    project.pipeline(graph(WATCHERS[request.param]))
    project.dvc("remote", "add", "-d", "up", "../remote")
    project.commit()
    return project.copy(tmp_path / "a" / "twin"), project.copy(tmp_path / "b" / "twin")


@pytest.mark.parametrize("twins", WATCHERS, indirect=True)
def test_a_stage_sees_all_that_ended_before_it(twins: tuple[Project, Project]) -> None:
    ours, theirs = twins
    ours.flow("--jobs", "4")
    theirs.dvc("repro")
    assert (ours.root / "seen.txt").read_text() == (theirs.root / "seen.txt").read_text() != ""
    assert ours.left() == theirs.left()


def held(project: Project) -> dict[str, Any]:
    """What dvc.lock holds; it must be whole."""
    path = project.root / "dvc.lock"
    return dict(YAML(typ="safe", pure=True).load(path)["stages"]) if path.exists() else {}


@pytest.mark.parametrize("seconds", [0.0, 0.4, 1.1])
def test_after_a_kill_nothing_that_had_ended_is_lost(project: Project, tmp_path: Path, seconds: float) -> None:
    project.write({"seed.txt": "1\n", "pick.py": PICK})
    project.pipeline(graph(WATCHERS["copy"]))
    project.commit()
    alone = project.copy(tmp_path / "alone" / "project")
    alone.dvc("repro")
    line = [*GLIAFLOW, "repro", "--jobs", "4", "--no-prefect"]
    with subprocess.Popen(
        line, cwd=project.root, env=project.environment, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as flow:
        assert flow.stdout
        told = [flow.stdout.readline()]
        time.sleep(seconds)
        os.kill(flow.pid, signal.SIGKILL)
        told += flow.stdout.readlines()
    ended = {name for name in NAMES if any(line.startswith(f"{name}: ran ") for line in told)}
    assert flow.returncode == -signal.SIGKILL
    assert ended or seconds < 1
    assert ended <= held(project).keys()
    done = held(project)
    again = project.flow("--jobs", "4").stdout
    assert not [name for name in done if f"{name}: ran " in again]
    assert project.left() == alone.left()
