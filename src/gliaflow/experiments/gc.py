"""What sweeps have left, and nobody else names: experiments, objects of the cache, records of runs; here and remote.

What git keeps under any other name stays: branches, tags and so versions, remote branches, stashes, and the workspace.
Names are hashes in the text of dvc.lock and .dvc files; of a folder its listing names the files in it.
"""

import shutil
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from dvc.dvcfile import LOCK_FILE
from dvc_data.hashfile.hash_info import HashInfo
from dvc_data.hashfile.tree import Tree
from dvc_objects.errors import ObjectFormatError
from dvc_objects.fs.local import LocalFileSystem

from gliaflow.errors import UserError
from gliaflow.experiments.hashes import in_commits, in_files, in_folder, in_repository, in_text
from gliaflow.experiments.ledger import EXPERIMENTS, LEDGER, Ledger, experiment_refs
from gliaflow.experiments.making.experiment import LOCKS, TWINS
from gliaflow.journal.lock import held
from gliaflow.machine.git import git, remote, top
from gliaflow.store import files, records
from gliaflow.store.objects import Objects
from gliaflow.store.repository import silent


class Store(NamedTuple):
    """A cache or a remote."""

    files: Any
    legacy: Any
    """That of DVC 2, which keeps the records of runs too; it lies around the other."""


@dataclass(frozen=True)
class Place:
    """What is to go from one store: the cache of this machine, or a remote."""

    name: str
    objects: dict[str, int] = field(default_factory=dict)
    """Path → bytes."""
    records: dict[str, int] = field(default_factory=dict)
    """Path → bytes."""
    total: int = 0
    """Bytes of all that is there now."""

    @property
    def bytes(self) -> int:
        """Of all that is to go."""
        return sum(self.objects.values()) + sum(self.records.values())

    @property
    def left(self) -> int:
        """Bytes that stay."""
        return self.total - self.bytes

    def plain(self) -> dict[str, Any]:
        """For a program."""
        counts = {"objects": len(self.objects), "runs": len(self.records)}
        return {
            "place": self.name,
            **counts,
            "bytes": self.bytes,
            "before": self.total,
            "after": self.left,
        }


@dataclass(frozen=True)
class Waste:
    """What is to go, or has gone."""

    experiments: tuple[str, ...] = ()
    """Their names."""
    places: tuple[Place, ...] = ()
    workspaces: int = 0
    """Workspaces of experiments that were never finished."""

    def plain(self) -> dict[str, Any]:
        """For a program."""
        places = [one.plain() for one in self.places]
        return {"experiments": list(self.experiments), "workspaces": self.workspaces, "places": places}


class Collector:
    """Finds what sweeps have left in a repository, and removes it; `keep` names experiments that stay.

    With `cloud`, so from the DVC remote of the name `remote_name`, or the default one. `projects` are other
    repositories that use this cache. `say` is told why data stays, if it does.

    Raises:
        UserError: a sweep runs; there is no experiment of such a name; or the git remote has commits that are not here,
            and that may name what is to go from the DVC remote.
    """

    def __init__(
        self,
        repo: Any,
        folder: Path,
        keep: Collection[str] = (),
        cloud: bool = False,
        remote_name: str | None = None,
        projects: Collection[Path | str] = (),
        say: Callable[[str], None] = print,
    ) -> None:
        self._repo, self._folder, self._top = repo, folder, Path(repo.scm.root_dir)
        self._ledger = Ledger(folder / LEDGER)
        self._here = Store(repo.cache.local, repo.cache.legacy)
        refs = experiment_refs(self._top)
        if lost := sorted(set(keep) - {_name(ref) for ref in refs}):
            raise UserError(f"--keep {lost[0]}: there is no such experiment; `dvc exp list --all-commits` lists them")
        if any(held(path) for path in (folder / LOCKS).glob("*")):
            raise UserError("a sweep or a search runs in this repository; try again when it has ended")
        ours = self._ledger.revs()
        self._gone = {ref: rev for ref, rev in refs.items() if rev in ours and _name(ref) not in keep}
        self._left = [path for path in folder.glob("*") if path.is_dir() and path.name not in (LOCKS, TWINS)]
        named = in_repository(self._top, [rev for ref, rev in refs.items() if ref not in self._gone])
        for project in projects:
            root = top(project)
            named |= in_repository(root, list(experiment_refs(root).values()))
        self._hashes = self._content(self._of_ours())[0]
        self._hashes -= self._content(named | self._of_workspace())[0]
        if why := self._why_keep(self._content(self._linked())[1], bool(projects)):
            self._hashes = set()
            say(f"{why}, so data stays")
        self._there = self._remote(remote_name, say) if cloud and not why else {}

    def _why_keep(self, unknown: int, projects: bool) -> str:
        """Why nobody knows what of the data others need; nothing if it is known.

        A folder of some commit whose listing is not here cannot be restored from this cache, whatever else lies in it.
        But what stands in the workspace may be symbolic links into the cache.
        """
        if unknown:
            return f"{unknown} folders of links in the workspace are not known to the cache (dvc fetch gets them)"
        place = Path(self._here.legacy.path)
        if not projects and Path(self._repo.dvc_dir) not in place.parents:
            return f"other repositories may use the cache {place} (--projects names them)"
        return ""

    def find(self) -> Waste:
        """What is to go; changes nothing."""
        places = [_place("cache", self._here, self._hashes)]
        places += [_place(name, store, self._hashes - shared) for name, (store, shared) in self._there.items()]
        return Waste(tuple(sorted(map(_name, self._gone))), tuple(places), len(self._left))

    def remove(self, found: Waste) -> None:
        """Remove what `find` found: records before the objects that they name, and experiments last.

        If it is ended before, the next call goes on.
        """
        for place in found.places:
            store = self._here if place.name == "cache" else self._there[place.name][0]
            with files.reached(store.legacy):
                for path in (*place.records, *place.objects):
                    with suppress(FileNotFoundError):
                        store.legacy.fs.remove(path)
        for folder in self._left:
            shutil.rmtree(folder, ignore_errors=True)
        lines = [f"delete {ref} {rev}\n" for ref, rev in self._gone.items()]
        git(self._top, "update-ref", "--stdin", input="".join(lines))
        self._ledger.forget()

    def _of_ours(self) -> set[str]:
        """The hashes that stand in what sweeps made: experiments that go, and those that failed or were cut off."""
        left = (one for folder in self._left for one in in_folder(folder))
        return self._ledger.left() | set(left) | in_commits(self._top, list(self._gone.values()))

    def _of_workspace(self) -> set[str]:
        """The hashes in the files of the workspace, as they are now."""
        stages = self._repo.index.stages
        return in_files({Path(one.path) for one in stages} | {Path(one.path).with_name(LOCK_FILE) for one in stages})

    def _linked(self) -> set[str]:
        """The hashes of all folders that stand in the workspace with a symbolic link in them."""
        outs = (out for out in self._repo.index.outs if out.protocol == "local" and out.hash_info)
        folders = {str(out.hash_info.value): Path(out.fs_path) for out in outs if out.hash_info.isdir}
        return {value for value, path in folders.items() if any(one.is_symlink() for one in path.rglob("*"))}

    def _content(self, hashes: Iterable[str]) -> tuple[set[str], int]:
        """These, and of folders all that lies in them; and how many folders are not in the cache, to be looked into."""
        found, unknown = set(hashes), 0
        for listing in [one for one in found if one.endswith(".dir")]:
            for odb in self._here:
                with suppress(ObjectFormatError, FileNotFoundError):
                    found |= {str(one.value) for _, _, one in Tree.load(odb, HashInfo(odb.hash_name, listing))}
                    break
            else:
                unknown += 1
        return found, unknown

    def _remote(self, name: str | None, say: Callable[[str], None]) -> dict[str, tuple[Store, set[str]]]:
        """The stores of the DVC remote, by what it is called, and what the git remote names, which stays there."""
        shared: set[str] = set()
        if origin := remote(self._top):
            listed = git(self._top, "ls-remote", origin, "refs/heads/*", "refs/tags/*", f"{EXPERIMENTS}/*", far=True)
            revs = sorted({line.split()[0] for line in listed.stdout.splitlines()})
            known = git(self._top, "cat-file", "--batch-check", input="".join(f"{one}\n" for one in revs)).stdout
            if " missing" in known:
                raise UserError(f"'{origin}' has commits that are not here and may name data; git fetch {origin} first")
            shared, unknown = self._content(in_commits(self._top, revs))
            if unknown:
                say(f"{unknown} folders that '{origin}' names are not in the cache, so data stays on the remote")
                return {}
        objects = Objects(self._repo, name, None, silent)
        objects.must_list()
        cloud = self._repo.cloud
        store = Store(cloud.get_remote_odb(name, "gc"), objects.legacy.there)
        return {cloud.get_remote(name, "gc").name: (store, shared)}


def _place(name: str, store: Store, hashes: set[str]) -> Place:
    """What of these a store holds, and the records of runs whose outputs are among them."""
    fs = store.legacy.fs
    with files.reached(store.legacy):
        sizes = _sizes(fs, store.legacy.path)
        wanted = {odb.oid_to_path(one) for odb in store for one in hashes}
        objects = {path: size for path, size in sizes.items() if path in wanted}
        found = {}
        for record in records.listed(store.legacy):
            path = records.path_in(store.legacy, record)
            outs = fs.cat_file(path).decode(errors="replace").partition("\nouts:")[2]
            if not hashes.isdisjoint(in_text(outs)):
                found[path] = sizes.get(path, 0)
    return Place(name, objects, found, sum(sizes.values()))


def _sizes(fs: Any, root: str) -> dict[str, int]:
    """The bytes of each file below a folder, by path."""
    if isinstance(fs, LocalFileSystem):
        return {str(path): path.stat().st_size for path in Path(root).rglob("*") if path.is_file()}
    return {path: int(info["size"]) for path, info in fs.fs.find(root, detail=True).items()} if fs.exists(root) else {}


def _name(ref: str) -> str:
    return ref.rpartition("/")[2]
