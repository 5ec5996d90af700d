"""What the figures are put together from."""

import numpy as np
import pytest

from stages.lgg.scores import panels


@pytest.mark.parametrize("value", [0, 1])
def test_an_outline_of_nothing_is_nothing_and_of_everything_runs_along_the_edge(value: int) -> None:
    axes = panels.new_figure("", 1, 1).subplots()
    panels.outline(axes, np.full((6, 9), value), panels.TRUE)
    assert len(axes.collections) == value
    if value:
        assert axes.collections[0].get_paths()[0].get_extents().bounds == pytest.approx((-0.5, -0.5, 9, 6))
