"""gliaflow: run any `dvc.yaml` in parallel; DVC says what is computed, Prefect says when and where.

The floors, an import goes only downwards:

    cli                              the command `gliaflow`
    team                             stages on the hosts of a work pool: the side of the host
    as_dvc                           `reproduce` with DVC's keywords and errors
    api                              the functions of this package
    experiments                      many runs with parameters of their own: sweeps, searches, what they leave
    hosts | slurm                    stages on the hosts of a work pool: the side of the caller; on a Slurm cluster
    flow | workspace | versioning    Prefect; a DVC workspace; data versions
    audit                            what stages read and write beside what they declare
    export | lockfiles | page        what journals hold, sent to Prefect; dvc.lock, byte for byte; a run as a page
    memo | store | journal           what DVC hashes, once; its cache, run-cache and remotes; what runs told
    machine                          this host: slots, processes, git
    relay | terminal | resources     passes events to listeners; what terminals show; what stages hold and use
    made                             what stages made, read again by its hash
    core                             the scheduler and its doors
    errors                           what can go wrong for a user
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from gliaflow.api import (
        check,
        compare,
        fetch,
        gc,
        get,
        publish,
        push,
        reproduce,
        search,
        status,
        sweep,
        version,
        versions,
    )
    from gliaflow.core.explain import Forecast
    from gliaflow.core.options import Options
    from gliaflow.core.ports import Executor, Listener
    from gliaflow.core.report import (
        Began,
        Change,
        Event,
        Line,
        Message,
        Outcome,
        Report,
        Retry,
        RunBegan,
        RunStopped,
        StageEnded,
        StageResult,
        Summary,
        Undeclared,
    )
    from gliaflow.errors import BadInput, CommandFailed, GliaflowError, NotReproduced, TransientError, UserError
    from gliaflow.experiments.gc import Place, Waste
    from gliaflow.experiments.results import Experiment, Fate, Progress, SweepReport
    from gliaflow.experiments.search.evolution import EvolutionOptions
    from gliaflow.experiments.search.generations import Goal, Halving, SearchReport
    from gliaflow.experiments.search.individuals import Individual
    from gliaflow.experiments.search.workers import Memory
    from gliaflow.store.transfer import Transfer
    from gliaflow.versioning.diff import Difference
    from gliaflow.versioning.versions import Version

    __version__: str

_NAMES = {
    "api": [
        *["reproduce", "status", "check", "sweep", "search", "gc"],
        *["push", "fetch", "publish", "versions", "version", "get", "compare"],
    ],
    "core.explain": ["Forecast"],
    "core.options": ["Options"],
    "core.ports": ["Executor", "Listener"],
    "core.report": [
        *["Change", "Outcome", "Report", "StageResult", "Undeclared"],
        *["Began", "Event", "Line", "Message", "Retry", "RunBegan", "RunStopped", "StageEnded", "Summary"],
    ],
    "errors": ["BadInput", "CommandFailed", "GliaflowError", "NotReproduced", "TransientError", "UserError"],
    "experiments.gc": ["Place", "Waste"],
    "experiments.results": ["Experiment", "Fate", "Progress", "SweepReport"],
    "experiments.search.evolution": ["EvolutionOptions"],
    "experiments.search.generations": ["Goal", "Halving", "SearchReport"],
    "experiments.search.individuals": ["Individual"],
    "experiments.search.workers": ["Memory"],
    "store.transfer": ["Transfer"],
    "versioning.diff": ["Difference"],
    "versioning.versions": ["Version"],
}  # by module; each name is imported when it is first asked for: importing gliaflow loads neither DVC nor Prefect
_HOMES = {name: module for module, names in _NAMES.items() for name in names}

__all__ = [
    "BadInput",
    "Began",
    "Change",
    "CommandFailed",
    "Difference",
    "Event",
    "EvolutionOptions",
    "Executor",
    "Experiment",
    "Fate",
    "Forecast",
    "GliaflowError",
    "Goal",
    "Halving",
    "Individual",
    "Line",
    "Listener",
    "Memory",
    "Message",
    "NotReproduced",
    "Options",
    "Outcome",
    "Place",
    "Progress",
    "Report",
    "Retry",
    "RunBegan",
    "RunStopped",
    "SearchReport",
    "StageEnded",
    "StageResult",
    "Summary",
    "SweepReport",
    "Transfer",
    "TransientError",
    "Undeclared",
    "UserError",
    "Version",
    "Waste",
    "__version__",
    "check",
    "checkout",
    "compare",
    "fetch",
    "gc",
    "get",
    "publish",
    "push",
    "reproduce",
    "search",
    "status",
    "sweep",
    "version",
    "versions",
]


def checkout(repository: str, rev: str) -> "AbstractContextManager[Path]":
    """A workspace with one commit of a repository; nobody else uses the folder until the block ends.

    Args:
        repository: The URL or path of a git repository that holds a DVC repository.
        rev: A branch, a tag or a whole commit id.

    Returns:
        A context manager that yields the folder. Nothing of an earlier use is beside the commit in it.

    Raises:
        UserError: the repository or the revision cannot be had, when the block begins.
        TransientError: the repository cannot be reached, when the block begins.
    """
    from gliaflow.team.checkout import checked_out

    return checked_out(repository, rev)


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version("gliaflow")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
