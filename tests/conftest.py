from collections.abc import Callable

import pytest

from tests.clones import Clone


@pytest.fixture(scope="session")
def make_clone(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Clone]:
    """Make another clone of the working tree."""
    return lambda: Clone(tmp_path_factory.mktemp("clone"))
