"""The page of figures: its axes by hand, and that it holds every experiment and needs no network."""

from pathlib import Path

import pytest

from gliaflow.errors import UserError
from gliaflow.experiments import figures
from gliaflow.experiments.figures import Axis, axis, check, write
from gliaflow.experiments.results import Experiment, Fate


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["1", "3", "1"], Axis([1, 3, 1], [1, 3], ["1", "3"])),
        (["1e-3", "0.1"], Axis([-3, -1], [-3, -1], ["0.001", "0.1"])),  # the largest is 100 times the smallest
        (["adam", "sgd", "adam"], Axis([0, 1, 0], [0, 1], ["adam", "sgd"])),
        (["1", "x"], Axis([0, 1], [0, 1], ["1", "x"])),
        (["nan", "1"], Axis([0, 1], [0, 1], ["nan", "1"])),
        ([str(n) for n in range(10, 20)], Axis([float(n) for n in range(10, 20)])),
    ],
)
def test_axes(texts: list[str], expected: Axis) -> None:
    assert axis(texts) == expected


def test_the_page_names_all_and_loads_nothing(tmp_path: Path) -> None:
    found = [Experiment(f"name-{n}", {"lr": f"1e-{n}"}, Fate.DONE, "f", {"m.json": {"acc": n / 9}}) for n in range(3)]
    found.append(Experiment("broken", {"lr": "1"}, Fate.FAILED))
    write(tmp_path / "page.html", found, ["lr"], "acc")
    text = (tmp_path / "page.html").read_text()
    assert "<title>acc of 3 experiments</title>" in text
    assert all(f"name-{n}" in text for n in range(3))
    assert "broken" not in text
    assert "<script src=" not in text
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def test_no_experiment_has_the_metric(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no experiment has a metric 'acc'"):
        write(tmp_path / "page.html", [Experiment("x", {}, Fate.DONE)], [], "acc")


def test_what_keeps_the_page_from_being_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check(tmp_path / "page.html")
    for path in (tmp_path / "nowhere/page.html", tmp_path):
        with pytest.raises(UserError, match="name an HTML file in a folder that is there"):
            check(path)
    monkeypatch.setattr(figures, "find_spec", lambda _: None)
    with pytest.raises(UserError, match="pip install"):
        check(tmp_path / "page.html")
