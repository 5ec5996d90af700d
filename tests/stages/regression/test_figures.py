from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from stages.regression import figures
from stages.regression.bayes import least_squares
from stages.regression.points import Noise

Draw = Callable[[Noise, int], pd.DataFrame]
MEAN, SIGMA = np.linspace(3, 23, 100), np.linspace(2, 7, 100)
PRIORS = {"flat": np.inf, "weak": 2.0, "strong": 0.2}


def priors(noise: Noise, table: pd.DataFrame) -> Figure:
    return figures.priors(noise, table, np.random.default_rng(1).permutation(100), PRIORS)


def legend(figure: Figure) -> list[str]:
    box = figure.axes[0].get_legend()
    assert box is not None
    return [text.get_text() for text in box.get_texts()]


@pytest.mark.parametrize("noise", get_args(Noise))
def test_every_axis_is_labelled_with_its_unit_and_every_line_is_explained(draw: Draw, noise: Noise) -> None:
    table = draw(noise, 1)
    for figure in (figures.points(noise, table), figures.fit(noise, table, MEAN, SIGMA)):
        assert [axes.get_xlabel() for axes in figure.axes] == ["x (dimensionless)"]
        assert [axes.get_ylabel() for axes in figure.axes] == ["y (dimensionless)"]
        assert "noisy data" in legend(figure)
        assert noise in figure.axes[0].get_title()
    moving = priors(noise, table)
    assert [axes.get_xlabel() for axes in moving.axes] == ["slope of the line (dimensionless)"] * 3
    explained = {text.get_text() for text in moving.legends[0].get_texts()}
    assert {line.get_label() for axes in moving.axes for line in axes.lines} == explained


def test_the_fit_shows_both_lines_and_the_band_of_growing_noise_only(draw: Draw) -> None:
    constant, growing = (figures.fit(noise, draw(noise, 1), MEAN, SIGMA) for noise in get_args(Noise))
    assert legend(constant) == ["noisy data", "true line", "predicted mean"]
    assert legend(growing) == ["noisy data", "true line", "predicted mean", "predicted mean ± 2 standard deviations"]
    true, predicted = growing.axes[0].lines
    assert np.array_equal(np.asarray(true.get_ydata()), draw("growing", 1)["true_mean"])
    assert np.array_equal(np.asarray(predicted.get_ydata()), MEAN)
    corners = np.asarray(growing.axes[0].collections[1].get_paths()[0].vertices)
    assert [9.9, 23 + 2 * 7] in corners.tolist()
    assert [0.0, 3 - 2 * 2] in corners.tolist()


def test_a_flat_prior_peaks_where_the_likelihood_does_and_a_strong_one_lags(draw: Draw) -> None:
    table = draw("constant", 1)
    likeliest = least_squares(table["x"].to_numpy(), table["y"].to_numpy()).slope
    peaks = []
    for axes in priors("constant", table).axes:
        last, mark = axes.lines[-2:]
        slopes, density = np.asarray(last.get_xdata()), np.asarray(last.get_ydata())
        assert np.trapezoid(density, slopes) == pytest.approx(1, abs=1e-3)
        assert np.asarray(mark.get_xdata())[0] == pytest.approx(likeliest)
        peaks.append(float(slopes[density.argmax()]))
    flat, weak, strong = peaks
    assert flat == pytest.approx(likeliest, abs=0.01)
    assert weak == pytest.approx(likeliest, abs=0.02)
    assert 0 < strong < likeliest - 0.2


def test_an_improper_belief_is_not_drawn(draw: Draw) -> None:
    figure = priors("growing", draw("growing", 1))
    drawn = [[str(line.get_label()) for line in axes.lines] for axes in figure.axes]
    assert drawn[0][:-1] == ["after 3 points", "after 10 points", "after 100 points"]
    assert drawn[1][:-1] == ["after 0 points", "after 1 point", *drawn[0][:-1]]


def test_the_beliefs_are_told_from_the_trained_model(draw: Draw) -> None:
    """They know the true noise, which the model has to find."""
    assert "Not of the trained model: the noise is known" in priors("growing", draw("growing", 1)).get_suptitle()


def test_a_figure_is_saved_twice_as_the_same_bytes_that_name_no_software(tmp_path: Path, draw: Draw) -> None:
    for name in ("once.png", "again.png"):
        figures.save(priors("growing", draw("growing", 1)), tmp_path / name)
    once = (tmp_path / "once.png").read_bytes()
    assert once == (tmp_path / "again.png").read_bytes()
    assert once.startswith(b"\x89PNG")
    assert b"Software" not in once
