"""A sweep: sets of parameters become DVC experiments, side by side, and the user's workspace stays as it is."""

import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from itertools import count, pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from dvc.exceptions import DvcException
from dvc.repo.experiments.refs import ExpRefInfo
from dvc.repo.experiments.utils import check_ref_format, get_random_exp_name
from dvc.utils.hydra import apply_overrides

from gliaflow.core.options import Options
from gliaflow.errors import BadInput, one_line
from gliaflow.experiments.grid import ParameterSet
from gliaflow.experiments.guard import making
from gliaflow.experiments.ledger import LEDGER, Ledger, identity
from gliaflow.experiments.making.experiment import Order
from gliaflow.experiments.making.runners import Runners
from gliaflow.experiments.making.setting import Wanted, look
from gliaflow.experiments.results import Experiment, Fate, Hear, SweepReport
from gliaflow.machine.git import git
from gliaflow.store.repository import opened


class Sweep:
    """A sweep that is known to be possible: the workspace and the sets of parameters have been looked at.

    Raises:
        UserError: git or a set of parameters does not allow it.
    """

    def __init__(self, root: Path, found: Sequence[ParameterSet], wanted: Wanted, say: Callable[[str], None]) -> None:
        with opened(root, say) as repo:
            hydra = bool(repo.config.get("hydra", {}).get("enabled", False))
            _check(found, Path.cwd(), Path(repo.scm.root_dir).resolve(), hydra)
            if not (wanted.options.glob or wanted.options.recursive):
                _check_targets(repo, wanted.targets, Path.cwd())
            self.setting = look(repo, wanted, {file for one in found for file in one.overrides})
            self.ledger = Ledger(Path(self.setting.folder, LEDGER))
            keys = self._keys(found)
            self._made = self.ledger.done(Path(self.setting.top))
            self._done = {} if wanted.options.force else self._made
            names = self._names(repo, keys, wanted.name)
        self.orders = [
            Order(key, names[key], {file: list(lines) for file, lines in one.overrides.items()}, one.values)
            for key, one in zip(keys, found, strict=True)
        ]

    def _keys(self, found: Iterable[ParameterSet]) -> list[str]:
        """The identity of each set: of all that its experiment depends on."""
        setting, usual = asdict(self.setting), asdict(Options())
        parts = {name: setting[name] for name in ("baseline", "wdir", "data", "copied")}
        flags = {k: value for k, value in setting["wanted"]["options"].items() if value != usual[k] and k != "force"}
        tree = git(Path(self.setting.top), "rev-parse", f"{self.setting.tree}^{{tree}}").stdout.strip()
        parts |= {"targets": self.setting.wanted.targets, "flags": flags, "tree": tree}
        return [identity({**parts, "overrides": _in_order(one)}) for one in found]

    def _names(self, repo: Any, keys: Sequence[str], prefix: str | None) -> dict[str, str]:
        """A name for each set: that which it has already; else after `prefix`; else one as DVC makes them up."""
        found, begun = {key: one.name for key, one in self._made.items()}, self.ledger.names()
        for key in keys:
            name = begun.get(key, "")
            if name and key not in found and (prefix is None or name == prefix or name.startswith(f"{prefix}-")):
                found[key] = name
        taken = {*found.values(), *begun.values()}
        for place, key in enumerate(keys, 1):
            if key not in found:
                found[key] = self._new_name(repo, prefix, place if len(keys) > 1 else 0, taken)
                taken.add(found[key])
        return found

    def _new_name(self, repo: Any, prefix: str | None, place: int, taken: set[str]) -> str:
        """One that no experiment of this baseline has; numbers go on where that of the set's place is taken."""
        baseline = self.setting.baseline
        if prefix is None:
            return next(
                name for name in iter(lambda: str(get_random_exp_name(repo.scm, baseline)), "") if name not in taken
            )
        for number in count(place):
            name = f"{prefix}-{number}" if number else prefix
            check_ref_format(repo.scm, ref := ExpRefInfo(baseline, name))
            if name not in taken and not repo.scm.get_ref(str(ref)):
                return name
        raise AssertionError

    def run(self, hear: Hear, at_once: int) -> SweepReport:
        """Make the experiments that are not there yet, `at_once` at a time, and tell of each as it goes."""
        with making(Path(self.setting.folder)):
            return self._run(hear, at_once)

    def _run(self, hear: Hear, at_once: int) -> SweepReport:
        setting = self.setting
        known = {
            order.key: Experiment(**{**vars(self._done[order.key]), "fate": Fate.KNOWN, "params": order.params})
            for order in self.orders
            if order.key in self._done
        }
        for one in known.values():
            hear(one)
        left = [order for order in self.orders if order.key not in known]
        for order in left:
            self.ledger.begin(order.key, order.name)
        made = Runners(setting, min(at_once, len(left)), hear).make(left) if left else []
        by_key = known | {order.key: one for order, one in zip(left, made, strict=True)}
        return SweepReport([by_key[order.key] for order in self.orders])


def _in_order(one: ParameterSet) -> dict[str, list[str]]:
    """The overrides, in an order that does not depend on how they were given where that makes no difference."""
    found = {}
    for file, lines in one.overrides.items():
        names = sorted(line.partition("=")[0].lstrip("+~") for line in lines)
        apart = all(after != before and not after.startswith(f"{before}.") for before, after in pairwise(names))
        found[file] = sorted(lines) if apart else list(lines)
    return found


def _check(found: Iterable[ParameterSet], wdir: Path, top: Path, hydra: bool) -> None:
    """Apply each override to a copy of its file, so that what is wrong is told before anything runs."""
    by_file: dict[str, dict[str, tuple[str, ...]]] = {}
    for one in found:
        for file, lines in one.overrides.items():
            for line in lines:
                by_file.setdefault(file, {}).setdefault(line, lines)
    with TemporaryDirectory() as folder:
        for file, given in by_file.items():
            if Path(file).is_absolute() or top not in (wdir / file).resolve().parents:
                raise BadInput(f"-S {file}:…: name a file of parameters in this repository, from this folder")
            if hydra and file == "params.yaml":
                continue  # which is composed of others
            copy = Path(folder, f"copy{Path(file).suffix}")
            for line, lines in given.items():
                try:
                    _apply(wdir / file, copy, [line])
                except BadInput:
                    if len(lines) == 1:
                        raise
                    _apply(wdir / file, copy, lines)  # it may build on another


def _apply(path: Path, copy: Path, lines: Sequence[str]) -> None:
    shown = " -S ".join(lines)
    try:
        shutil.copyfile(path, copy)
        apply_overrides(copy, list(lines))
    except FileNotFoundError:
        raise BadInput(f"-S {shown}: there is no '{path.name}'") from None
    except (DvcException, OSError) as error:
        raise BadInput(f"-S {shown}: {path.name}: {one_line(error.__cause__ or error)}") from None


def _check_targets(repo: Any, targets: Iterable[str], wdir: Path) -> None:
    """Look for targets that are not there; DVC's own error tells.

    Where parameters settle which stages there are, an experiment may have others.
    """
    text = (wdir / "dvc.yaml").read_text(errors="replace") if (wdir / "dvc.yaml").is_file() else ""
    if "foreach:" not in text and "matrix:" not in text:
        for target in targets:
            repo.stage.collect_granular(target)
