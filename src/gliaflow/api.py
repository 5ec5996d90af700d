"""What gliaflow does, as functions: the one place that puts its rooms together."""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, cast

from dvc.exceptions import DvcException

from gliaflow.core import explain
from gliaflow.core.explain import Forecast
from gliaflow.core.graph import Graph
from gliaflow.core.options import Options
from gliaflow.core.ports import Executor, Listener
from gliaflow.core.report import Message, Outcome, Report, StageResult, Summary
from gliaflow.core.scheduler import Scheduler
from gliaflow.errors import UserError, one_line
from gliaflow.machine.local import LocalExecutor
from gliaflow.machine.retry import retry
from gliaflow.relay import Relay

if TYPE_CHECKING:
    from gliaflow.store.records import Sent
    from gliaflow.workspace.fallback import Fallback
    from gliaflow.workspace.workspace import Workspace

EXECUTORS = "gliaflow.executors"  # the group of entry points under which packages bring theirs
UP_TO_DATE = "Data and pipelines are up to date."


def reproduce(
    root: Path | str = ".",
    targets: Iterable[str] | str = (),
    *,
    options: Options = Options(),  # noqa: B008
    jobs: int | None = None,
    executors: Sequence[Executor | str] = (),
    listener: Listener | None = None,
    fallback: bool = False,
    prefect: bool = True,
) -> Report:
    """Run what changed, independent stages side by side, and leave what `dvc repro` leaves.

    Inside a Prefect flow the stages become tasks of it, else of a flow of their own. When no stage changed there is no
    flow. The working directory is `root` until the end.

    Args:
        root: The folder to run in, as `dvc --cd`.
        targets: Stages, or paths of dvc.yaml or .dvc files; dvc.yaml by default.
        options: The flags of `dvc repro`.
        jobs: How many CPUs stages may reserve at once on this host; all by default.
        executors: What runs stages besides this host, or the names of their entry points, as "pools". A stage runs on
            the first that accepts it.
        listener: Hears what the run tells as it goes.
        fallback: Run every stage through `dvc repro -s`, for a DVC whose internals moved.
        prefect: Have Prefect keep the run; without, stages run in threads of this process and nothing is kept.

    Raises:
        UserError: what the user must change before anything can run.
        TransientError: the run was cancelled.
    """
    with dvc_errors():
        return run(root, targets, options, jobs, executors, listener, fallback, prefect)


def status(
    root: Path | str = ".",
    targets: Iterable[str] | str = (),
    *,
    options: Options = Options(),  # noqa: B008
) -> list[Forecast]:
    """What each stage would come to, and why, in DVC's order; changes nothing and asks no remote.

    Raises:
        UserError: what the user must change.
        NotReproduced: a stage cannot be looked at.
    """
    with dvc_errors():
        return foresee(root, targets, options)


def run(
    root: Path | str,
    targets: Iterable[str] | str,
    options: Options,
    jobs: int | None = None,
    executors: Sequence[Executor | str] = (),
    listener: Listener | None = None,
    fallback: bool = False,
    prefect: bool = True,
) -> Report:
    """As `reproduce`, with DVC's own errors where a dvc.yaml is broken."""
    if jobs is not None and jobs < 1:
        raise UserError(f"jobs is {jobs}; at least one stage must be able to run")
    if executors and (fallback or options.no_commit or options.interactive):
        raise UserError("--pools does not go with --fallback, --no-commit or --interactive; leave one of them out")
    with Relay([listener] if listener else []) as relay, _opened(root, options, relay, fallback) as workspace:
        asked = [targets] if isinstance(targets, str) else list(targets)
        graph = workspace.plan(asked)
        if executors and workspace.options.interactive:
            raise UserError("--pools asks nobody: unset core.interactive in DVC's config")
        ready = [_executor(one) if isinstance(one, str) else one for one in executors]
        if not prefect and any(one.travels for one in ready):
            raise UserError("stages are sent to other hosts through Prefect; leave --no-prefect out")
        scheduler = Scheduler(workspace, graph, [*ready, LocalExecutor(jobs)], relay)
        if not _in_a_flow() and scheduler.nothing_to_do():
            relay.hear(Message(UP_TO_DATE))
            report = _all_unchanged(graph)
        elif prefect:
            _run(scheduler, relay, asked)
            report = scheduler.report
        else:
            report = scheduler.run()
        relay.hear(Summary(report))
    return report


def foresee(root: Path | str, targets: Iterable[str] | str, options: Options) -> list[Forecast]:
    """As `status`, with DVC's own errors where a dvc.yaml is broken."""
    options = replace(options, dry=True)
    with Relay([]) as relay, _opened(root, options, relay, fallback=False) as workspace:
        return explain.forecast(workspace, workspace.plan([targets] if isinstance(targets, str) else list(targets)))


def _all_unchanged(graph: Graph) -> Report:
    return Report(tuple(StageResult(stage.address, Outcome.UNCHANGED) for stage in graph.stages))


def _opened(
    root: Path | str, options: Options, listener: Listener, fallback: bool
) -> AbstractContextManager["Workspace | Fallback"]:
    def say(text: str) -> None:
        listener.hear(Message(text))

    if fallback:
        from gliaflow.workspace.fallback import Fallback

        return Fallback(root, options, say)
    return workspace_class()(root, options, say)


def workspace_class() -> "type[Workspace]":
    """DVC's workspace.

    Raises:
        UserError: DVC's internals moved.
    """
    try:
        from gliaflow.workspace.workspace import Workspace
    except ImportError as error:
        raise UserError(f"the internals of this DVC moved ({error}); run with --fallback, or take 3.67") from None
    return Workspace


def _executor(name: str) -> Executor:
    found = {point.name: point for point in entry_points(group=EXECUTORS)}
    if name not in found:
        raise UserError(f"there is no executor '{name}'; there are: {', '.join(sorted(found)) or 'none'}")
    return cast(Callable[[], Executor], found[name].load())()


def _in_a_flow() -> bool:
    context = sys.modules.get("prefect.context")  # what nobody has imported has no flow
    return bool(context and context.FlowRunContext.get())


def _run(scheduler: Scheduler, listener: Listener, asked: Sequence[str]) -> None:
    from gliaflow.flow.tasks import run_as_tasks  # a second of imports, for those who have something to do

    if _in_a_flow():
        run_as_tasks(scheduler, listener)
    else:
        from gliaflow.flow.session import api, run_in_a_flow

        with api():
            run_in_a_flow(scheduler, listener, asked)


@contextmanager
def dvc_errors() -> Iterator[None]:
    """Raise UserError where DVC raises an error of its own."""
    try:
        yield
    except DvcException as error:
        raise UserError(one_line("; ".join([str(error), *getattr(error, "__notes__", [])]))) from error


def push(root: Path | str = ".", *, remote: str | None = None, jobs: int | None = None, verify: bool = False) -> "Sent":
    """Send every run that the remote does not know, each after its objects.

    Args:
        root: A folder of the repository.
        remote: A DVC remote; the default one by default.
        jobs: How many files are copied at once.
        verify: Read all that is there as well, and send again what is damaged.

    Raises:
        UserError: there is no remote, or it refuses.
        TransientError: it cannot be reached.
    """
    from gliaflow.store.records import Remote
    from gliaflow.store.repository import opened

    with opened(Path(root)) as repo:
        return retry(lambda: Remote(repo, remote, jobs, _silent).push(every=verify))


def _silent(_: str) -> None:
    """Print nothing: what there is to tell is returned."""
