"""One stage on a worker's host, without Prefect: what its flow ends with."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from gliaflow.core.options import Options
from gliaflow.core.ports import Parcel
from gliaflow.core.report import Outcome, Report, StageResult
from gliaflow.errors import CommandFailed, TransientError, UserError
from gliaflow.store.records import Record
from gliaflow.team import stage_flow

SENT = asdict(Parcel("train", "sub/deep", ".", "ab", {}, []))


class Host:
    """A host on which a run with the outcome `outcome` ends; it keeps what was asked."""

    def __init__(self, top: Path) -> None:
        self.top, self.known, self.outcome = top, False, Outcome.RUN
        self.error: Exception | None = None
        self.asked: list[tuple[str, Options, Path]] = []

    @contextmanager
    def checked_out(self, *_: str) -> Iterator[Path]:
        """A checkout."""
        yield self.top

    def reproduce(self, targets: str, options: Options) -> Report:
        """What became of it."""
        self.asked.append((targets, options, Path.cwd()))
        return Report((StageResult(targets, self.outcome, error=self.error),))


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """It, in place of all that the flow reaches."""
    made = Host(tmp_path)
    for name in ("apart_from_checkout", "same_packages"):
        monkeypatch.setattr(stage_flow, name, lambda *_: None)
    monkeypatch.setattr(stage_flow, "checked_out", made.checked_out)
    monkeypatch.setattr(stage_flow, "beating", made.checked_out)
    monkeypatch.setattr("gliaflow.team.stage_flow.socket.gethostname", lambda: "b")
    monkeypatch.setattr("gliaflow.team.stage_flow.parcels.unpack", lambda _, run_cache: made.known and run_cache)
    monkeypatch.setattr("gliaflow.team.stage_flow.parcels.push", lambda _: Record("ab", "cd"))
    monkeypatch.setattr("gliaflow.team.stage_flow.api.reproduce", made.reproduce)
    return made


def ended(**flags: bool) -> tuple[str, str]:
    """The name and the message of the state."""
    state: Any = stage_flow.stage.fn("repository", "ref", "commit", SENT, **flags)
    return state.name, state.message


@pytest.mark.parametrize(
    ("known", "flags", "forced"),
    [(False, {}, True), (True, {}, False), (True, {"force": True}, True), (True, {"run_cache": False}, True)],
)
def test_a_stage_runs_in_its_folder_and_anew_unless_its_run_is_known(
    host: Host, known: bool, flags: dict[str, bool], forced: bool
) -> None:
    host.known = known
    assert ended(**flags) == ("Completed", "ran: run ab/cd")
    options = Options(single_item=True, force=forced, run_cache=flags.get("run_cache", True))
    assert host.asked == [("train", options, host.top / "sub/deep")]


def test_what_was_restored_is_told(host: Host) -> None:
    host.outcome = Outcome.RESTORED
    assert ended() == ("Completed", "restored from run-cache: run ab/cd")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (CommandFailed("make", 3), ("Failed", "on b: exited with 3: make")),
        (UserError("no\nfile"), ("Refused", "on b: no file")),
        (TransientError("no network"), ("Failed", "on b: no network")),
    ],
)
def test_a_failure_is_told_on_one_line_with_the_host(host: Host, error: Exception, expected: tuple[str, str]) -> None:
    host.outcome, host.error = Outcome.FAILED, error
    assert ended() == expected
