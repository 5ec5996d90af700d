"""A client of the test's Prefect server."""

from collections.abc import Iterator

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client


@pytest.fixture
def client(api: str) -> Iterator[SyncPrefectClient]:
    """Of the test's server."""
    assert api.startswith("http://127.0.0.1:")
    with get_client(sync_client=True) as made:
        yield made
