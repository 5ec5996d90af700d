"""Which stages DVC would reproduce for some targets, in its order, and what each waits for."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from dvc.dependency import ParamsDependency
from dvc.dvcfile import PROJECT_FILE
from dvc.exceptions import DvcException
from dvc.repo.reproduce import collect_stages, get_active_graph, plan_repro
from dvc.stage.exceptions import StageFileDoesNotExistError, StageNotFound
from dvc.utils.collections import ensure_list

from gliaflow.core.options import Options
from gliaflow.errors import UserError
from gliaflow.store.remote import Remote
from gliaflow.store.repository import REPAIR, verify


def planned(repo: Any, targets: Iterable[str], options: Options, say: Callable[[str], None]) -> dict[Any, list[Any]]:
    """DVC's stages in the order in which it runs them, each with those whose outputs it reads, planned or not.

    Raises:
        DvcException: what DVC says of a broken dvc.yaml, a cycle or an unknown target.
    """
    if options.pull:
        verify(repo, say)  # before DVC knows of any remote
    steps = [] if options.all_pipelines else _targets(repo, ensure_list(list(targets) or PROJECT_FILE), options)
    if options.pull and options.run_cache and not options.dry:
        remote = None
        with suppress(UserError):  # no remote: as under DVC, what is missing is said later
            remote = Remote(repo, say=say)
        if remote and (absent := remote.absent):
            say(f"{absent}, so nothing is pulled: mend the url in .dvc/config, if it should be there")
        for record in remote.fetch().incomplete if remote and remote.keeps_runs else ():
            say(f"run {record.value[:12]} is damaged on the remote; {REPAIR}")
    graph = None
    if not options.alone:
        graph = get_active_graph(repo.index.graph)
        downstream = options.downstream and not (options.all_pipelines or options.pipeline)
        steps = plan_repro(graph, steps, pipeline=options.pipeline, downstream=downstream)
    files = {stage.path: stage.dvcfile for stage in steps}
    for stage in steps:
        stage.dvcfile = files[stage.path]  # one for all: each would read dvc.lock for itself
    return {stage: list(graph.successors(stage)) if graph else [] for stage in steps}


def _targets(repo: Any, names: list[str], options: Options) -> list[Any]:
    try:
        return list(collect_stages(repo, names, recursive=options.recursive, glob=options.glob))
    except (StageNotFound, StageFileDoesNotExistError) as error:
        with suppress(DvcException):  # the rest may be broken as well
            known = [stage.addressing for stage in repo.index.stages]
            near = [match for name in names if name not in known for match in get_close_matches(name, known)]
            if near:
                error.add_note(f"the nearest names are {', '.join(map(repr, near))}")
        raise


def is_file(dep: Any) -> bool:
    """Whether a dependency is a file or folder of this machine."""
    return not isinstance(dep, ParamsDependency) and bool(dep.fs) and dep.protocol == "local"


def sources(stages: Iterable[Any]) -> set[str]:
    """The paths that the stages read and none of them makes."""
    stages = list(stages)
    made = {out.fs_path for stage in stages for out in stage.outs}
    above = {str(parent) for path in made for parent in Path(path).parents}
    read = {dep.fs_path for stage in stages if stage.cmd for dep in stage.deps if is_file(dep)}
    return {p for p in read - made - above if made.isdisjoint(map(str, Path(p).parents))}


def maker(repo: Any, path: str) -> str | None:
    """The stage that makes what lies at `path`, planned or not."""
    with suppress(DvcException):
        return str(repo.find_outs_by_path(path, strict=False)[0].stage.addressing)
    return None
