"""Two recipes on the same patients, worked by hand."""

from pathlib import Path

import pandas as pd
import pytest

from stages.errors import BadInput
from stages.lgg.paired import difference, main

NAN = float("nan")


def table(**dice: float) -> pd.DataFrame:
    return pd.DataFrame(
        {"fold": 1, "patient": list(dice), "institution": "CS", "dice": dice.values(), "uncertainty": 0}
    )


def test_patients_are_paired_whatever_their_order() -> None:
    found = difference(table(a=0.5, b=0.6, c=0.7, d=NAN), table(d=0.9, c=0.9, b=0.5, a=0.8))
    assert found.mean == pytest.approx((0.3 - 0.1 + 0.2) / 3)
    assert (found.patients, found.better) == (3, 2)
    assert -0.1 <= found.low < found.mean < found.high <= 0.3 + 1e-12


def test_a_gain_that_all_have_is_sure() -> None:
    found = difference(table(a=0.5, b=0.6), table(a=0.75, b=0.85))
    assert (found.mean, found.low, found.high) == pytest.approx((0.25, 0.25, 0.25))


def test_other_patients_are_refused() -> None:
    with pytest.raises(BadInput, match="patient c stands in one of the tables only"):
        difference(table(a=0.5), table(a=0.5, c=0.1))
    with pytest.raises(BadInput, match="no patient has a Dice in both tables"):
        difference(table(a=0.5, b=NAN), table(a=NAN, b=0.5))


def test_the_command_says_means_minima_failures_and_the_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    table(a=0.5, b=0.2).to_csv("old.csv", index=False)
    table(a=0.75, b=0.45).to_csv("new.csv", index=False)
    main(Path("old.csv"), Path("new.csv"))
    assert capsys.readouterr().out == (
        "old.csv: mean 0.350, minimum 0.200, 1 of 2 below 0.5\n"
        "new.csv: mean 0.600, minimum 0.450, 1 of 2 below 0.5\n"
        "difference of dice_per_volume_mean: +0.250 (95 % interval +0.250 to +0.250, 2 of 2 patients better)\n"
    )
