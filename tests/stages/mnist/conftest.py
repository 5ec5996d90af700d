"""A few digits, and stages run as commands in a folder of their own."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from stages.mnist.digits import Digits
from stages.mnist.synthetic import draw

ROOT = Path(__file__).parents[3]
PARAMS = """\
mnist:
  download: {source: sample}
  train: {seed: 777, epochs: 2, batches: 10, batch: 20, hidden: 16, learning_rate: 0.01, threads: 1}
"""

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture(scope="session")
def digits() -> Digits:
    """200 images to train on, 100 to test with."""
    (x_train, y_train), (x_test, y_test) = draw(200, seed=1), draw(100, seed=2)
    return Digits(x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Start Python with arguments in a folder, by default the test's, that has a params.yaml; warnings are errors."""

    def start(*arguments: str, folder: Path = tmp_path, params: str = PARAMS) -> subprocess.Popen[str]:
        folder.mkdir(exist_ok=True)
        (folder / "params.yaml").write_text(params)
        return subprocess.Popen(
            [sys.executable, "-W", "error", *arguments],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start
