"""One experiment, from a set of parameters to a commit that `dvc exp` knows: what `dvc exp run --temp` does.

A process of its own does this, a runner; it does one experiment at a time.
"""

import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dvc.dependency import ParamsDependency
from dvc.env import DVC_EXP_BASELINE_REV, DVC_EXP_NAME, DVC_ROOT
from dvc.repo import Repo
from dvc.repo.checkout import checkout
from dvc.repo.experiments.executor.base import BaseExecutor
from dvc.repo.experiments.refs import EXEC_BASELINE, EXEC_BRANCH, ExpRefInfo
from dvc.scm import add_no_submodules
from dvc.stage import PipelineStage
from dvc.stage.utils import _get_stage_files
from dvc.utils.serialize import parse_yaml

from gliaflow.core.options import Part
from gliaflow.core.ports import Listener
from gliaflow.core.report import Report
from gliaflow.errors import UserError, told
from gliaflow.experiments.hashes import in_folder
from gliaflow.experiments.ledger import LEDGER, Ledger
from gliaflow.experiments.making.setting import Setting, Wanted
from gliaflow.experiments.making.workspaces import ExperimentWorkspace
from gliaflow.experiments.results import Experiment, Fate
from gliaflow.machine.git import git
from gliaflow.store.metrics import metrics
from gliaflow.store.repository import opened, silent
from gliaflow.workspace.twins import Twins

LOCKS, TWINS = "locks", "twins"  # folders beside the workspaces: of sets of parameters, and of stages

Reproduce = Callable[[Path, Wanted, Part, Listener], Report]
"""Runs the pipeline in a workspace, as a part of the sweep."""


@dataclass(frozen=True)
class Order:
    """One experiment that a runner is to make."""

    key: str
    """The identity of its set of parameters."""
    name: str
    overrides: Mapping[str, list[str]]
    """By file, as `ParameterSet` has them."""
    params: Mapping[str, str]


def perform(
    setting: Setting, order: Order, reproduce: Reproduce, listener: Listener, say: Callable[[str], None]
) -> Experiment:
    """Make an experiment: run it in a workspace of its own, commit it there, and bring the commit home."""
    began, top, home = time.monotonic(), Path(setting.top), Path(setting.folder, order.key)
    ledger = Ledger(Path(setting.folder, LEDGER))
    locks, wait = Twins(Path(setting.folder, LOCKS), order.name), "waits for another sweep that makes it too"
    with locks.alone(order.key, lambda: say(wait)):
        if not setting.wanted.options.force and (known := ledger.experiment(order.key, top)):
            return known
        workspace = ExperimentWorkspace(home, top)
        goes_on = workspace.ready
        if not goes_on:
            prepare(workspace, setting, order.overrides)
        where = workspace.root / setting.wdir
        part = Part(Path(setting.journals), Path(setting.folder, TWINS), order.name, ("experiment", order.name))
        with _environment(setting, order):
            report = reproduce(where, setting.wanted, part, listener)
        seconds, stages = time.monotonic() - began, {one.address: one.outcome.value for one in report.results}
        if report.failed and report.on_error != "ignore":
            failed = report.failed[0]
            error, user = f"stage '{failed.address}': {failed.why}", isinstance(failed.error, UserError)
            ledger.leave(in_folder(workspace.root))
            workspace.remove()
            return Experiment(
                order.name, order.params, Fate.FAILED, "", {}, stages, seconds, error, list(failed.tail), user
            )
        rev = _committed(workspace.root, where, setting, order, report.reproduced, goes_on)
        found = Experiment(order.name, order.params, Fate.DONE, rev, metrics(where), stages, seconds)
        ledger.end(order.key, found)
        workspace.remove()
        return found


def failed(order: Order, error: Exception) -> Experiment:
    """What is told of an experiment that could not even begin."""
    user = isinstance(error, UserError | OSError)
    return Experiment(order.name, order.params, Fate.FAILED, error=told(error), user=user)


def prepare(workspace: ExperimentWorkspace, setting: Setting, overrides: Mapping[str, Sequence[str]]) -> None:
    """Make the workspace of an experiment, with its parameters, and what the cache has of its data."""
    workspace.make(setting.baseline, setting.tree)
    workspace.configure(setting.dvc_dir, setting.cache)
    workspace.copy(setting.copies)
    for name, text in setting.data.items():
        path = workspace.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    where = workspace.root / setting.wdir
    with opened(where, silent) as repo:
        changed = {file: list(one) for file, one in overrides.items()}
        if repo.config.get("hydra", {}).get("enabled", False):
            changed.setdefault(ParamsDependency.DEFAULT_PARAMS_FILE, [])  # which hydra writes from others
        if changed:
            repo.experiments.workspace_queue._update_params(changed)
    with opened(where, silent) as repo:
        targets, recursive = list(setting.wanted.targets) or None, setting.wanted.options.recursive
        checkout(repo, targets, with_deps=bool(targets), force=True, allow_missing=True, recursive=recursive)
    workspace.is_ready()


@contextmanager
def _environment(setting: Setting, order: Order) -> Iterator[None]:
    """What DVC tells the commands of an experiment; libraries such as DVCLive read it."""
    given = {DVC_EXP_NAME: order.name, DVC_EXP_BASELINE_REV: setting.baseline}
    given[DVC_ROOT] = os.fspath(Path(setting.top, setting.dvc_dir).parent)
    before = {name: os.environ.get(name) for name in given}
    os.environ.update(given)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def _committed(root: Path, where: Path, setting: Setting, order: Order, reproduced: list[str], goes_on: bool) -> str:
    """The commit of the experiment, which the user's repository has now."""
    ref = str(ExpRefInfo(setting.baseline, order.name))
    with opened(where, silent) as repo:
        made = repo.scm.get_ref(EXEC_BRANCH, follow=False)  # it was committed, and the process ended then
        if not made:
            git(root, "update-ref", "--no-deref", "HEAD", EXEC_BASELINE)
            _commit(repo, setting, order, {*reproduced, *(_recorded_since(repo, setting) if goes_on else ())})
    plus = "+" if setting.wanted.options.force else ""
    line = ["fetch", "--quiet", "--no-write-fetch-head", "--no-tags", str(root), f"{plus}{made or ref}:{ref}"]
    if git(Path(setting.top), *line, check=False).returncode:
        if git(Path(setting.top), "rev-parse", "--verify", "--quiet", ref, check=False).returncode == 0:
            raise UserError(f"experiment '{order.name}' is there already, of other parameters: take another --name")
        git(Path(setting.top), *line)  # what is wrong is told
    return git(root, "rev-parse", made or ref).stdout.strip()


def _recorded_since(repo: Repo, setting: Setting) -> set[str]:
    """The stages that dvc.lock knows otherwise than at the beginning: they ran, maybe before the runner was killed."""
    found = set[str]()
    before: dict[str, Any] = {}
    for stage in repo.index.stages:
        if not isinstance(stage, PipelineStage):
            continue
        lockfile = stage.dvcfile._lockfile
        path = os.path.relpath(lockfile.path, repo.scm.root_dir)
        if path not in before:
            shown = git(repo.scm.root_dir, "show", f"{setting.tree}:{path}", check=False)
            before[path] = (parse_yaml(shown.stdout, path) or {}).get("stages", {}) if not shown.returncode else {}
        if lockfile.load().get("stages", {}).get(stage.name) != before[path].get(stage.name):
            found.add(stage.addressing)
    return found


def _commit(repo: Repo, setting: Setting, order: Order, reproduced: Collection[str]) -> None:
    """Commit what DVC would: what stages changed of what git tracks, and the files of parameters, metrics and plots."""
    stages = [stage for stage in repo.index.stages if stage.addressing in reproduced]
    for stage in stages:
        repo.scm_context.add(_get_stage_files(stage))
    with chdir(repo.root_dir):
        if paths := BaseExecutor._get_top_level_paths(repo):
            add_no_submodules(repo.scm, paths)
    exp_hash = BaseExecutor.hash_exp(stages)
    with BaseExecutor.auto_push(repo):
        BaseExecutor.commit(repo.scm, exp_hash, order.name, message=setting.wanted.message)
