"""Holds what README.md says to what is so."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from stages.lgg.train import TrainParams
from stages.lgg.unet.network import UNet
from stages.params import load
from tests.house.test_pipeline import ROOT, STAGES

TEXT = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", TEXT, re.DOTALL)


def test_the_graph_is_the_one_that_dvc_draws() -> None:
    drawn = subprocess.run(
        [sys.executable, "-m", "dvc", "dag", "--mermaid"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert [text.split() for kind, text in BLOCKS if kind == "mermaid"] == [drawn.stdout.split()]


def test_the_tree_has_a_line_for_every_file_of_the_code() -> None:
    tree = next(text for kind, text in BLOCKS if not kind and text.startswith("Makefile"))
    folder, listed = "", []
    for line in tree.splitlines():
        name = line.split()[0]
        if name.endswith("/"):
            folder = name
        elif name.endswith(".py"):
            listed.append(folder + name)
        assert len(line.split()) > 1, f"{name} has no word said of it"
        assert len(line) <= 120
    files = [path for part in ("stages", "flows", "benchmarks") for path in (ROOT / part).rglob("*.py")]
    assert sorted(listed) == sorted(str(path.relative_to(ROOT)) for path in files if path.name != "__init__.py")


@pytest.mark.parametrize(
    "path", sorted(set(re.findall(r"\]\(([\w./-]+)\)|`((?:stages|profiles|tests|data)/[\w./]+)`", TEXT)))
)
def test_files_that_it_names_exist(path: tuple[str, str]) -> None:
    name = "".join(path)
    made_up = name.endswith("smooth.py")
    assert made_up or (ROOT / name).exists()


def test_commands_that_it_names_exist() -> None:
    targets = set(re.findall(r"^make (\w+)", TEXT, re.MULTILINE))
    rules = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert targets >= {"run", "test"}
    assert targets <= rules
    for stage in re.findall(r"`(lgg-\w+|mnist-\w+)`", TEXT):
        assert stage in {*STAGES, "lgg-smooth"}


def test_the_tutorials_network_is_as_large_as_it_says() -> None:
    network = load(TrainParams, "lgg.train", ROOT / "profiles/blog.yaml").network
    count = sum(parameter.numel() for parameter in UNet(network).parameters())
    assert f"{count:,}" == "31,031,745"
    assert f"{count:,} parameters" in TEXT


def test_pictures_are_small_enough_for_git() -> None:
    pictures = list((ROOT / "docs").glob("*.png"))
    assert pictures
    assert sum(path.stat().st_size for path in pictures) < 1 << 20


def test_hosts_of_package_registries_are_not_named() -> None:
    """In the lock file nor anywhere else: users bring an index of their own."""
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    hosts = re.compile("|".join(["py" + r"pi\.org", "pythonho" + r"sted\.org", "npm" + r"js\.com"]))
    named = [
        name
        for name in tracked.split("\0")
        if name and not name.endswith(".png") and hosts.search(Path(ROOT / name).read_text(errors="ignore"))
    ]
    assert named == []
