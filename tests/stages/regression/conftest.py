import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stages.regression.points import Noise
from stages.regression.simulate import ConstantNoise, GrowingNoise, SimulateParams, simulate

ROOT = Path(__file__).parents[3]
PARAMS = """
regression:
  simulate: {seed: 1, slope: 2, intercept: 3, constant: {sigma: 3}, growing: {slope: 0.5, intercept: 2}}
  train: {seed: 1, epochs: 40, batch: 32, learning_rate: 0.05, threads: 1}
  evaluate: {seed: 1, weak_prior: 2, strong_prior: 0.2, threads: 1}
"""
DISTUTILS = "ignore:distutils Version classes are deprecated:DeprecationWarning"  # tensorflow-probability 0.25
TRUTH = SimulateParams(
    seed=1,
    slope=2.0,
    intercept=3.0,
    constant=ConstantNoise(sigma=3.0),
    growing=GrowingNoise(slope=0.5, intercept=2.0),
)


@pytest.fixture(scope="session")
def draw() -> Callable[[Noise, int], pd.DataFrame]:
    """The points of a noise and a seed, drawn with the parameters of `params`."""
    return lambda noise, seed: simulate(noise, TRUTH, np.random.default_rng(seed))


@pytest.fixture
def params(tmp_path: Path) -> str:
    """The text of the params.yaml that now stands in `tmp_path`."""
    (tmp_path / "params.yaml").write_text(PARAMS)
    return PARAMS


@pytest.fixture
def stage(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `python -m stages.regression.<name> <arguments>` in `tmp_path`; warnings are errors."""

    def run(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        warnings = ["-W", "error", "-W", DISTUTILS]
        command = [sys.executable, *warnings, "-m", f"stages.regression.{name}", *arguments]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    return run
