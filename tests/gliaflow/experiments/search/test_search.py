"""A whole search: the workspace stays as it is, the same seed leads to the same, and the best is reproduced."""

import json
import math
from pathlib import Path

import pytest

from gliaflow.journal.reader import seen
from tests.gliaflow.experiments.search.searched import facts, search, searched, trained
from tests.support.repos import Project


@pytest.fixture
def ready(project: Project) -> Project:
    return searched(project)


def test_it_finds_what_is_best_and_the_experiment_has_its_score(ready: Project) -> None:
    before = {path: path.read_bytes() for path in ready.root.iterdir() if path.is_file()}
    told = search(ready, "--seed", "5", "-n", "winner", population=12, generations=6)
    best = told["best"]
    assert best["values"]["train.n"] == 7
    assert abs(best["values"]["train.x"] - 0.3) < 0.3
    assert math.isclose(best["score"], (best["values"]["train.x"] - 0.3) ** 2 + 1 / 4)
    assert {path: path.read_bytes() for path in ready.root.iterdir() if path.is_file()} == before
    assert ready.run("git", "status", "--short").stdout == ""
    assert told["experiment"]["name"] == "winner"
    assert told["experiment"]["metrics"]["metrics.json"]["loss"] == best["score"]  # to the bit
    ready.dvc("exp", "apply", "winner")
    assert json.loads((ready.root / "metrics.json").read_text())["loss"] == best["score"]
    ready.dvc("repro", "--force", "train")
    assert json.loads((ready.root / "metrics.json").read_text())["loss"] == best["score"]
    assert not list(Path(ready.root, ".dvc/tmp/gliaflow/experiments").glob("search-*"))


def test_the_same_seed_leads_to_the_same_and_nothing_is_trained_twice(ready: Project) -> None:
    first = search(ready, "--no-experiment", "--seed", "2")
    count = len(trained(ready))
    assert count == first["epochs"]
    again = search(ready, "--no-experiment", "--seed", "2")
    assert facts(again) == facts(first)
    assert (again["trained"], again["epochs"], len(trained(ready))) == (0, 0, count)
    other = search(ready, "--no-experiment", "--seed", "3")
    assert facts(other) != facts(first)


def test_what_the_user_has_now_is_the_first_individual(ready: Project) -> None:
    told = search(ready, "--no-experiment", generations=1)
    assert told["individuals"][0]["values"] == {"train.x": 0.0, "train.n": 3}


def test_changed_code_is_another_search(ready: Project) -> None:
    first = search(ready, "--no-experiment", generations=1)
    ready.write({"door.py": (ready.root / "door.py").read_text() + "\n# changed\n"})
    again = search(ready, "--no-experiment", generations=1)
    assert again["trained"] == first["trained"] > 0


def test_each_generation_is_kept_as_a_run_with_an_individual_a_stage(ready: Project) -> None:
    told = search(ready, "--no-experiment", "-j", "2", population=4, generations=2)
    journals = sorted((ready.root / ".dvc/tmp/gliaflow/runs").glob("*.jsonl"))
    lines = [[json.loads(line) for line in path.read_text().splitlines()] for path in journals]
    runs = {tuple(one[0]["tags"][-2:]): one for one in lines if one[0]["tags"][-1] != "search"}
    assert runs.keys() == {("train", "generation 0"), ("train", "generation 1")}
    names = {stage["name"] for one in runs.values() for stage in one[0]["stages"]}
    assert names == {one["name"] for one in told["individuals"]}
    assert all(seen(path) for path in journals)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--population", "1"), "error: a search needs a population of 2 or more"),
        (("--crossover", "x"), "error: --crossover is 'x'"),
        (("--rung", "2", "--rung", "1"), "error: --rung 2 --rung 1: rungs are epochs"),
        (("-j", "0"), "error: jobs is 0"),
    ],
)
def test_bad_numbers_are_one_line(ready: Project, flags: tuple[str, ...], said: str) -> None:
    line = ("search", "train", "space.yaml", "--metric", "loss", "--no-prefect", *flags)
    ended = ready.gliaflow(*line, expect=2)
    assert ended.stderr.startswith(said)
    assert ended.stderr.count("\n") == 1


def test_what_it_reads_cannot_be_made(ready: Project) -> None:
    ready.write({"seed.txt": "2\n"})
    ready.run("git", "rm", "-q", "--cached", "seed.txt")
    (ready.root / "seed.txt").unlink()
    ended = ready.gliaflow("search", "train", "space.yaml", "--metric", "loss", "--no-prefect", expect=2)
    assert "error: stage 'data', which makes what 'train' reads: " in ended.stderr
    assert "seed.txt" in ended.stderr


def test_a_metric_that_nobody_yields(ready: Project) -> None:
    line = ("search", "train", "space.yaml", "--metric", "accuracy", "--no-prefect", "-q", "--generations", "1")
    ended = ready.gliaflow(*line, "--population", "2", expect=2)
    assert ended.stderr == "error: `train` yields no 'accuracy'; it yields epoch, loss\n"
    assert len({tuple(one[:2]) for one in trained(ready)}) <= 2  # and no more generations


def test_of_a_stage_in_a_folder_below(project: Project) -> None:
    searched(project)
    for name in ("door.py", "params.yaml", "data.txt", "seed.txt"):
        path = project.root / name
        if path.exists():
            project.write({f"sub/{name}": path.read_text()})
    stages = {
        "data": {"cmd": "cp seed.txt data.txt", "wdir": "sub", "deps": ["seed.txt"], "outs": ["data.txt"]},
        "train": {
            "cmd": "python door.py",
            "wdir": "sub",
            "deps": ["data.txt", "door.py"],
            "params": ["train"],
            "metrics": [{"metrics.json": {"cache": False}}],
            "meta": {"search": "door"},
        },
    }
    project.pipeline(stages)
    project.commit()
    told = search(project, "-n", "winner", generations=2)
    assert told["experiment"]["metrics"]["sub/metrics.json"]["loss"] == told["best"]["score"]


def test_what_failed_is_tried_again(ready: Project) -> None:
    good = (ready.root / "door.py").read_text()
    fails = good.replace("def train(data, params):", "def train(data, params):\n    open(os.environ['NEEDED']).close()")
    ready.write({"door.py": fails})
    ready.commit()
    ready.environment["NEEDED"] = "/nowhere"
    line = ("search", "train", "space.yaml", "--metric", "loss", "--no-prefect", "-q", "--population", "2")
    ended = ready.gliaflow(*line, "--generations", "1", expect=2)
    assert "FileNotFoundError" in ended.stderr
    ready.environment["NEEDED"] = "/dev/null"
    assert search(ready, "--no-experiment", population=2, generations=1)["best"]


def test_a_door_on_which_the_stage_does_not_depend_counts_too(ready: Project) -> None:
    text = (ready.root / "dvc.yaml").read_text()
    ready.write({"dvc.yaml": text.replace("- door.py\n", "")})
    ready.commit()
    first = search(ready, "--no-experiment", generations=1)
    ready.write({"door.py": (ready.root / "door.py").read_text().replace("0.3", "0.4")})
    ready.commit()
    again = search(ready, "--no-experiment", generations=1)
    assert again["trained"] == first["trained"]
    assert facts(again) != facts(first)


def test_a_parameter_on_which_the_stage_does_not_depend(ready: Project) -> None:
    ready.write({"space.yaml": "seed: [1, 2]\n"})
    ended = ready.gliaflow("search", "train", "space.yaml", "--metric", "loss", "--no-prefect", "-q", expect=2)
    assert ended.stderr == "error: stage 'train' does not depend on 'seed'; its params in dvc.yaml are train\n"
