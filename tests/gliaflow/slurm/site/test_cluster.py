"""One thread looks at all jobs: seldom, through failures, and with one word for those that are to end."""

import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from gliaflow.slurm.site import cluster as module
from gliaflow.slurm.site.cluster import Cluster
from tests.gliaflow.slurm.programs import Programs
from tests.support.repos import soon


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    made = Programs(tmp_path, monkeypatch)
    made.put("scancel", "exit 0")
    return made


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    made = Cluster(["gliaflow-a"])
    yield made
    made.close()


def test_nothing_is_asked_before_there_is_a_job(programs: Programs, cluster: Cluster) -> None:
    programs.put("squeue", "")
    time.sleep(0.3)
    cluster.close()
    assert programs.calls("squeue") == []
    assert programs.calls("scancel") == []


def test_many_jobs_are_one_question_every_two_seconds(programs: Programs, cluster: Cluster) -> None:
    rows = "; ".join(f"echo '{number}|RUNNING|None|n1|c'" for number in range(200))
    programs.put("squeue", f"date +%s.%N >> {programs.folder}/times; {rows}")
    for number in range(200):
        cluster.watch(str(number), "gliaflow-a")
    assert soon(lambda: len(programs.calls("squeue")) >= 2)
    seen = cluster.seen("199")
    assert seen is not None
    assert (seen.state, seen.over, cluster.gone("199")) == ("RUNNING", False, False)
    times = [*map(float, (programs.folder / "times").read_text().split())]
    assert all(later - earlier > module.LEAST_SECONDS - 0.3 for earlier, later in pairwise(times))


def test_where_nothing_changes_looks_become_rarer(monkeypatch: pytest.MonkeyPatch, programs: Programs) -> None:
    monkeypatch.setattr(module, "LEAST_SECONDS", 0.3)
    monkeypatch.setattr(module, "TURN_SECONDS", 0.05)
    programs.put("squeue", f"date +%s.%N >> {programs.folder}/times; echo '1|PENDING|Priority||c'")
    cluster = Cluster(["gliaflow-a"])
    cluster.watch("1", "gliaflow-a")
    assert soon(lambda: len(programs.calls("squeue")) >= 5)
    cluster.close()
    times = [*map(float, (programs.folder / "times").read_text().split())]
    assert times[4] - times[3] > 1.5 * (times[1] - times[0])


def test_a_job_is_gone_once_it_is_over_or_no_longer_listed(monkeypatch: pytest.MonkeyPatch, programs: Programs) -> None:
    monkeypatch.setattr(module, "LEAST_SECONDS", 0.2)
    listed = programs.folder / "listed"
    listed.write_text("1|RUNNING|None|n|c\n2|TIMEOUT|TimeLimit|n|c\n")
    every_third = f"n=$(wc -l < {programs.folder}/squeue.calls); [ $((n % 3)) = 0 ] && exit 1; cat {listed}"
    programs.put("squeue", every_third)
    cluster = Cluster(["gliaflow-a"])
    for number in ("1", "2"):
        cluster.watch(number, "gliaflow-a")
    assert soon(lambda: cluster.gone("2"))
    assert not cluster.gone("1")
    listed.write_text("")
    assert soon(lambda: cluster.gone("1"))
    cluster.close()


def test_those_that_end_together_are_cancelled_together(programs: Programs, cluster: Cluster) -> None:
    programs.put("squeue", "exit 1")
    for number in ("1", "2", "3"):
        cluster.watch(number, "gliaflow-a")
    for number in ("1", "2", "3"):
        cluster.cancel(number)
    assert soon(lambda: programs.calls("scancel"))
    assert programs.calls("scancel") == ["1 2 3"]
    cluster.close()
    assert programs.calls("scancel") == ["1 2 3"]


def test_a_cluster_that_is_away_is_told_again(programs: Programs, cluster: Cluster) -> None:
    programs.put("squeue", "exit 1")
    away = "echo 'Unable to contact slurm controller' >&2; exit 1"
    programs.put("scancel", f"[ $(wc -l < {programs.folder}/scancel.calls) -ge 3 ] || {{ {away}; }}")
    cluster.watch("1", "gliaflow-a")
    cluster.cancel("1")
    assert soon(lambda: len(programs.calls("scancel")) == 3)
    time.sleep(1)
    assert len(programs.calls("scancel")) == 3


def test_a_job_of_several_stages_is_looked_for_until_the_last_has_ended(
    programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LEAST_SECONDS", 0.2)
    programs.put("squeue", "echo '1|RUNNING|None|n|c'")
    cluster = Cluster(["gliaflow-a"])
    cluster.watch("1", "gliaflow-a")
    cluster.watch("1", "gliaflow-a")
    cluster.forget("1")
    assert soon(lambda: cluster.seen("1"))
    cluster.forget("1")
    time.sleep(0.5)
    number = len(programs.calls("squeue"))
    time.sleep(1.0)
    assert len(programs.calls("squeue")) == number
    cluster.close()
