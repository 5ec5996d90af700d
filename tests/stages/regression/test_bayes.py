"""Lines worked by hand, and what holds for any points."""

import math
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import ArrayLike

from stages.regression.bayes import Floats, Line, least_squares, log_likelihood, mode, prior, spread, update

FLAT = prior(Line(0.0, 0.0), Line(math.inf, math.inf))
X, Y = np.array([0.0, 1.0, 2.0]), np.array([1.0, 3.0, 4.0])

Points = tuple[Floats, Floats, Floats]  # x, y and σ of each, no two at the same x


def floats(values: ArrayLike) -> Floats:
    return np.asarray(values, dtype=np.float64)


@st.composite
def points(draw: st.DrawFn) -> Points:
    x = draw(st.lists(st.integers(-10, 10), min_size=3, max_size=12, unique=True))
    y = draw(st.lists(st.floats(-20, 20), min_size=len(x), max_size=len(x)))
    sigma = draw(st.lists(st.floats(0.5, 5), min_size=len(x), max_size=len(x)))
    return floats(x), floats(y), floats(sigma)


def test_least_squares_by_hand() -> None:
    # means 1 and 8/3; slope (5/3 + 4/3) / 2 = 3/2; intercept 8/3 − 3/2 = 7/6
    assert least_squares(X, Y) == pytest.approx(Line(slope=3 / 2, intercept=7 / 6))


def test_log_likelihood_by_hand() -> None:
    # y = 8 under Normal(10, 1): −½ ln 2π − ½·2² = −0.9189 − 2
    assert log_likelihood(floats(8), floats(10), floats(1)) == pytest.approx(-2.9189, abs=5e-5)
    # twice the σ: −½ ln 2π − ln 2 − ½·1²
    assert log_likelihood(floats(8), floats(10), floats(2)) == pytest.approx(-0.9189 - 0.6931 - 0.5, abs=1e-4)


def test_one_point_moves_a_standard_normal_prior_by_hand() -> None:
    # x = 1, y = 2, σ = 1: Λ = I + (1 1; 1 1) = (2 1; 1 2) and η = (2, 2), so m = (2/3, 2/3) and S = (2 −1; −1 2)/3
    belief = update(prior(Line(0.0, 0.0), Line(1.0, 1.0)), floats([1]), floats([2]), floats([1]))
    assert belief.precision.tolist() == [[2, 1], [1, 2]]
    assert mode(belief) == pytest.approx(Line(2 / 3, 2 / 3))
    assert spread(belief) == pytest.approx(Line(math.sqrt(2 / 3), math.sqrt(2 / 3)))


def test_a_point_of_twice_the_noise_weighs_a_quarter_by_hand() -> None:
    belief = update(FLAT, floats([1]), floats([2]), floats([2]))
    assert belief.precision.tolist() == [[1 / 4, 1 / 4], [1 / 4, 1 / 4]]
    assert belief.shift.tolist() == [1 / 2, 1 / 2]


def test_a_prior_alone_is_itself() -> None:
    belief = prior(Line(slope=-1.0, intercept=4.0), Line(slope=0.5, intercept=2.0))
    assert mode(belief) == pytest.approx(Line(slope=-1.0, intercept=4.0))
    assert spread(belief) == pytest.approx(Line(slope=0.5, intercept=2.0))


def test_under_a_flat_prior_the_mode_is_least_squares_by_hand() -> None:
    belief = update(FLAT, X, Y, np.full(3, 2.0))
    assert mode(belief) == pytest.approx(Line(slope=3 / 2, intercept=7 / 6))
    # σ² / Σ(x − 1)² = 4/2 and σ² (1/3 + 1²/2) = 10/3
    assert spread(belief) == pytest.approx(Line(slope=math.sqrt(2), intercept=math.sqrt(10 / 3)))


@given(points(), st.floats(-1, 1), st.floats(-1, 1))
def test_under_a_flat_prior_no_line_is_likelier_than_the_mode(points: Points, up: float, steeper: float) -> None:
    x, y, sigma = points
    best = mode(update(FLAT, x, y, sigma))
    greatest = log_likelihood(y, best.intercept + best.slope * x, sigma).sum()
    other = log_likelihood(y, best.intercept + up + (best.slope + steeper) * x, sigma).sum()
    assert other <= greatest + 1e-9 * abs(greatest)


@given(points(), st.integers(0, 12), st.floats(0.1, 10), st.randoms(use_true_random=False))
def test_updating_in_portions_and_in_any_order_is_updating_at_once(
    points: Points, cut: int, sd: float, random: Random
) -> None:
    start = prior(Line(1.0, -1.0), Line(sd, sd))
    order = list(range(len(points[0])))
    random.shuffle(order)
    first, second = order[:cut], order[cut:]
    step = update(start, *(part[first] for part in points))
    step = update(step, *(part[second] for part in points))
    once = update(start, *points)
    assert mode(step) == pytest.approx(mode(once), rel=1e-6, abs=1e-9)
    assert spread(step) == pytest.approx(spread(once), rel=1e-6)


@given(points())
def test_a_strong_prior_stays_and_a_weak_one_goes_with_the_data(points: Points) -> None:
    x, y, sigma = points
    centre = Line(slope=5.0, intercept=-5.0)
    strong, weak = (update(prior(centre, Line(sd, sd)), x, y, sigma) for sd in (1e-5, 1e5))
    assert mode(strong) == pytest.approx(centre, abs=1e-3)
    assert mode(weak) == pytest.approx(mode(update(FLAT, x, y, sigma)), abs=1e-3)


def test_an_improper_belief_has_no_mode() -> None:
    with pytest.raises(np.linalg.LinAlgError):
        mode(update(FLAT, floats([0]), floats([1]), floats([1])))
