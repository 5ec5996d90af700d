"""What a sweep is before it runs: which names its experiments get, and what counts as the same set."""

import pytest

from gliaflow.core.options import Options
from gliaflow.errors import UserError
from gliaflow.experiments.grid import sets
from gliaflow.experiments.making.setting import Wanted
from gliaflow.experiments.results import Experiment, Fate
from gliaflow.experiments.sweep import Sweep
from gliaflow.machine.git import git
from tests.support.repos import Project


@pytest.fixture
def ready(project: Project) -> Project:
    project.write({"params.yaml": "a: 1\n"})
    project.pipeline({"one": {"cmd": "true", "params": ["a"]}})
    project.commit()
    return project


def planned(project: Project, *params: str, **wanted: object) -> Sweep:
    return Sweep(project.root, sets(params), Wanted(**wanted), print)  # type: ignore[arg-type]


def end(plan: Sweep, place: int, project: Project) -> None:
    """Have it be done."""
    order = plan.orders[place]
    head = git(project.root, "rev-parse", "HEAD").stdout.strip()
    rev = git(project.root, "commit-tree", f"{head}^{{tree}}", "-p", head, "-m", order.key).stdout.strip()
    git(project.root, "update-ref", f"refs/exps/{head[:2]}/{head[2:]}/{order.name}", rev)
    plan.ledger.begin(order.key, order.name)
    plan.ledger.end(order.key, Experiment(order.name, order.params, Fate.DONE, rev))


def names(plan: Sweep) -> list[str]:
    return [order.name for order in plan.orders]


def test_names_that_dvc_makes_up_are_kept_for_the_next_time(ready: Project) -> None:
    first = planned(ready, "a=1,2,3")
    assert len({*names(first)}) == 3
    assert all(name.count("-") == 1 for name in names(first))
    first.ledger.begin(first.orders[1].key, first.orders[1].name)
    again = planned(ready, "a=2,1")
    assert names(again)[0] == names(first)[1]
    assert names(again)[1] not in names(first)


def test_names_that_begin_as_asked(ready: Project) -> None:
    assert names(planned(ready, "a=5", name="x")) == ["x"]
    first = planned(ready, "a=1,2", name="x")
    assert names(first) == ["x-1", "x-2"]
    end(first, 0, ready)
    again = planned(ready, "a=3,1,4", name="x")
    assert names(again) == ["x-2", "x-1", "x-3"]  # that which is there keeps its name
    end(again, 0, ready)
    assert names(planned(ready, "a=7,8,9", name="x")) == ["x-3", "x-4", "x-5"]  # and each new one has its own


def test_a_name_is_kept_until_its_experiment_is_made(ready: Project) -> None:
    first = planned(ready, "a=1,2", name="x")
    for order in first.orders:
        first.ledger.begin(order.key, order.name)
    assert names(planned(ready, "a=2,1", name="x")) == ["x-2", "x-1"]
    assert names(planned(ready, "a=2,1", name="y")) == ["y-1", "y-2"]


def test_the_order_of_parameters_makes_no_other_set(ready: Project) -> None:
    ready.write({"params.yaml": "a: 1\nb: {c: 1}\n"})
    ready.commit()
    one, other = planned(ready, "a=1", "b.c=2"), planned(ready, "b.c=2", "a=1")
    assert one.orders[0].key == other.orders[0].key
    build, undo = planned(ready, "b={c:3}", "b.c=5"), planned(ready, "b.c=5", "b={c:3}")
    assert build.orders[0].key != undo.orders[0].key


def test_overrides_that_build_on_each_other(ready: Project) -> None:
    assert len(planned(ready, "+d={e:1}", "d.e=5").orders) == 1
    with pytest.raises(UserError, match=r"Could not override 'd\.f'"):
        planned(ready, "+d={e:1}", "d.f=5")


@pytest.mark.parametrize("file", ["/etc/params.yaml", "../params.yaml", "link.yaml"])
def test_a_file_of_parameters_outside(ready: Project, file: str) -> None:
    (ready.root.parent / "params.yaml").write_text("a: 1\n")
    (ready.root / "link.yaml").symlink_to("../params.yaml")
    with pytest.raises(UserError, match="name a file of parameters in this repository"):
        planned(ready, f"{file}:a=2")
    assert (ready.root.parent / "params.yaml").read_text() == "a: 1\n"


def test_a_target_that_is_not_there(ready: Project) -> None:
    with pytest.raises(UserError, match="'nowhere' does not exist"):
        planned(ready, "a=1", targets=("nowhere",))


def test_what_is_done_is_told_and_not_made(ready: Project) -> None:
    first = planned(ready, "a=1,2")
    for place in (0, 1):
        end(first, place, ready)
    heard: list[object] = []
    found = planned(ready, "a=2,1").run(heard.append, 1)
    assert [one.fate for one in found.experiments] == [Fate.KNOWN, Fate.KNOWN]
    assert [one.name for one in found.experiments] == names(first)[::-1]
    assert heard == list(found.experiments)


@pytest.mark.parametrize("change", ["code", "target", "flag", "value", "commit"])
def test_what_makes_it_another_set(ready: Project, change: str) -> None:
    before = planned(ready, "a=1").orders[0].key
    assert planned(ready, "a=1", jobs=1, message="x", prefect=False).orders[0].key == before
    if change == "code":
        ready.write({"params.yaml": "a: 1  # changed\n"})
    if change == "commit":
        ready.commit()
    targets = ("one",) if change == "target" else ()
    options = Options(allow_missing=change == "flag")
    after = planned(ready, "a=2" if change == "value" else "a=1", targets=targets, options=options)
    assert after.orders[0].key != before


def test_a_file_of_parameters_that_git_does_not_know_comes_along(ready: Project) -> None:
    ready.write({"more.yaml": "b: 1\n", "loose/x": ""})
    found = planned(ready, "a=1", "more.yaml:b=2", copy_paths=("loose",))
    assert found.setting.copies == ("loose", "more.yaml")
    ready.write({"more.yaml": "b: 3\n"})
    again = planned(ready, "a=1", "more.yaml:b=2", copy_paths=("loose",))
    assert again.orders[0].key != found.orders[0].key
    with pytest.raises(UserError, match="--copy-paths nowhere"):
        planned(ready, "a=1", copy_paths=("nowhere",))


def test_where_git_is_not_used(ready: Project) -> None:
    ready.dvc("config", "core.no_scm", "true")
    with pytest.raises(UserError, match="commits of git"):
        planned(ready, "a=1")
