"""A search over the parameters of one stage: in a workspace of its own, so that the user's stays as it is."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from gliaflow.core.options import Options, Part
from gliaflow.core.report import Event, StageEnded
from gliaflow.errors import UserError
from gliaflow.experiments.guard import making
from gliaflow.experiments.ledger import identity
from gliaflow.experiments.making.experiment import LOCKS, TWINS, Reproduce, prepare
from gliaflow.experiments.making.setting import Wanted, look
from gliaflow.experiments.making.workspaces import ExperimentWorkspace
from gliaflow.experiments.results import Hear
from gliaflow.experiments.search.generations import Generations, Keep, SearchReport, Sought
from gliaflow.experiments.search.individuals import Book
from gliaflow.experiments.search.subject import PARAMS, check_names, subject, upstreams
from gliaflow.store.repository import opened
from gliaflow.workspace.twins import Twins

BOOK = "individuals.jsonl"  # beside the workspaces


class Search:
    """A search that is known to be possible.

    Raises:
        UserError: git, the stage, the space or the numbers do not allow it.
    """

    def __init__(self, root: Path, sought: Sought, wanted: Wanted, say: Callable[[str], None]) -> None:
        sought.way.check()
        sought.halving.check()
        self._sought, self._say = sought, say
        with opened(root, say) as repo:
            self.setting = look(repo, wanted)
            upstreams(Path.cwd(), sought.address)
        names = ("baseline", "tree", "wdir", "data", "copied")
        parts = {name: getattr(self.setting, name) for name in names}
        self._key = f"search-{identity({**parts, 'stage': sought.address})}"

    def run(self, reproduce: Reproduce, keep: Keep, hear: Hear) -> SearchReport:
        """Bring all that the stage reads up to date, then evolve.

        Raises:
            UserError: what the stage reads cannot be made, or it does not depend on a parameter of the space.
            InterruptedError: somebody cancelled a generation.
        """
        folder, address = Path(self.setting.folder), self._sought.address
        locks, wait = Twins(folder / LOCKS, "a search"), "waits for the same search"
        with making(folder), locks.alone(self._key, lambda: self._say(wait)):
            workspace = ExperimentWorkspace(folder / self._key, Path(self.setting.top))
            if not workspace.ready:
                prepare(workspace, self.setting, {})
            where = workspace.root / self.setting.wdir
            self._bring_up(where, reproduce)
            found = subject(where, address)
            check_names(found, [one.name for one in self._sought.space], address)
            book = Book(folder / BOOK)
            evolved = Generations(self._sought, found, book, keep, hear, self._say).evolved()
            params = os.path.relpath(Path(found.door.cwd, PARAMS), where)
            workspace.remove()
            return replace(evolved, params=params)

    def _bring_up(self, where: Path, reproduce: Reproduce) -> None:
        address, asked = self._sought.address, self.setting.wanted
        targets = upstreams(where, address)
        if not targets:
            return
        wanted = Wanted(tuple(targets), Options(pull=asked.options.pull), self._sought.jobs, prefect=asked.prefect)
        part = Part(Path(self.setting.journals), Path(self.setting.folder, TWINS), "a search", ("search",))
        report = reproduce(where, wanted, part, _Teller(self._say))
        if report.failed:
            failed = report.failed[0]
            raise UserError(f"stage '{failed.address}', which makes what '{address}' reads: {failed.why}")


class _Teller:
    """Tells which stages run before a search can begin."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say

    def hear(self, event: Event) -> None:
        """Tell of a stage that has ended."""
        if isinstance(event, StageEnded) and event.result.outcome.reproduced:
            self._say(f"{event.result.address}: {event.result.outcome.value}")
