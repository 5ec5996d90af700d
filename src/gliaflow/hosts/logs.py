"""The lines that a stage prints on another host, read from the Prefect server while it runs."""

import time
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId, LogFilterTimestamp
from prefect.client.schemas.sorting import LogSort

from gliaflow.flow.tasks import LINES

OVERLAP = timedelta(seconds=3)  # that lines may come late, or out of order
BATCH, BATCHES = 200, 5  # lines a request, as many as Prefect gives; requests before something else is looked at
LAST_SECONDS = 0.5  # that lines may come after the end


class RunLogs:
    """The lines of a flow run that were not given yet."""

    def __init__(self, run: uuid.UUID) -> None:
        self._run, self._seen = run, dict[uuid.UUID, datetime]()
        self._after: datetime | None = None
        self._offset = 0  # of what is read since then
        self.behind = False

    def new(self, client: SyncPrefectClient) -> Iterator[str]:
        """Lines in order; of a stage that prints much only some, and `behind` tells that there are more."""
        self.behind = True
        for _ in range(BATCHES):
            after = LogFilterTimestamp(after_=self._after) if self._after else None
            only = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[self._run]), timestamp=after)
            batch = client.read_logs(only, limit=BATCH, offset=self._offset, sort=LogSort.TIMESTAMP_ASC)
            for log in batch:
                if log.id not in self._seen:
                    self._seen[log.id] = log.timestamp
                    if log.name.endswith(f".{LINES}"):
                        yield log.message
            self._offset += len(batch)
            if self._offset >= BATCH or len(batch) < BATCH:
                self._move()
            if len(batch) < BATCH:
                self.behind = False
                return

    def _move(self) -> None:
        """Read on from the last line; what was read is remembered no longer than `OVERLAP`."""
        if self._seen:
            self._after = max(self._seen.values()) - OVERLAP
            self._seen = {line: when for line, when in self._seen.items() if when >= self._after}
            self._offset = 0

    def last(self, client: SyncPrefectClient) -> Iterator[str]:
        """What comes within a moment after the end."""
        time.sleep(LAST_SECONDS)
        self.behind = True
        while self.behind:
            yield from self.new(client)
