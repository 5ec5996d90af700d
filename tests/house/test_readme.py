"""Holds what README.md and the pages say of the reference pipeline to what is so."""

import json
import re
import subprocess
import sys

import pytest

from stages.lgg.train import TrainParams
from stages.lgg.unet.network import UNet
from stages.params import load
from tests.house.pages import BY_NAME, PAGES, Page
from tests.house.test_pipeline import ROOT, STAGES

README = BY_NAME["README.md"]
DESIGN = BY_NAME["docs/design.md"]
PIPELINE = BY_NAME["docs/reference-pipeline.md"]
REAL_DATA = BY_NAME["docs/how-to/real-data.md"]
CODE = ("src", "stages", "flows", "benchmarks", "docs", "examples")

pages_of_docs = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.path.relative_to(ROOT)))


def test_it_is_a_screen_and_a_half() -> None:
    assert 60 <= len(README.text.splitlines()) <= 100


def test_the_graph_is_the_one_that_dvc_draws() -> None:
    drawn = subprocess.run(
        [sys.executable, "-m", "dvc", "dag", "--mermaid"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert [text.split() for kind, text in PIPELINE.blocks if kind == "mermaid"] == [drawn.stdout.split()]


def test_the_tree_has_a_line_for_every_file_of_the_code() -> None:
    tree = next(text for kind, text in DESIGN.blocks if not kind and text.startswith("Makefile"))
    folder, listed = "", []
    for line in tree.splitlines():
        name = line.split()[0]
        if name.endswith("/"):
            folder = name
        elif name.endswith(".py"):
            listed.append(folder + name)
        assert len(line.split()) > 1, f"{name} has no word said of it"
        assert len(line) <= 120
    files = [path for part in CODE for path in (ROOT / part).rglob("*.py")]
    assert sorted(listed) == sorted(str(path.relative_to(ROOT)) for path in files if path.name != "__init__.py")


@pages_of_docs
def test_files_that_it_names_exist(page: Page) -> None:
    found = re.findall(r"\]\(([\w./-]+)\)|`((?:stages|profiles|tests|data)/[\w./]+)`", page.text)
    made_up = ("smooth.py", "smooth.npy")
    for link, name in found:
        path = page.path.parent / link if link else ROOT / name
        assert path.exists() or str(path).endswith(made_up), link or name


@pages_of_docs
def test_stages_that_it_names_exist(page: Page) -> None:
    for stage in re.findall(r"`(lgg-\w+|mnist-\w+)`", page.text):
        assert stage in {*STAGES, "lgg-smooth"}


def test_commands_that_it_names_exist() -> None:
    targets = {target for page in PAGES for target in re.findall(r"^make (\w+)", page.text, re.MULTILINE)}
    rules = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert targets >= {"run", "test"}
    assert targets <= rules


def test_the_tutorials_network_is_as_large_as_it_says() -> None:
    network = load(TrainParams, "lgg.train", ROOT / "profiles/blog.yaml").network
    count = sum(parameter.numel() for parameter in UNet(network).parameters())
    assert f"{count:,}" == "31,031,745"
    assert f"{count:,} parameters" in REAL_DATA.text


def test_the_u_net_is_as_good_as_it_says() -> None:
    """By the metrics in git; a run on this machine may have written others."""
    line = ["git", "show", ":results/lgg/evaluate.json"]
    found = json.loads(subprocess.run(line, cwd=ROOT, capture_output=True, check=True).stdout)
    mean, low, high = (found[f"dice_per_volume_mean{end}"] for end in ("", "_ci95_low", "_ci95_high"))
    assert f"Dice of {mean:.3f} (95 % interval {low:.3f} to {high:.3f})" in " ".join(PIPELINE.text.split())


def test_transfer_gains_as_much_as_it_says() -> None:
    """By the metrics in git, as above."""
    line = ["git", "show", ":results/mnist/transfer.json"]
    found = json.loads(subprocess.run(line, cwd=ROOT, capture_output=True, check=True).stdout)
    mean, low, high = (100 * value for value in found["test_accuracy_difference"]["transfer minus scratch"].values())
    assert f"by {mean:.1f} points (95 % interval {low:.1f} to {high:.1f})" in " ".join(PIPELINE.text.split())


def test_training_before_gains_as_much_as_it_says() -> None:
    """By the metrics in git, as above."""
    line = ["git", "show", ":results/lgg/transfer.json"]
    found = json.loads(subprocess.run(line, cwd=ROOT, capture_output=True, check=True).stdout)
    for control in ("scratch", "scratch-longer"):
        values = found["dice_per_volume_mean_difference"][f"institutions minus {control}"].values()
        mean, low, high = (f"{value:.3f}".replace("-", "−") for value in list(values)[:3])
        told = f"better than `{control}` by {mean} (95 % interval over patients {low} to {high})"
        assert told in " ".join(PIPELINE.text.split())


def test_pictures_are_small_enough_for_git() -> None:
    pictures = list((ROOT / "docs").rglob("*.png"))
    assert pictures
    assert sum(path.stat().st_size for path in pictures) < 1 << 20
