"""What a Prefect server is told to notice."""

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import EventTrigger, Posture

from gliaflow.team.watch import NAME, TAG, automation, watch


def test_a_watched_run_that_is_silent_has_crashed() -> None:
    made = automation(timedelta(seconds=40))
    trigger, (action,) = made.trigger, made.actions
    assert isinstance(trigger, EventTrigger)
    assert (trigger.posture, trigger.within, trigger.threshold) == (Posture.Proactive, timedelta(seconds=40), 1)
    assert trigger.after == {"prefect.flow-run.heartbeat"}
    assert trigger.expect == {"prefect.flow-run.*"}
    assert f"prefect.tag.{TAG}" in str(trigger.match_related)
    assert isinstance(action, ChangeFlowRunState)
    assert (action.state, action.message) == (StateType.CRASHED, "nothing was heard of its host for 40 s")
    assert automation().name == NAME


class Client:
    """A server that has these automations."""

    def __init__(self, there: list[str]) -> None:
        self.there, self.done = there, list[tuple[str, Any]]()

    def read_automations_by_name(self, name: str) -> list[Any]:
        """By their ids."""
        assert name == NAME
        return [SimpleNamespace(id=one) for one in self.there]

    def update_automation(self, one: str, _: object) -> None:
        """In place of what is there."""
        self.done.append(("updated", one))

    def create_automation(self, made: Any) -> None:
        """A new one."""
        self.done.append(("created", made.name))


@pytest.mark.parametrize(("there", "done"), [([], ("created", NAME)), (["id"], ("updated", "id"))])
def test_it_is_written_once(there: list[str], done: tuple[str, str]) -> None:
    client = Client(there)
    watch(client)  # type: ignore[arg-type]
    assert client.done == [done]
