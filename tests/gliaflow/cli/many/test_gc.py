"""`gliaflow gc`: what a person and a program are told."""

import json

import pytest

from gliaflow.cli.many.gc import size
from tests.support.repos import Project


def test_dry_and_done(project: Project) -> None:
    project.write({"params.yaml": "a: 1\n"})
    project.pipeline({"one": {"cmd": "cp params.yaml o", "params": ["a"], "outs": ["o"]}})
    project.commit()
    project.gliaflow("sweep", "--no-prefect", "-q", "-S", "a=2,3", "-n", "x")
    told = json.loads(project.gliaflow("gc", "--dry", "--json").stdout)
    assert (told["dry"], told["experiments"], told["workspaces"]) == (True, ["x-1", "x-2"], 0)
    [place] = told["places"]
    assert (place["place"], place["objects"], place["runs"], place["after"]) == ("cache", 2, 2, 0)
    amount = size(place["bytes"])
    dry = project.gliaflow("gc", "--dry").stdout.splitlines()
    assert dry == [
        "would remove 2 experiments and 0 workspaces that sweeps have left",
        f"cache: would remove 2 objects and 2 runs, {amount}; {amount} before, 0 B after",
    ]
    assert project.gliaflow("gc").stdout.splitlines() == [line.replace("would remove", "removed") for line in dry]
    assert project.gliaflow("gc").stdout.startswith("removed 0 experiments")


@pytest.mark.parametrize(
    ("count", "expected"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 KB"), (1_550_000, "1.6 MB"), (10**16, "10000.0 TB")]
)
def test_sizes(count: int, expected: str) -> None:
    assert size(count) == expected
