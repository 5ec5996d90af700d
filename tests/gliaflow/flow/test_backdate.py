"""Flow runs that were brought in get their true times, in the database of a real server."""

import time
from pathlib import Path

import pytest
from prefect.client.orchestration import SyncPrefectClient

from gliaflow.export.client import Client
from gliaflow.export.configured import Server
from gliaflow.export.exporter import Exporter
from gliaflow.flow.backdate import Times, backdate
from tests.support.journals import BEGAN, WHOLE, journal, written


def test_nothing_to_do(tmp_path: Path) -> None:
    assert backdate(tmp_path, [])


def test_a_run_gets_its_times(tmp_path: Path, server: str, home: Path, client: SyncPrefectClient) -> None:
    with Client(Server(server)) as own, Exporter(own, written(tmp_path, tmp_path), "key") as exporter:
        exporter.advance()
    name = exporter.mirror.flow_run
    assert backdate(home, [Times(name, BEGAN, BEGAN + 4)])
    run = client.read_flow_run(name)  # type: ignore[arg-type]
    assert run.start_time
    assert run.end_time
    assert (run.start_time.timestamp(), run.end_time.timestamp()) == (BEGAN, BEGAN + 4)
    assert run.expected_start_time == run.start_time
    assert run.total_run_time.total_seconds() == pytest.approx(4)
    states = client.read_flow_run_states(run.id)
    assert [(one.name, round(one.timestamp.timestamp() - BEGAN, 3)) for one in states] == [
        ("Pending", 0.0),
        ("Running", 0.0),
        ("Completed", 4.0),
    ]


def test_a_run_that_goes_on_gets_its_start(tmp_path: Path, server: str, home: Path, client: SyncPrefectClient) -> None:
    running = journal(tmp_path / "a", tmp_path / "home", WHOLE[:1])
    with Client(Server(server)) as own, Exporter(own, running.path, "key") as exporter:
        exporter.advance()
        name = exporter.mirror.flow_run
        assert backdate(home, [Times(name, BEGAN, None)])
        run = client.read_flow_run(name)  # type: ignore[arg-type]
        assert run.start_time
        assert (run.start_time.timestamp(), run.end_time) == (BEGAN, None)
        assert run.estimated_run_time.total_seconds() > time.time() - BEGAN - 60
        for event in WHOLE[1:]:
            running.hear(event)
        exporter.advance()
        assert backdate(home, [Times(name, BEGAN, BEGAN + 4)])
    running.close()
    run = client.read_flow_run(name)  # type: ignore[arg-type]
    assert run.state_name == "Completed"
    assert run.total_run_time.total_seconds() == pytest.approx(4)


def test_a_database_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "gliaflow").mkdir()
    (tmp_path / "prefect.db").write_text("no database")
    assert not backdate(tmp_path, [Times("00000000-0000-0000-0000-00000000000f", BEGAN, BEGAN)])
