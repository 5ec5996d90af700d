"""Tables of folds put together, worked by hand, and what is refused."""

import json
from pathlib import Path

import pandas as pd
import pytest

from stages.errors import BadInput
from stages.lgg.folds import gather, main, measure
from stages.lgg.tables import read_scores

PATIENTS = [("a", "CS", 0.9, 0.1), ("b", "DU", 0.3, 0.9), ("c", "CS", 0.6, 0.2), ("d", "DU", float("nan"), 0.3)]


def tables() -> list[pd.DataFrame]:
    """Two folds of two patients."""
    rows = [(1 + place // 2, *one) for place, one in enumerate(PATIENTS)]
    whole = pd.DataFrame(rows, columns=["fold", "patient", "institution", "dice", "uncertainty"])
    return [whole[:2], whole[2:]]


def test_metrics_are_over_all_patients_of_all_folds() -> None:
    found = measure(gather(tables()[::-1]))
    assert found["dice_per_volume_mean"] == pytest.approx(0.6)
    assert (found["dice_per_volume_min"], found["dice_per_volume_patients"], found["patients"]) == (0.3, 3, 4)
    assert found["by_institution"]["CS"] == {"patients": 2, "dice_per_volume_mean": pytest.approx(0.75)}
    assert found["by_fold"] == {"1": pytest.approx(0.6), "2": pytest.approx(0.6)}
    assert found["patients_below_0.5"] == {"b": 0.3}
    assert found["dice_per_volume_mean_of_the_surest"]["mean_over_coverages"] == pytest.approx((0.9 + 0.75 + 0.6) / 3)


def test_the_command_writes_table_metrics_and_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "folds").mkdir()
    for number, table in enumerate(tables(), 1):
        table.to_csv(tmp_path / f"folds/{number}.csv", index=False, na_rep="nan")
    outputs = {name: tmp_path / f"out.{name}" for name in ("csv", "json", "png")}
    main(tmp_path / "folds", table=outputs["csv"], metrics=outputs["json"], figure=outputs["png"])
    first = {name: path.read_bytes() for name, path in outputs.items()}
    assert read_scores(outputs["csv"])["patient"].tolist() == ["a", "b", "c", "d"]
    assert json.loads(first["json"])["dice_per_volume_mean"] == pytest.approx(0.6)
    said = capsys.readouterr().out
    assert said.startswith("out of fold: dice_per_volume_mean 0.600 (95 % interval 0.")
    assert said.endswith(", 3 patients), minimum 0.300\n")
    main(tmp_path / "folds", table=outputs["csv"], metrics=outputs["json"], figure=outputs["png"])
    assert {name: path.read_bytes() for name, path in outputs.items()} == first


def test_what_is_no_table_of_folds_is_named(tmp_path: Path) -> None:
    bad = tmp_path / "bad.csv"
    with pytest.raises(BadInput, match=r"bad\.csv: no such file; run dvc repro lgg-fold"):
        read_scores(bad)
    bad.write_text("")
    with pytest.raises(BadInput, match=r"bad\.csv: not a table \(.*\); run dvc repro lgg-fold"):
        read_scores(bad)
    bad.write_text("fold,patient,institution,dice\n")
    with pytest.raises(BadInput, match=r"bad\.csv: has no column uncertainty"):
        read_scores(bad)
    bad.write_text("fold,patient,institution,dice,uncertainty\n1,a,CS,0,0\n1,a,CS,0,0\n")
    with pytest.raises(BadInput, match=r"bad\.csv: patient a stands there twice"):
        read_scores(bad)
    with pytest.raises(BadInput, match="patient a stands in two folds"):
        gather([tables()[0], tables()[0]])
    (tmp_path / "none").mkdir()
    with pytest.raises(BadInput, match="none: holds no table of a fold"):
        main(tmp_path / "none", table=bad, metrics=bad, figure=bad)
