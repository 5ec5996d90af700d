"""A journal goes to a server in any number of steps, whatever breaks between them, and is there once."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gliaflow.export.client import Client, Unreachable
from gliaflow.export.configured import Server
from gliaflow.export.exporter import Busy, Exporter
from gliaflow.export.marks import Mark, read
from tests.support.journals import WHOLE, journal, written
from tests.support.web import FLOW_RUN, FakePrefect, Web, web


@pytest.fixture
def prefect() -> FakePrefect:
    return FakePrefect()


@pytest.fixture
def server(prefect: FakePrefect) -> Iterator[Web]:
    with web(prefect.answer) as found:
        yield found


@pytest.fixture
def client(server: Web) -> Iterator[Client]:
    with Client(Server(server.url), {}) as made:
        yield made


def paths(server: Web) -> list[str]:
    return [path.replace(FLOW_RUN, "ID") for method, path, _ in server.asked if method == "POST"]


ALL = [
    "/flows/",
    "/flow_runs/",
    "/flow_runs/ID/set_state",
    "/events",
    "/logs/",
    "/artifacts/",
    "/flow_runs/ID/set_state",
]


def test_a_run_that_has_ended(tmp_path: Path, client: Client, server: Web) -> None:
    path = written(tmp_path, tmp_path)
    with Exporter(client, path, "key") as exporter:
        exporter.advance()
        assert exporter.done
    assert paths(server) == ALL
    by_path = {path.rpartition("/")[2] or path: data for _, path, data in server.asked}
    run = next(data for _, path, data in server.asked if path == "/flow_runs/")
    assert run["idempotency_key"] == exporter.mirror.id
    assert run["parameters"] == {"targets": ["two"], "flags": {"force": True}}
    assert by_path["set_state"]["state"]["type"] == "COMPLETED"
    assert read(path, "key") == Mark(FLOW_RUN, path.stat().st_size, done=True)
    with Exporter(client, path, "key") as again:
        assert again.done
        again.advance()
    assert len(server.asked) == len(ALL)


def test_a_run_that_goes_on_is_told_as_it_goes(tmp_path: Path, client: Client, server: Web) -> None:
    running = journal(tmp_path, tmp_path, WHOLE[:1])
    with Exporter(client, running.path, "key") as exporter:
        exporter.advance()
        assert paths(server)[-1] == "/events"
        exporter.advance()
        assert paths(server)[-1] == "/events"
        running.hear(WHOLE[1])
        exporter.advance()
        assert paths(server)[-1] == "/logs/"
        assert not read(running.path, "key").done
        for event in WHOLE[2:]:
            running.hear(event)
        exporter.advance()
        assert exporter.done
    running.close()
    assert paths(server).count("/flow_runs/") == 1


def test_a_killed_one_is_crashed(tmp_path: Path, client: Client, server: Web) -> None:
    path = written(tmp_path, tmp_path, WHOLE[:1])
    with Exporter(client, path, "key") as exporter:
        exporter.advance()
        assert exporter.done
    assert server.asked[-1][2]["state"]["type"] == "CRASHED"


def test_one_that_was_killed_before_its_first_line(tmp_path: Path, client: Client, server: Web) -> None:
    path = tmp_path / "run.jsonl"
    path.write_text('{"is": "ru')
    with Exporter(client, path, "key") as exporter:
        exporter.advance()
        assert exporter.done
    assert server.asked == []


def test_a_flow_of_its_own_is_there_already(tmp_path: Path, client: Client, server: Web) -> None:
    with Exporter(client, written(tmp_path, tmp_path, flow_run=True), "key") as exporter:
        exporter.advance()
        assert exporter.done
    assert server.asked == []


def test_whom_a_run_was_meant_for(tmp_path: Path, client: Client) -> None:
    path = written(tmp_path, tmp_path, server="here")
    with Exporter(client, path, "here") as exporter:
        assert exporter.meant()
    with Exporter(client, path, "there") as exporter:
        assert not exporter.meant()


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("anyway", [False, True])
@pytest.mark.parametrize("fails", range(len(ALL)))
def test_whichever_request_fails_all_is_there_once(
    tmp_path: Path, client: Client, prefect: FakePrefect, fails: int, anyway: bool, restarted: bool
) -> None:
    prefect.fails, prefect.anyway = fails, anyway
    path = written(tmp_path, tmp_path)
    with Exporter(client, path, "key") as exporter:
        with pytest.raises(Unreachable, match="answers 500"):
            exporter.advance()
        if not restarted:
            exporter.advance()
    if restarted:
        with Exporter(client, path, "key") as exporter:
            exporter.advance()
    assert read(path, "key").done
    assert prefect.states == ["RUNNING", "COMPLETED"]
    assert len(prefect.events) == 3
    assert [one["message"] for one in prefect.logs] == ["hello"]
    assert [one["key"] for one in prefect.artifacts] == ["stages"]


def test_two_do_not_send_the_same(tmp_path: Path, client: Client) -> None:
    path = written(tmp_path, tmp_path)
    with Exporter(client, path, "key"), pytest.raises(Busy), Exporter(client, path, "key"):
        pass


def test_cancelling_is_seen(tmp_path: Path, client: Client, prefect: FakePrefect) -> None:
    running = journal(tmp_path, tmp_path, WHOLE[:1])
    with Exporter(client, running.path, "key") as exporter:
        assert not exporter.cancelled()
        exporter.advance()
        assert not exporter.cancelled()
        prefect.state = "CANCELLING"
        assert exporter.cancelled()
    running.close()
