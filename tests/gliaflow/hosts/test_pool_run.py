"""One try on another host, without any: what its end means here."""

import signal
import uuid
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prefect.states import Completed, Crashed, Failed, Pending, Running, Scheduled

from gliaflow.core.graph import Stage
from gliaflow.core.ports import Ended, Prepared, Reply, Task
from gliaflow.core.report import Message, Outcome
from gliaflow.core.settings import Settings
from gliaflow.errors import UserError
from gliaflow.hosts import pool_run
from gliaflow.hosts.pool_run import PENDING_SECONDS, REFUSED, REPLY, FailedThere, Lost, PoolRun, as_message
from tests.support.fakes import Ear


def made(number: int = 1) -> PoolRun:
    """A try of a stage for the pool gpu, sent nowhere."""
    stage = Stage("train", (), Settings(pool="gpu"))
    return PoolRun(Task(stage, Prepared(Outcome.RUN), number), Path(), lambda _: ("commit", "ref"))


def run(state: Any) -> Any:
    """A flow run in that state."""
    return SimpleNamespace(id=uuid.uuid4(), state=state, updated=None)


@pytest.mark.parametrize("outcome", [Outcome.RUN, Outcome.RESTORED])
def test_a_reply_comes_back_from_the_message_of_a_state(outcome: Outcome) -> None:
    reply = Reply(outcome, "ab12", "cd34")
    assert as_message(reply) == f"{outcome.value}: run ab12/cd34"
    assert made()._judged(run(Completed(message=as_message(reply)))) == reply
    assert REPLY.match("restored from run-cache: run ab12") is None


@pytest.mark.parametrize(
    ("state", "error", "words"),
    [
        (Completed(message="all well"), FailedThere, "in pool 'gpu': all well"),
        (Failed(message="on b: exit 3"), FailedThere, "in pool 'gpu': on b: exit 3"),
        (Failed(name=REFUSED, message="on b: no remote"), UserError, "in pool 'gpu': on b: no remote"),
        (Crashed(message="killed"), Lost, "its host in pool 'gpu' went away: killed"),
    ],
)
def test_another_end_is_an_error(state: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error) as caught:
        made()._judged(run(state))
    assert (type(caught.value), str(caught.value)) == (error, words)


def test_one_that_was_stopped_is_interrupted_whatever_it_made() -> None:
    stopped = made()
    stopped.stop(signal.SIGTERM)
    with pytest.raises(InterruptedError):
        stopped._judged(run(Completed(message="ran: run a/b")))
    with pytest.raises(InterruptedError):
        stopped._unless_stopped(lambda: 1)


@pytest.mark.parametrize(("number", "told"), [(1, ["train: gone; try 2 of 4"]), (4, [])])
def test_a_lost_host_is_worth_another_try_and_told(
    monkeypatch: pytest.MonkeyPatch, number: int, told: list[str]
) -> None:
    one, ear, error = made(number), Ear(), Lost("gone")
    monkeypatch.setattr(one, "_sent_and_fetched", lambda _: raise_(error))
    assert one.wait(ear) == Ended(error, again=True)
    assert [event.text for event in ear.events if isinstance(event, Message)] == told


def test_any_other_error_is_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    one, error = made(), FailedThere("exit 3")
    monkeypatch.setattr(one, "_sent_and_fetched", lambda _: raise_(error))
    assert one.wait(Ear()) == Ended(error)


def raise_(error: Exception) -> None:
    raise error


def test_what_is_done_beside_comes_back_with_its_value_or_its_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_run, "POLL_SECONDS", 0.01)
    assert made()._unless_stopped(lambda: 7) == 7
    with pytest.raises(TimeoutError, match="its own"):
        made()._unless_stopped(lambda: raise_(TimeoutError("its own")))


class Client:
    """Keeps the states that it is told."""

    def __init__(self) -> None:
        self.set: list[Any] = []

    def set_flow_run_state(self, _: object, state: Any, force: bool) -> None:
        """Keep it."""
        assert force
        self.set.append(state)


@pytest.mark.parametrize(
    ("state", "seconds", "lost"),
    [
        (Running(), 61, True),
        (Running(), 59, False),
        (Pending(), PENDING_SECONDS - 1, False),
        (Pending(), PENDING_SECONDS + 1, True),
        (Scheduled(), 10_000, False),
    ],
)
def test_a_silent_host_is_given_up(state: Any, seconds: float, lost: bool) -> None:
    one, client, silence = made(), Client(), SimpleNamespace(seconds=lambda _: seconds)
    one._lease = 60
    if lost:
        with pytest.raises(Lost, match=f"nothing was heard of its host in pool 'gpu' for {seconds:.0f} s"):
            one._give_up_silent(client, run(state), silence)  # type: ignore[arg-type]
    else:
        one._give_up_silent(client, run(state), silence)  # type: ignore[arg-type]
    assert [one.type.value for one in client.set] == (["CRASHED"] if lost else [])
