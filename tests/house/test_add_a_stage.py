"""Follows docs/how-to/add-a-stage.md literally, in a clone, and looks whether it ends green."""

import re
import sys
from collections.abc import Callable
from pathlib import Path

from tests.house.pages import BY_NAME
from tests.support.clones import Clone

PAGE = BY_NAME["docs/how-to/add-a-stage.md"]
FILE = re.compile(r'```\w+ title="([^"]+)"\n(.*?)```', re.DOTALL)


def insert(path: Path, text: str, before: str) -> None:
    """Put the text before the one line of the file that is `before`."""
    old = path.read_text()
    assert old.count(f"\n{before}\n") == 1, f"{path} has not one line {before!r}"
    path.write_text(old.replace(f"\n{before}\n", f"\n{text}{before}\n"))


def test_the_stage_of_the_page_ends_green(make_clone: Callable[[], Clone]) -> None:
    clone = make_clone()
    for name, text in FILE.findall(PAGE.text):
        (clone.root / name).write_text(text)
    parameters, stage = (text for kind, text in PAGE.blocks if kind == "yaml" and text.startswith("  "))
    for profile in [clone.root / "params.yaml", *(clone.root / "profiles").glob("*.yaml")]:
        insert(profile, parameters, "  split:")
    insert(clone.root / "dvc.yaml", stage, "  lgg-split:")
    assert clone.repro("lgg-smooth")[-1] == "lgg-smooth"
    clone.commit()
    tests = ["tests/stages/lgg/test_smooth.py", "tests/house/test_pipeline.py"]
    clone.run(sys.executable, "-m", "pytest", "-n", "0", "-q", *tests, "-k", "lgg or smooth or lock_file")
