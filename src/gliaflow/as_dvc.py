"""`dvc.repo.Repo.reproduce`, with independent stages side by side: its keywords, its order, its errors."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dvc.exceptions import DvcException, ReproductionError
from dvc.stage.exceptions import StageCmdFailedError

from gliaflow import api
from gliaflow.core.options import Options
from gliaflow.core.ports import Listener
from gliaflow.errors import CommandFailed, NotReproduced, UserError


def reproduce(
    root: Path | str = ".",
    targets: Iterable[str] | str | None = None,
    *,
    jobs: int | None = None,
    fallback: bool = False,
    pools: bool = False,
    prefect: bool = True,
    listener: Listener | None = None,
    **flags: Any,
) -> list[str]:
    """Do what `dvc.repo.Repo.reproduce` does; `flags` are its keywords, the others those of `gliaflow.reproduce`.

    Returns:
        The addresses of the stages that ran or were restored, in the order in which DVC returns them.

    Raises:
        dvc.exceptions.DvcException: as DVC does; ReproductionError when stages failed.
        UserError: what the user must change.
    """
    options = Options(**{**flags, "on_error": flags.get("on_error") or "fail"})
    try:
        if options.dry and not fallback:
            return [one.address for one in api.foresee(root, targets or (), options) if one.reproduced]
        executors = ("pools",) if pools else ()
        report = api.run(root, targets or (), options, jobs, executors, listener, fallback, prefect)
        report.raise_if_failed()
        return report.reproduced
    except NotReproduced as error:
        failed = error
    raise _as_dvc(failed, several=options.on_error == "keep-going")


def _as_dvc(error: NotReproduced, several: bool) -> Exception:
    """What DVC raises for these stages: the first one's error is the cause, or the context after "keep-going"."""
    cause = error.__cause__
    if isinstance(cause, CommandFailed):
        cause = StageCmdFailedError(cause.command, cause.code)
    elif isinstance(cause, UserError) and isinstance(cause.__cause__, DvcException):
        cause = cause.__cause__
    raised: Exception = ReproductionError(error.stages)
    raised.__context__ = cause
    if not several:
        raised.__cause__ = cause
    return raised
