"""The fixtures that the tests of this folder share."""

from tests.gliaflow.store.history import computed, once

__all__ = ["computed", "once"]
