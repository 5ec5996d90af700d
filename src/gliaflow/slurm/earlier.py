"""The jobs of earlier runs: those that were killed leave them, and the next run takes them over or ends them."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePath

from gliaflow.core.ports import NotYet, Task
from gliaflow.errors import UserError
from gliaflow.slurm.kept import Kept, Place
from gliaflow.slurm.site import commands
from gliaflow.slurm.site.cluster import Cluster
from gliaflow.slurm.site.commands import Seen


@dataclass(eq=False)
class _Left:
    """A stage in a job of a run that has ended."""

    place: Place
    id: str
    alive: bool
    held: bool
    """Whether it is this run's by now; if not, nobody's or another run's."""


class Earlier:
    """What this run finds of earlier ones, and has taken over; nothing before `look`."""

    def __init__(self, kept: Kept, cluster: Cluster) -> None:
        self._kept, self._cluster = kept, cluster
        self._left = list[_Left]()
        self._adopted = dict[str, Place]()  # until they are launched
        self._taken = list[Place]()

    def look(self, mine: set[str]) -> None:
        """Find the jobs of earlier runs, and hold those of the stages that are `mine`.

        Raises:
            UserError: the cluster does not answer though a killed run may have jobs there.
        """
        places = [*self._kept.left()]
        listed = _listed(places)
        if listed is None:
            raise UserError("a run that was killed has jobs, and squeue does not answer; try again when it does")
        for place in places:
            own = place.whose.address in mine
            number, end = _number(place, listed), place.ended()
            alive = end is None and number in listed and not listed[number].over and not place.withdrawn
            if alive or (own and end is not None and place.adoptable and place.whole(end)):
                self._left.append(_Left(place, number, alive, own and place.hold()))
                if alive:
                    self._cluster.watch(number, place.name)
            elif own and place.hold():
                place.remove()

    def keeps(self, task: Task) -> bool:
        """Whether a job of a killed run makes, or has made, what the stage would make now.

        Raises:
            NotYet: one that makes something else at the same paths is not over, or another run has it.
        """
        address, outs = task.stage.address, task.prepared.outs
        for left in list(self._left):
            whose = left.place.whose
            if whose.address != address and not _meet(whose.outs, outs):
                continue
            if not left.held:
                left.held = left.place.folder.exists() and left.place.hold()
                if not left.held and left.place.folder.exists():
                    raise NotYet(f"job {left.id} of an earlier run is another run's by now")
            same = whose.address == address and whose.key and whose.key == task.prepared.key and not task.forced
            if same and left.place.adoptable and left.place.folder.exists() and address not in self._adopted:
                self._adopted[address] = left.place
                self._taken.append(left.place)
            elif self._ends(left):
                raise NotYet(f"job {left.id} of an earlier run is being cancelled")
            else:
                left.place.remove()
            self._left.remove(left)
        return address in self._adopted

    def adopted(self, address: str) -> Place | None:
        """The job that the stage goes on as, the first time that it is asked for."""
        return self._adopted.pop(address, None)

    def close(self) -> None:
        """End what no stage of this run has taken, and remove what was taken and has ended well."""
        for left in self._left:
            if left.held and not (self._ends(left) and left.place.packed):  # else its job looks there
                left.place.remove()
        for place in self._taken:
            if (end := place.ended()) and end["exit"]["code"] == 0:
                place.remove()

    def _ends(self, left: _Left) -> bool:
        """Have a stage of an earlier run end, with its job if it is alone there; False if it has by now."""
        if not left.alive or left.place.ended() or self._cluster.gone(left.id):
            return False
        if not left.place.packed:
            self._cluster.cancel(left.id)
            return True
        if left.place.withdraw():
            return False
        left.place.end()
        return True


def running(root: Path, addresses: Iterable[str]) -> dict[str, str]:
    """The stages that run as jobs of killed runs, with the ids of these; nothing where squeue does not answer."""
    wanted = set(addresses)
    places = [place for place in Kept(root, "").left() if place.whose.address in wanted and place.ended() is None]
    listed = _listed(places) or {}
    found = {place.whose.address: _number(place, listed) for place in places if not place.withdrawn}
    return {address: number for address, number in found.items() if number in listed and not listed[number].over}


def _listed(places: Iterable[Place]) -> dict[str, Seen] | None:
    """What squeue says of their jobs, if any may not be over; None where it does not answer."""
    names = sorted({place.name for place in places if place.ended() is None})
    return commands.look(names) if names else {}


def _number(place: Place, listed: dict[str, Seen]) -> str:
    """The id of a place's job, which is on the disk by now; nothing if there is none."""
    found = place.id or next((number for number, seen in listed.items() if seen.comment == place.comment), "")
    if found and not place.id:
        place.note_id(found)
    return found


def _meet(some: Iterable[str], others: Iterable[str]) -> bool:
    """Whether a path of the one is one of the other, or lies in it."""
    pairs = [(PurePath(one), PurePath(other)) for one in some for other in others]
    return any(one.is_relative_to(other) or other.is_relative_to(one) for one, other in pairs)
