"""gliaflow: run any `dvc.yaml` in parallel; DVC says what is computed, Prefect says when and where.

The floors, an import goes only downwards:

    cli                  the command `gliaflow`
    team                 stages on the hosts of a work pool: the side of the host
    as_dvc, api          the functions of this package
    hosts                stages on the hosts of a work pool: the side of the caller
    flow | workspace | versioning    Prefect; a DVC workspace; data versions
    store                DVC's cache, run-cache and remotes
    machine              this host: slots, processes, git
    relay, core          the scheduler and its doors
    errors
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gliaflow.api import reproduce, status
    from gliaflow.core.explain import Forecast
    from gliaflow.core.options import Options
    from gliaflow.core.report import Change, Outcome, Report, StageResult
    from gliaflow.errors import BadInput, CommandFailed, GliaflowError, NotReproduced, TransientError, UserError

__version__ = version("gliaflow")

_HOMES = {
    "reproduce": "api",
    "status": "api",
    "Forecast": "core.explain",
    "Options": "core.options",
    "Change": "core.report",
    "Outcome": "core.report",
    "Report": "core.report",
    "StageResult": "core.report",
    "BadInput": "errors",
    "CommandFailed": "errors",
    "GliaflowError": "errors",
    "NotReproduced": "errors",
    "TransientError": "errors",
    "UserError": "errors",
}  # each name is imported when it is first asked for: importing gliaflow loads neither DVC nor Prefect

__all__ = [
    "BadInput",
    "Change",
    "CommandFailed",
    "Forecast",
    "GliaflowError",
    "NotReproduced",
    "Options",
    "Outcome",
    "Report",
    "StageResult",
    "TransientError",
    "UserError",
    "__version__",
    "reproduce",
    "status",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
