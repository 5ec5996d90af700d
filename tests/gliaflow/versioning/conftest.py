"""The fixtures that the tests of this folder share."""

from tests.gliaflow.store.history import computed, once
from tests.gliaflow.versioning.published import ready, whole

__all__ = ["computed", "once", "ready", "whole"]
