"""What gliaflow does, as functions: the one place that puts its rooms together."""

import signal
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from importlib.metadata import entry_points
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from gliaflow.core import explain
from gliaflow.core.explain import Forecast
from gliaflow.core.graph import Graph
from gliaflow.core.job import shows
from gliaflow.core.options import Options, Part
from gliaflow.core.ports import Executor, Listener
from gliaflow.core.report import Measured, Message, Outcome, Report, RunBegan, StageResult, Summary
from gliaflow.core.scheduler import Scheduler
from gliaflow.errors import GliaflowError, Interrupted, TransientError, UserError, told
from gliaflow.export.configured import THIS_MACHINE, Server, configured
from gliaflow.export.keeping import Several, kept
from gliaflow.journal.folder import folder, home, top
from gliaflow.journal.seconds import last
from gliaflow.machine.local import LocalExecutor
from gliaflow.machine.retry import retry
from gliaflow.relay import Relay
from gliaflow.resources.slots import usable_cpus
from gliaflow.signals import ended_by_signals
from gliaflow.terminal.pseudo import Shown

if TYPE_CHECKING:
    from gliaflow.experiments.gc import Waste
    from gliaflow.experiments.making.setting import Wanted
    from gliaflow.experiments.results import Experiment, Progress, SweepReport
    from gliaflow.experiments.search.evolution import EvolutionOptions
    from gliaflow.experiments.search.generations import Halving, SearchReport
    from gliaflow.store.transfer import Transfer
    from gliaflow.versioning.diff import Difference
    from gliaflow.versioning.versions import Version
    from gliaflow.workspace.fallback import Fallback
    from gliaflow.workspace.workspace import Workspace

FLAGGED = ("pools", "slurm")  # the executors that have a flag of their own
EXECUTORS = "gliaflow.executors"  # the group of entry points under which packages bring theirs
Say = Callable[[str], None]
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
    live: bool = False,
    audit: bool = False,
) -> Report:
    """Run what changed, independent stages side by side, and leave what `dvc repro` leaves.

    Inside a Prefect flow the stages become tasks of it. Else a run in which something has to be done keeps a journal,
    for `gliaflow ui`; a configured Prefect server is told of the run while it goes on. What that server does has no
    influence on the stages. The working directory is `root` until the end.

    Args:
        root: The folder to run in, as `dvc --cd`.
        targets: Stages, or paths of dvc.yaml or .dvc files; dvc.yaml by default.
        options: The flags of `dvc repro`, but for `dry`: that is `status`.
        jobs: How many CPUs stages may reserve at once on this host; all by default.
        executors: What runs stages besides this host, or the names of their entry points, as "pools". A stage runs on
            the first that accepts it.
        listener: Hears what the run tells as it goes.
        fallback: Run every stage through `dvc repro -s`, for a DVC whose internals moved.
        prefect: Tell the configured Prefect server of the run, if there is one.
        live: Start the Prefect server of this machine, if none is configured, and show the run there from the start.
        audit: Look at the stages that run in this workspace: which files they open and do not declare.

    Returns:
        What became of each stage; also where stages failed.

    Raises:
        UserError: what the user must change before anything can run.
        TransientError: the run was cancelled.
    """
    with dvc_errors():
        return run(root, targets, options, jobs, executors, listener, fallback, prefect, live, audit=audit)


def status(
    root: Path | str = ".",
    targets: Iterable[str] | str = (),
    *,
    options: Options = Options(),  # noqa: B008
    executors: Sequence[Executor | str] = (),
) -> list[Forecast]:
    """What each stage would come to, and why; changes nothing and asks no remote.

    Args:
        root: The folder to look in, as `dvc --cd`.
        targets: Stages, or paths of dvc.yaml or .dvc files; dvc.yaml by default.
        options: The flags of `dvc repro`.
        executors: As those of `reproduce`; one that submits scripts tells which.

    Returns:
        A forecast for each stage, in DVC's order.

    Raises:
        UserError: what the user must change.
        NotReproduced: a stage cannot be looked at.
    """
    with dvc_errors():
        return foresee(root, targets, options, executors)


def run(
    root: Path | str,
    targets: Iterable[str] | str,
    options: Options,
    jobs: int | None = None,
    executors: Sequence[Executor | str] = (),
    listener: Listener | None = None,
    fallback: bool = False,
    prefect: bool = True,
    live: bool = False,
    part: Part | None = None,
    audit: bool = False,
) -> Report:
    """As `reproduce`, with DVC's own errors where a dvc.yaml is broken; `part` tells of what the run is one."""
    if jobs is not None and jobs < 1:
        raise UserError(f"jobs is {jobs}; at least one stage must be able to run")
    if options.dry and not fallback:  # which has its own word for it
        raise UserError("dry changes nothing, so nothing is reproduced: gliaflow.status tells what would run")
    if audit and fallback:
        raise UserError("--audit does not go with --fallback, which runs stages through dvc; leave one of them out")
    flag = next((f"--{one}" for one in executors if one in FLAGGED), "--executor")
    if executors and (fallback or options.interactive):
        rest = ", or give --no-slurm if a profile makes it the default" if flag == "--slurm" else ""
        raise UserError(f"{flag} does not go with --fallback or --interactive; leave one of them out{rest}")
    with Relay([listener] if listener else []) as relay, _opened(root, options, relay, fallback, part) as workspace:
        asked = [targets] if isinstance(targets, str) else list(targets)
        graph = workspace.plan(asked)
        if executors and workspace.options.interactive:
            raise UserError(f"{flag} asks nobody: unset core.interactive in DVC's config")
        ready = _executors(executors)
        pools = any(one.travels for one in ready)
        if pools and options.no_commit:
            raise UserError(f"{flag} does not go with --no-commit: what other hosts make comes through caches")
        if pools and not prefect:
            raise UserError("stages are sent to other hosts through Prefect; leave --no-prefect out")
        _check_left(graph, ready)
        alone = workspace.options.serial or graph.is_chain or (jobs or usable_cpus()) == 1
        terminal = listener.terminal if isinstance(listener, Shown) else None
        here: Executor = LocalExecutor(jobs, stdin=alone and not part and not _in_a_flow(), terminal=terminal)
        if audit:
            here = _watching(here, workspace)
            ready = [one if one.travels else _watching(one, workspace) for one in ready]
        heard: list[Listener] = [relay]
        where = part.journals if part else folder(Path())
        seconds = last(where) if where else {}
        scheduler = Scheduler(workspace, graph, [*ready, here], Several(heard), seconds=seconds)
        if not _in_a_flow() and scheduler.nothing_to_do():
            relay.hear(Message(UP_TO_DATE))
            report = _all_unchanged(graph)
            relay.hear(Summary(report))
            return report
        with ExitStack() as stack:
            commit = workspace.commit
            if where:
                tags, is_flow = part.tags if part else (), pools or _in_a_flow()
                facts = {"cache": workspace.cache, "commit": commit, "plots": workspace.plots}
                keeping = _kept(where, tags, facts, is_flow, scheduler.cancel, _saying(relay), prefect, live)
                heard.append(stack.enter_context(keeping))
            _run(scheduler, Several(heard), asked, pools, commit)
        return scheduler.report


@contextmanager
def _kept(
    where: Path,
    tags: Sequence[str],
    facts: Mapping[str, object],
    is_flow: bool,
    cancel: Callable[[], None],
    say: Say,
    prefect: bool,
    live: bool = False,
) -> Iterator[Listener]:
    """The listener that keeps a run which has something to do, in a journal in the folder `where`."""
    own = home()
    with ExitStack() as stack:
        server = stack.enter_context(_server(own, say, live)) if prefect and not is_flow else None
        yield stack.enter_context(
            kept(where, own, {**facts, "flow_run": is_flow}, [*_tags(), *tags], server, say, cancel)
        )


@contextmanager
def _server(own: Path, say: Say, live: bool) -> Iterator[tuple[str, Server] | None]:
    """The server that is told of a run, and what it is called in the marks of journals; None if there is none."""
    server = configured()
    if server or not live:
        yield (server.url, server) if server else None
        return
    from gliaflow.flow.server import shared

    with ExitStack() as stack:
        try:
            url = stack.enter_context(shared(own, lambda: say("starting a Prefect server to show this run")))
        except OSError as error:  # no stage needs it; a TimeoutError is one
            say(f"the run is not shown live: {told(error)}")
            yield None
            return
        say(f"this run is shown at {url.removesuffix('/api')}")
        yield THIS_MACHINE, Server(url)


def foresee(
    root: Path | str, targets: Iterable[str] | str, options: Options, executors: Sequence[Executor | str] = ()
) -> list[Forecast]:
    """As `status`, with DVC's own errors where a dvc.yaml is broken."""
    options = replace(options, dry=True)
    with Relay([]) as relay, _opened(root, options, relay, fallback=False) as workspace:
        graph = workspace.plan([targets] if isinstance(targets, str) else list(targets))
        return explain.forecast(workspace, graph, partial(shows, _executors(executors)))


def _all_unchanged(graph: Graph) -> Report:
    return Report(tuple(StageResult(stage.address, Outcome.UNCHANGED) for stage in graph.stages))


def _opened(
    root: Path | str, options: Options, listener: Listener, fallback: bool, part: Part | None = None
) -> AbstractContextManager["Workspace | Fallback"]:
    say = _saying(listener)
    if fallback:
        from gliaflow.workspace.fallback import Fallback

        return Fallback(root, options, say)
    if part:
        from gliaflow.workspace.twins import Twins

        return workspace_class()(root, options, say, Twins(part.twins, part.name))
    return workspace_class()(root, options, say)


def _saying(listener: Listener) -> Say:
    """What passes lines on as messages of a run."""

    def say(text: str) -> None:
        listener.hear(Message(text))

    return say


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


def _watching(inner: Executor, workspace: "Workspace | Fallback") -> Executor:
    from gliaflow.audit.watch.executor import Watching

    assert isinstance(workspace, workspace_class())  # --fallback was refused
    return Watching(inner, workspace.repo)


def check(
    root: Path | str = ".", targets: Iterable[str] | str = (), *, fix: bool = False, say: Say | None = None
) -> dict[str, tuple[str, ...]]:
    """What the Python programs of stages import of the repository and do not declare; nothing runs.

    Args:
        root: The folder to look in, as `dvc --cd`.
        targets: Stages, or paths of dvc.yaml files; all stages of the repository by default.
        fix: Write what is missing into each dvc.yaml, and leave every other byte of it.
        say: Gets what happens, in lines.

    Returns:
        By stage, the files that its `deps:` lack, or lacked, seen from `root`. Stages that lack nothing are left out.

    Raises:
        UserError: what the user must change, as a dvc.yaml that is broken or has no place for the lines.
    """
    from gliaflow.audit.check import declare, undeclared

    asked = [targets] if isinstance(targets, str) else list(targets)
    with _repository(root, say) as repo:
        if not fix:
            return undeclared(repo, asked)
        with repo.lock:
            return declare(repo, asked)


def _check_left(graph: Graph, executors: Sequence[Executor]) -> None:
    """Look for stages that a killed run has left running on a cluster, which no other place may run beside that.

    Raises:
        UserError: there is one, and no executor would take it over.
    """
    from gliaflow.slurm.kept import BELOW

    root = top(Path())
    if not root or not (root / BELOW).is_dir():
        return
    from gliaflow.slurm.earlier import running
    from gliaflow.slurm.executor import SlurmExecutor

    if any(isinstance(one, SlurmExecutor) for one in executors):
        return
    for address, number in running(root, (stage.address for stage in graph.stages)).items():
        raise UserError(
            f"stage '{address}' still runs as job {number} of a run that was killed; "
            f"`gliaflow repro --slurm` takes it over, `scancel {number}` ends it"
        )


def default_executors(root: Path | str = ".") -> list[str]:
    """The executors that `gliaflow repro` uses without being told to: those that a profile makes the default.

    Raises:
        BadInput: the profile is wrong.
    """
    found = top(Path(root))
    if not found or not (found / ".gliaflow").is_dir():  # what is below takes a moment to be imported
        return []
    from gliaflow.slurm.site.profile import read_profile

    return ["slurm"] if read_profile(found).default else []


def _executors(wanted: Sequence[Executor | str]) -> list[Executor]:
    return [_executor(one) if isinstance(one, str) else one for one in wanted]


def _executor(name: str) -> Executor:
    """An executor by the name of its entry point: `slurm`, or with the name of a profile, `slurm:gpu`."""
    found = {point.name: point for point in entry_points(group=EXECUTORS)}
    entry, colon, profile = name.partition(":")
    if entry not in found:
        raise UserError(f"there is no executor '{entry}'; there are: {', '.join(sorted(found)) or 'none'}")
    made = cast(Callable[..., Executor], found[entry].load())
    if not colon:
        return made()
    if not profile:
        raise UserError(f"'{name}' names no profile; leave the colon out, or write a name behind it")
    if not signature(made).parameters:
        raise UserError(f"the executor '{entry}' has no profiles; leave :{profile} out")
    return made(profile)


def _in_a_flow() -> bool:
    context = sys.modules.get("prefect.context")  # what nobody has imported has no flow
    return bool(context and context.FlowRunContext.get())


def _tags() -> list[str]:
    """Those with which the caller has Prefect mark all that runs in a block."""
    context = sys.modules.get("prefect.context")
    return sorted(context.TagsContext.get().current_tags) if context else []


def _rows(found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Metrics as a table for a person."""
    if not found:
        return []
    from gliaflow.store.metrics import changes

    return changes(found)


def _run(scheduler: Scheduler, listener: Listener, asked: Sequence[str], pools: bool, commit: str) -> None:
    """Run the stages: in threads of this process, or, where there is a flow or other hosts, as Prefect's tasks."""

    def metrics(report: Report) -> list[dict[str, Any]]:
        found = _metrics(scheduler.graph, report, commit)
        rows = _rows(found)
        listener.hear(Measured(rows, found))
        return rows

    listener.hear(RunBegan(scheduler.graph, asked, scheduler.options))
    if _in_a_flow():
        from gliaflow.flow.tasks import run_as_tasks

        run_as_tasks(scheduler, listener, metrics)
    elif pools:
        from gliaflow.flow.session import api, run_in_a_flow

        with api():
            run_in_a_flow(scheduler, listener, asked, metrics)
    else:
        try:
            metrics(scheduler.run())
        except InterruptedError:
            if not scheduler.cancelled:
                raise
            raise TransientError("cancelled in Prefect; the next run carries on") from None
    listener.hear(Summary(scheduler.report))


def _metrics(graph: Graph, report: Report, commit: str) -> list[dict[str, Any]]:
    """The metrics of the workspace, and what they were at the commit, if a stage may have changed any."""
    reproduced = set(report.reproduced)
    if any(stage.metrics and stage.address in reproduced for stage in graph.stages):
        with suppress(UserError, ImportError):  # the stages are done and recorded, whatever becomes of a table
            from gliaflow.store.metrics import values

            return values(Path(), commit or "HEAD")
    return []


def sweep(
    root: Path | str = ".",
    params: Sequence[str] = (),
    targets: Iterable[str] | str = (),
    *,
    rows: Path | str | None = None,
    name: str | None = None,
    options: Options = Options(),  # noqa: B008
    jobs: int | None = None,
    executors: Sequence[str] = (),
    copy_paths: Sequence[str] = (),
    message: str | None = None,
    at_once: int | None = None,
    hear: "Callable[[Progress | Experiment], None] | None" = None,
    say: Say | None = None,
    prefect: bool = True,
) -> "SweepReport":
    """Make a DVC experiment of every set of parameters, side by side; the workspace stays as it is.

    What several experiments would run on the same data, one of them runs. A sweep that was ended goes on when it is
    called again: what is there already is not made anew.

    Args:
        root: The folder to run in, as `dvc --cd`.
        params: What is changed, in the grammar of `dvc exp run -S`: `train.epochs=1,2`, `split.fold=range(1,6)`.
        targets: Stages, or paths of dvc.yaml or .dvc files; dvc.yaml by default.
        rows: A table of further parameters, with a set in each row: CSV, TSV, JSON, JSON Lines or YAML.
        name: What the names of the experiments begin with; by default DVC makes names up.
        options: The flags of `dvc repro`, for each experiment.
        jobs: How many CPUs the stages of all experiments may reserve at once on this host; all by default.
        executors: The names of entry points whose executors run stages besides this host, as "pools".
        copy_paths: Files and folders that git does not track and experiments need.
        message: That of the commits of experiments.
        at_once: How many experiments are in work at once; by default one more than CPUs.
        hear: Told what each experiment does, and what became of it.
        say: Gets what else happens, in lines.
        prefect: Tell the configured Prefect server of the runs, if there is one.

    Returns:
        What became of each experiment, in the order of the sets; also where some failed.

    Raises:
        UserError: what the user must change before anything can run.
    """
    from gliaflow.experiments.grid import sets
    from gliaflow.experiments.making.setting import Wanted
    from gliaflow.experiments.sweep import Sweep

    if jobs is not None and jobs < 1:
        raise UserError(f"jobs is {jobs}; at least one stage must be able to run")
    if at_once is not None and at_once < 1:
        raise UserError(f"at_once is {at_once}; at least one experiment must be in work")
    asked = [targets] if isinstance(targets, str) else list(targets)
    with dvc_errors():
        found = sets(params, Path(rows) if rows else None)
        wanted = Wanted(
            tuple(asked), options, jobs, tuple(executors), prefect, name, tuple(map(str, copy_paths)), message
        )
        planned = Sweep(Path(root), found, wanted, say or _silent)
        return planned.run(hear or _unheard, at_once or (jobs or usable_cpus()) + 1)


def search(
    stage: str,
    space: Path | str,
    metric: str,
    root: Path | str = ".",
    *,
    minimize: bool = False,
    evolution: "EvolutionOptions | None" = None,
    halving: "Halving | None" = None,
    jobs: int | None = None,
    pull: bool = False,
    copy_paths: Sequence[str] = (),
    hear: "Callable[[Progress | Experiment], None] | None" = None,
    say: Say | None = None,
    prefect: bool = True,
) -> "SearchReport":
    """Search the parameters of a stage by evolution, on workers that stay warm; the workspace stays as it is.

    The stage offers `load(params) -> data` and `train(data, params) -> iterator of metrics` in the module that it
    names under `meta: {search: MODULE}`. A search that was ended goes on when it is called again.

    Args:
        stage: The stage.
        space: A file that says which of its parameters vary, and between which values.
        metric: What `train` yields under this name after each epoch; the last one counts.
        root: The folder to run in, as `dvc --cd`.
        minimize: Whether the smallest value is the best one.
        evolution: How the population evolves.
        halving: Which individuals are trained on after some epochs; all by default.
        jobs: How many CPU slots workers may hold at once; all by default. With GPUs there is a worker for each.
        pull: Fetch from the remote what is missing of what the stage reads.
        copy_paths: Files and folders that git does not track and the stage needs.
        hear: Told what each individual does, and what became of it.
        say: Gets what else happens, in lines.
        prefect: Tell the configured Prefect server of the generations, if there is one.

    Returns:
        What came of each individual.

    Raises:
        UserError: what the user must change.
        TransientError: the search was cancelled.
    """
    from gliaflow.experiments.making.setting import Wanted
    from gliaflow.experiments.search.evolution import EvolutionOptions
    from gliaflow.experiments.search.generations import Goal, Halving, Sought
    from gliaflow.experiments.search.search import Search
    from gliaflow.experiments.search.space import read

    if jobs is not None and jobs < 1:
        raise UserError(f"jobs is {jobs}; at least one individual must be able to train")
    sought = Sought(
        stage,
        tuple(read(Path(space))),
        Goal(metric, minimize),
        evolution or EvolutionOptions(),
        halving or Halving(),
        jobs or usable_cpus(),
    )
    wanted = Wanted((stage,), Options(pull=pull), jobs, prefect=prefect, copy_paths=tuple(map(str, copy_paths)))
    tell = say or _silent
    with dvc_errors():
        searching = Search(Path(root), sought, wanted, tell)
        where, cache = Path(searching.setting.journals), searching.setting.cache

        def keep(tags: Sequence[str], cancel: Callable[[], None]) -> AbstractContextManager[Listener]:
            return _kept(where, tags, {"cache": cache}, False, cancel, tell, prefect)

        try:
            return searching.run(_reproduced, keep, hear or _unheard)
        except InterruptedError:
            raise TransientError("cancelled in Prefect; the same search goes on where this one ended") from None


def gc(
    root: Path | str = ".",
    *,
    keep: Collection[str] = (),
    cloud: bool = False,
    remote: str | None = None,
    projects: Collection[Path | str] = (),
    dry: bool = False,
    say: Say | None = None,
) -> "Waste":
    """Remove what sweeps have left: experiments, and of cache and run-cache what nobody else names.

    What a branch, a tag, a version, a stash, a remote branch or the workspace names stays, with all its history.

    Args:
        root: A folder of the repository.
        keep: Names of experiments that stay.
        cloud: Remove it from the DVC remote too.
        remote: That DVC remote; the default one by default.
        projects: Other repositories that use this cache. What they name stays too. A cache outside of `.dvc` keeps all
            data unless they are named.
        dry: Change nothing; only find out what is to go.
        say: Gets what happens, in lines.

    Returns:
        What has gone, or is to go.

    Raises:
        UserError: a sweep runs, there is no experiment of such a name, or a remote may know what is not known here.
        TransientError: a remote cannot be reached.
    """
    from gliaflow.experiments.gc import Collector
    from gliaflow.experiments.guard import cleaning
    from gliaflow.experiments.making.setting import folder as experiments

    with _repository(root, say) as repo, repo.lock, cleaning(experiments(repo)):
        collector = Collector(
            repo, experiments(repo), keep, cloud or remote is not None, remote, projects, say or _silent
        )
        found = collector.find()
        if not dry:
            collector.remove(found)
        return found


def serve_experiments() -> None:
    """Be a runner of a sweep: a process that makes experiments as it is told on its standard input."""
    from gliaflow.experiments.making.runner import serve

    try:
        with ended_by_signals():
            serve(_reproduced)
    except KeyboardInterrupt as error:
        sys.exit(128 + (error.number if isinstance(error, Interrupted) else signal.SIGINT))


def _reproduced(root: Path, wanted: "Wanted", part: Part, listener: Listener) -> Report:
    """A run as a part of a sweep or a search."""
    jobs, executors, prefect = wanted.jobs, wanted.executors, wanted.prefect
    with dvc_errors():
        return run(root, wanted.targets, wanted.options, jobs, executors, listener, prefect=prefect, part=part)


@contextmanager
def dvc_errors() -> Iterator[None]:
    """Raise UserError where DVC raises an error of its own, or stumbles over a value in the user's files."""
    try:
        yield
    except GliaflowError:
        raise
    except Exception as error:
        from gliaflow.words.errors import words

        if told := words(error):
            raise UserError(told) from error
        raise


def push(
    root: Path | str = ".",
    *,
    remote: str | None = None,
    jobs: int | None = None,
    verify: bool = False,
    say: Say | None = None,
) -> "Transfer":
    """Send every run that the remote does not know, each after its objects.

    Args:
        root: A folder of the repository.
        remote: A DVC remote; the default one by default.
        jobs: How many files are copied at once; as many as the remote takes by default.
        verify: Read all that is there as well, and send again what is damaged.
        say: Gets what happens, in lines.

    Returns:
        What was sent, and what could not be.

    Raises:
        UserError: there is no remote, or it refuses.
        TransientError: it cannot be reached.
    """
    from gliaflow.store.remote import Remote

    _check_jobs(jobs)
    with _repository(root, say) as repo:
        return retry(lambda: Remote(repo, remote, jobs, say or _silent).push(verify=verify))


def fetch(
    root: Path | str = ".", *, remote: str | None = None, jobs: int | None = None, say: Say | None = None
) -> "Transfer":
    """Fetch every run that the remote knows, with its objects, each hashed again.

    Args:
        root: A folder of the repository.
        remote: A DVC remote; the default one by default.
        jobs: How many files are copied at once; as many as the remote takes by default.
        say: Gets what happens, in lines.

    Returns:
        What was fetched, and what could not be.

    Raises:
        UserError: there is no remote, it cannot be listed, or it refuses.
        TransientError: it cannot be reached.
    """
    from gliaflow.store.remote import Remote

    _check_jobs(jobs)
    with _repository(root, say) as repo:
        return retry(lambda: Remote(repo, remote, jobs, say or _silent).fetch_runs())


def publish(
    name: str,
    root: Path | str = ".",
    *,
    licence: str | None = None,
    remote: str | None = None,
    say: Say | None = None,
) -> "Version":
    """Name the data of HEAD as a version: a tag that holds a card, also on the git remote that the team shares.

    Args:
        name: The version, a name that git takes for a tag.
        root: A folder of the repository.
        licence: That of the data; by default what data/README.md says.
        remote: The DVC remote that must hold all of the data; the default one by default.
        say: Gets what happens, in lines.

    Returns:
        The version.

    Raises:
        UserError: the name is taken, something is not committed or not on the remote, or no licence is known.
        TransientError: a remote cannot be reached.
    """
    from gliaflow.versioning.publish import publish as published

    with _repository(root, say) as repo:
        return published(repo, name, licence, remote, say or _silent)


def versions(root: Path | str = ".", *, say: Say | None = None) -> "list[Version]":
    """All data versions of a repository, the newest first.

    Args:
        root: A folder of the repository.
        say: Gets a line for each tag that is called a version and holds no card of one.

    Returns:
        The versions.

    Raises:
        UserError: there is no such repository.
    """
    from gliaflow.versioning.versions import versions as listed

    with _repository(root, say) as repo:
        return listed(repo, say)


def version(name: str, root: Path | str = ".") -> "Version":
    """One data version.

    Args:
        name: The version.
        root: A folder of the repository.

    Returns:
        The version, as its card says.

    Raises:
        UserError: there is no such version, or its tag holds no card.
    """
    from gliaflow.versioning.versions import read

    with _repository(root) as repo:
        return read(repo, name)


def get(
    name: str,
    out: Path | str | None = None,
    root: Path | str = ".",
    *,
    remote: str | None = None,
    say: Say | None = None,
) -> "Version":
    """Write every output of a version into a new folder, complete or not at all; each is hashed again.

    Args:
        name: The version.
        out: The new folder; named as the version by default.
        root: A folder of the repository.
        remote: A DVC remote; the default one by default.
        say: Gets what happens, in lines.

    Returns:
        The version.

    Raises:
        UserError: there is no such version, there is something at `out`, or data is damaged or missing.
        TransientError: the remote cannot be reached.
    """
    from gliaflow.versioning.versions import get as written

    target = Path(out or name).absolute()
    with _repository(root, say) as repo:
        return written(repo, name, target, remote, say or _silent)


def compare(old: str, new: str, root: Path | str = ".", *, remote: str | None = None) -> "Difference":
    """What changed from one version to another.

    Args:
        old: The version to compare with.
        new: The version that is compared, as a rule the newer one.
        root: A folder of the repository.
        remote: The DVC remote that has the data which commands of the project compare; the default one by default.

    Returns:
        The outputs and metrics that differ, and what the commands that stages name under `meta: {diff: …}` say.

    Raises:
        UserError: there is no such version, or data that a command is to read is damaged or missing.
        TransientError: the remote cannot be reached.
    """
    from gliaflow.versioning.diff import compare as compared

    with _repository(root) as repo:
        return compared(repo, old, new, remote)


def _repository(root: Path | str, say: Say | None = None) -> AbstractContextManager[Any]:
    from gliaflow.store.repository import opened

    return opened(Path(root), say or _silent)


def _check_jobs(jobs: int | None) -> None:
    if jobs is not None and jobs < 1:
        raise UserError(f"--jobs is {jobs}; at least one file must be copied at once")


def _unheard(_: "Progress | Experiment") -> None:
    """Show nothing: what became of experiments is returned."""


def _silent(_: str) -> None:
    """Print nothing: what there is to tell is returned."""
