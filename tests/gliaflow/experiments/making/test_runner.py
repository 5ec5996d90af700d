"""A runner as a process: what it answers, and that it ends with its input."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from gliaflow.core.options import Options
from gliaflow.experiments.making.experiment import Order
from gliaflow.experiments.making.runner import plain
from gliaflow.experiments.making.runners import BOOT
from gliaflow.experiments.making.setting import Setting, Wanted
from tests.support.patience import COMMAND_SECONDS
from tests.support.repos import SOURCE, Project

Runner = subprocess.Popen[str]


@pytest.fixture
def setting(project: Project) -> Setting:
    """That of a pipeline whose only stage waits for as long as its parameter says, and prints."""
    project.write({"params.yaml": "a: 0\n"})
    cmd = "echo printed; sleep $(sed -n 's/a: //p' params.yaml) && touch o.txt"
    project.pipeline({"one": {"cmd": cmd, "params": ["a"], "outs": [{"o.txt": {"cache": False}}]}})
    project.commit()
    head = project.run("git", "rev-parse", "HEAD").stdout.strip()
    folder, cache = project.root / ".dvc/tmp/gliaflow/experiments", project.root / ".dvc/cache"
    wanted = Wanted(options=Options(), prefect=False)
    return Setting(
        wanted, str(project.root), ".dvc", ".", str(folder), str(cache), head, head, {}, (), "", str(folder / "runs")
    )


@pytest.fixture
def runner(project: Project, setting: Setting) -> Iterator[Runner]:
    """It knows the setting."""
    line = [sys.executable, "-I", "-c", BOOT, str(SOURCE)]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        line, env=project.environment, stdin=pipe, stdout=pipe, stderr=pipe, text=True, cwd=project.root.parent
    ) as process:
        assert process.stdin
        process.stdin.write(plain(setting))
        yield process
        process.kill()


def ordered(runner: Runner, **order: Any) -> None:
    assert runner.stdin
    runner.stdin.write(plain(Order(**order)))
    runner.stdin.flush()


def test_it_tells_what_runs_and_what_came_of_it_and_nothing_else(runner: Runner, project: Project) -> None:
    ordered(runner, key="k1", name="x", overrides={"params.yaml": ["a=0.0"]}, params={"a": "0.0"})
    ordered(runner, key="k2", name="y", overrides={"params.yaml": ["zz=1"]}, params={"zz": "1"})
    assert runner.stdin
    output, errors = runner.communicate("\n", timeout=COMMAND_SECONDS)
    told = [json.loads(line) for line in output.splitlines()]
    assert (runner.returncode, errors) == (0, "")
    assert [next(iter(one)) for one in told] == ["progress", "ended", "experiment", "experiment"]
    assert told[0] == {"progress": "one"}
    assert told[2]["experiment"]["fate"] == "done"
    assert told[3]["experiment"]["fate"] == "failed"
    assert "zz" in told[3]["experiment"]["error"]
    assert told[2]["experiment"]["rev"] in project.run("git", "for-each-ref", "refs/exps").stdout


def test_it_ends_with_its_input_and_its_stage_with_it(runner: Runner) -> None:
    ordered(runner, key="k1", name="x", overrides={"params.yaml": ["a=60"]}, params={})
    assert runner.stdout
    assert json.loads(runner.stdout.readline()) == {"progress": "one"}
    assert runner.stdin
    runner.stdin.close()
    assert runner.wait(COMMAND_SECONDS) == 128 + 15


def test_a_setting_travels_as_plain_data(setting: Setting) -> None:
    assert Setting.of(json.loads(plain(setting))) == setting
