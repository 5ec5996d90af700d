"""The doors of the scheduler: whoever stands behind one has all of its methods, and takes what comes through."""

import inspect
import json
from dataclasses import asdict

import pytest

from gliaflow.core.ports import Ended, Executor, Lease, Listener, Missing, NotYet, Parcel, Prepared, Run, Workspace
from gliaflow.core.report import Outcome
from gliaflow.errors import GliaflowError, UserError
from gliaflow.hosts.pool_run import PoolRun
from gliaflow.hosts.pools import Pools
from gliaflow.machine.local import LocalExecutor, LocalRun
from gliaflow.relay import Relay
from gliaflow.resources.slots import SlotLease
from gliaflow.workspace.fallback import Fallback
from gliaflow.workspace.workspace import Workspace as DvcWorkspace
from tests.support.fakes import Ear, FakeExecutor, FakeLease, FakeRun, FakeWorkspace

BEHIND: list[tuple[type, list[type]]] = [
    (Workspace, [DvcWorkspace, Fallback, FakeWorkspace]),
    (Executor, [LocalExecutor, Pools, FakeExecutor]),
    (Run, [LocalRun, PoolRun, FakeRun]),
    (Lease, [SlotLease, FakeLease]),
    (Listener, [Relay, Ear]),
]


def methods(found: type) -> dict[str, list[str]]:
    """The names of the arguments of its public methods."""
    public = {name: one for name, one in inspect.getmembers(found, inspect.isfunction) if not name.startswith("_")}
    return {name: list(inspect.signature(one).parameters) for name, one in public.items()}


@pytest.mark.parametrize(("door", "one"), [(door, one) for door, all_ in BEHIND for one in all_])
def test_who_stands_behind_a_door_has_its_methods(door: type, one: type) -> None:
    asked, there = methods(door), methods(one)
    assert asked
    assert {name: there.get(name) for name in asked} == asked


def test_a_parcel_is_plain_data() -> None:
    sent = Parcel("train", "sub", ".", "key", {"a": "hash"}, [{"path": "a", "md5": "hash"}], ("b",))
    assert Parcel(**json.loads(json.dumps(asdict(sent)))) == Parcel(**{**asdict(sent), "unread": ["b"]})


def test_to_wait_is_no_users_error_and_what_is_missing_is() -> None:
    assert not issubclass(NotYet, GliaflowError)
    assert issubclass(Missing, UserError)


def test_a_try_that_ended_well_and_a_stage_that_is_settled_carry_nothing() -> None:
    assert (Ended().error, Ended().again, Ended().reply, Ended().undeclared) == (None, False, None, None)
    assert Prepared(Outcome.UNCHANGED).commands is None
