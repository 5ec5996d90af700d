"""Metrics of experiments, and which one is the best."""

from gliaflow.experiments.results import Experiment, Fate, SweepReport, telling


def experiment(name: str, fate: Fate = Fate.DONE, **metrics: object) -> Experiment:
    return Experiment(name, {"a": name}, fate, "" if fate is Fate.FAILED else "f00", {"m.json": metrics})


def test_a_metric_has_several_names() -> None:
    one = Experiment("x", {}, Fate.DONE, "f00", {"m.json": {"test.accuracy": 0.5, "loss": 2}, "n.json": {"loss": 3}})
    assert one.value("test.accuracy") == one.value("accuracy") == one.value("m.json:test.accuracy") == 0.5
    assert (one.value("loss"), one.value("n.json:loss"), one.value("curacy")) == (2, 3, None)


def test_a_whole_name_comes_before_the_end_of_one() -> None:
    assert Experiment("x", {}, Fate.DONE, "", {"m.json": {"train.loss": 1, "loss": 2}}).value("loss") == 2


def test_only_numbers_are_scores() -> None:
    one = experiment("x", text="1", none=None, nan=float("nan"), number=1)
    assert [one.score(name) for name in ("text", "none", "nan", "missing", "number")] == [None, None, None, None, 1.0]


def test_the_best_is_the_first_of_the_best() -> None:
    found = SweepReport([experiment("a", acc=1), experiment("b", acc=3), experiment("c", acc=3), experiment("d")])
    assert found.best("acc") is found.experiments[1]
    assert found.best("acc", minimize=True) is found.experiments[0]
    assert found.best("loss") is None


def test_what_failed() -> None:
    found = SweepReport([experiment("a"), experiment("b", Fate.FAILED)])
    assert [one.name for one in found.failed] == ["b"]


def test_plain_data_comes_back() -> None:
    one = Experiment("x", {"a": "1"}, Fate.KNOWN, "f00", {"m.json": {"acc": 1}}, {"train": "ran"}, 1.5, "", ["line"])
    assert Experiment.of(one.plain()) == one


def test_metrics_that_differ_are_shown_first_and_only_numbers() -> None:
    found = [experiment("a", same=1, acc=1, text="x", flag=True), experiment("b", same=1, acc=2, text="y", flag=True)]
    assert telling(found) == ["m.json:acc", "m.json:same"]
    assert telling(found, most=1) == ["m.json:acc"]
