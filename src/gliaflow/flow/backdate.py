"""Gives flow runs that were brought in their true times; a program that opens the database of this machine's server.

Prefect's API takes the times of task runs and logs, but stamps the states of a flow run itself.
"""

import asyncio
import json
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

from gliaflow.flow.server import environment

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
TICK = timedelta(microseconds=1)  # between two states of a run, no two of which may have the same time
BOOT = "import sys; sys.path.append(sys.argv.pop(1)); from gliaflow.flow.backdate import main; main()"


class Times(NamedTuple):
    """The true times of a flow run, in seconds since 1970."""

    flow_run: str
    """Its id."""
    began: float
    ended: float | None
    """None of a run that goes on."""


def backdate(home: Path, runs: Sequence[Times]) -> bool:
    """Write the times into the database of the server whose home is `home`; whether that went well."""
    if not runs:
        return True
    line = [sys.executable, "-I", "-c", BOOT, str(Path(__file__).parents[2])]
    own = home / "gliaflow"
    given = json.dumps([tuple(one) for one in runs])
    ended = subprocess.run(
        line, cwd=own, env=environment(home), input=given, capture_output=True, text=True, check=False
    )
    return ended.returncode == 0


async def _write(runs: Sequence[Times]) -> None:
    import sqlalchemy as sa  # seconds of imports, for the program alone
    from prefect.server.database import provide_database_interface

    db = provide_database_interface()
    async with db.session_context(begin_transaction=True) as session:
        for one in runs:
            key = UUID(one.flow_run)
            began = datetime.fromtimestamp(one.began, UTC)
            ended = None if one.ended is None else datetime.fromtimestamp(one.ended, UTC)
            state = db.FlowRunState
            ordered = sa.select(state.id).where(state.flow_run_id == key).order_by(state.created, state.timestamp)
            ids = list((await session.execute(ordered)).scalars())
            for start in (LONG_AGO, began):  # a time that another state still has is refused
                for place, one_state in enumerate(ids):
                    when = start + place * TICK
                    if ended and start == began and place and place == len(ids) - 1:
                        when = max(ended, when)
                    await session.execute(sa.update(state).where(state.id == one_state).values(timestamp=when))
            known: dict[str, Any] = {
                "expected_start_time": began,
                "start_time": began,
                "state_timestamp": ended or began,
            }
            if ended:
                known |= {"end_time": ended, "total_run_time": ended - began}
            await session.execute(sa.update(db.FlowRun).where(db.FlowRun.id == key).values(**known))


def main() -> None:
    """Read the times from standard input, as JSON, and write them."""
    asyncio.run(_write([Times(*one) for one in json.load(sys.stdin)]))
