"""The journals of all repositories of this machine come to a server, each once."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gliaflow.export.client import Client
from gliaflow.export.configured import Server
from gliaflow.flow.bring_in import Importer
from tests.support.journals import BEGAN, WHOLE, journal, written
from tests.support.web import FLOW_RUN, FakePrefect, web


@pytest.fixture
def prefect() -> FakePrefect:
    return FakePrefect()


@pytest.fixture
def client(prefect: FakePrefect) -> Iterator[Client]:
    with web(prefect.answer) as server, Client(Server(server.url), {}) as made:
        yield made


def look(importer: Importer) -> list[tuple[str, float, float | None]]:
    return [(one.flow_run, one.began, one.ended) for one in importer.look()]


def test_all_repositories_and_each_run_once(tmp_path: Path, client: Client, prefect: FakePrefect) -> None:
    for name in ("a", "b"):
        written(tmp_path / name, tmp_path / "home")
    importer = Importer(client, "key", tmp_path / "home")
    assert look(importer) == [(FLOW_RUN, BEGAN, BEGAN + 4)] * 2
    assert look(importer) == []
    importer.close()
    again = Importer(client, "key", tmp_path / "home")
    assert look(again) == []
    assert prefect.states.count("COMPLETED") == 2
    written(tmp_path / "a", tmp_path / "home", WHOLE[:1])
    assert look(again) == [(FLOW_RUN, BEGAN, BEGAN + 1)]
    assert prefect.state == "CRASHED"
    again.close()


def test_a_run_that_goes_on_is_followed(tmp_path: Path, client: Client, prefect: FakePrefect) -> None:
    running = journal(tmp_path / "a", tmp_path / "home", WHOLE[:1])
    importer = Importer(client, "key", tmp_path / "home")
    assert look(importer) == [(FLOW_RUN, BEGAN, None)]
    assert look(importer) == []
    assert len(prefect.events) == 1
    for event in WHOLE[1:]:
        running.hear(event)
    assert look(importer) == [(FLOW_RUN, BEGAN, BEGAN + 4)]
    running.close()
    importer.close()


def test_another_process_that_sends_a_run_is_left_alone(tmp_path: Path, client: Client, prefect: FakePrefect) -> None:
    running = journal(tmp_path / "a", tmp_path / "home", WHOLE[:1])
    first, second = (Importer(client, "key", tmp_path / "home") for _ in range(2))
    assert [look(first), look(second)] == [[(FLOW_RUN, BEGAN, None)], []]
    assert len(prefect.events) == 1
    first.close()
    running.close()
    assert look(second) == [(FLOW_RUN, BEGAN, BEGAN + 1)]
    second.close()


def test_a_teams_server_gets_what_was_meant_for_it(tmp_path: Path, client: Client, prefect: FakePrefect) -> None:
    written(tmp_path / "a", tmp_path / "home", server="key")
    written(tmp_path / "a", tmp_path / "home", server="another")
    written(tmp_path / "a", tmp_path / "home")
    importer = Importer(client, "key", tmp_path / "home", meant=True)
    assert len(look(importer)) == 1
    assert look(importer) == []
    importer.close()
    assert prefect.states == ["RUNNING", "COMPLETED"]


def test_a_database_that_was_emptied_gets_all_anew(tmp_path: Path, client: Client, prefect: FakePrefect) -> None:
    written(tmp_path / "a", tmp_path / "home")
    importer = Importer(client, "key", tmp_path / "home")
    assert len(look(importer)) == 1
    importer.close()
    prefect.states.clear()
    anew = Importer(client, "key", tmp_path / "home")
    assert len(look(anew)) == 1
    anew.close()
