"""What is searched: a stage in a workspace of the search's own, with all that it reads up to date."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dvc.dependency import ParamsDependency
from dvc.stage.run import prepare_kwargs
from dvc.utils.serialize import load_yaml

from gliaflow.core.settings import settings
from gliaflow.errors import BadInput, UserError
from gliaflow.experiments.ledger import identity
from gliaflow.experiments.search.space import Value, changed, lookup
from gliaflow.experiments.search.workers import Door
from gliaflow.store.repository import opened, silent

PARAMS = "params.yaml"  # the file whose parameters vary


@dataclass(frozen=True)
class Subject:
    """A stage whose data is ready."""

    door: Door
    document: Mapping[str, Any]
    """What stands in params.yaml."""
    given: Mapping[str, Any]
    """What the stage is besides: its command, and the hashes of what it reads."""
    names: tuple[str, ...]
    """The parameters in params.yaml that the stage depends on."""

    def params(self, values: Mapping[str, Value]) -> dict[str, Any]:
        """All parameters, those of an individual among them."""
        return changed(self.document, values)

    def key(self, values: Mapping[str, Value]) -> str:
        """The hash of all that an individual's training depends on: parameters, data and code."""
        params = self.params(values)
        return identity({**self.given, "params": {name: lookup(params, name) for name in self.names}})


def upstreams(where: Path, address: str) -> list[str]:
    """The stages that make what a stage reads.

    Raises:
        UserError: there is no such stage, or it says nothing of a search.
    """
    with opened(where, silent) as repo:
        stage = _stage(repo, address)
        return [one.addressing for one in repo.index.graph.successors(stage) if one.cmd]


def subject(where: Path, address: str) -> Subject:
    """A stage as it is in the workspace at `where`, in which all that it reads is up to date."""
    with opened(where, silent) as repo:
        stage = _stage(repo, address)
        asked = settings(stage.meta, f"stage '{address}'")
        stage.save_deps()
        read = {str(dep): dep.hash_info.value for dep in stage.deps if not isinstance(dep, ParamsDependency)}
        params = [dep for dep in stage.deps if isinstance(dep, ParamsDependency)]
        others = {str(dep): dep.hash_info.value for dep in params if Path(dep.def_path).name != PARAMS}
        names = tuple(name for dep in params if Path(dep.def_path).name == PARAMS for name in dep.params)
        path = Path(stage.wdir, PARAMS)
        if not path.is_file():
            raise BadInput(f"a search varies parameters in {PARAMS}, and stage '{address}' has none")
        run = prepare_kwargs(stage)
        door = Door(str(asked.search), run["cwd"], run["env"], asked)
        given = {"cmd": stage.cmd, "reads": read, "others": others, "door": _hash(Path(run["cwd"]), door.module)}
        return Subject(door, load_yaml(str(path)), given, names)


def check_names(found: Subject, names: Iterable[str], address: str) -> None:
    """Require that the stage depends on each parameter.

    Raises:
        BadInput: it does not depend on one.
    """
    for name in names:
        if not any(name == one or name.startswith(f"{one}.") for one in found.names):
            listed = ", ".join(found.names) or "none"
            raise BadInput(f"stage '{address}' does not depend on '{name}'; its params in dvc.yaml are {listed}")


def _hash(folder: Path, module: str) -> str:
    """A hash of the file of the door, which the stage may not depend on; nothing if it is not in the folder."""
    path = folder.joinpath(*module.split("."))
    found = next((one for one in (path.with_suffix(".py"), path / "__init__.py") if one.is_file()), None)
    return hashlib.sha256(found.read_bytes()).hexdigest() if found else ""


def _stage(repo: Any, address: str) -> Any:
    found = list(repo.stage.collect(address))
    if len(found) != 1:
        raise UserError(f"'{address}' names {len(found)} stages; a search is of one")
    if not settings(found[0].meta, f"stage '{address}'").search:
        raise UserError(
            f"stage '{address}' offers nothing to a search: name a module that has `load` and `train` under "
            "meta: {search: MODULE}"
        )
    return found[0]
