"""DVC repositories, opened: quietly, with the working directory in them, and with what comes from a remote hashed."""

from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import Any

from dvc.repo import Repo
from dvc.stage.run import _make_cmd, get_executable

from gliaflow.errors import UserError
from gliaflow.turns import turn
from gliaflow.words.errors import in_words, words
from gliaflow.words.log import dvc_silent

__all__ = ["REPAIR", "dvc_silent", "in_shell", "in_words", "opened", "silent", "verify", "words"]

REPAIR = "`gliaflow push --verify` repairs it from a cache where it is whole"


@contextmanager
def opened(root: Path, say: Callable[[str], None] = print) -> Iterator[Any]:
    """Open the repository that the folder `root` lies in; yields a `dvc.repo.Repo`.

    Inside the block `root` is the working directory, since DVC takes paths from there. `say` is told what DVC warns of,
    and which objects are damaged on a remote.

    Raises:
        UserError: there is no such folder or no repository, or DVC raises something inside the block.
    """
    if not root.is_dir():
        raise UserError(f"'{root}' is no folder: name one that lies in a DVC repository")
    with turn(root, say), chdir(root):
        try:
            with dvc_silent(say), Repo() as repo:
                verify(repo, say)
                yield repo
        except Exception as error:
            if told := words(error):
                raise UserError(told) from error
            raise


def silent(_: str) -> None:
    """Tell nobody, where nobody could do anything with what DVC warns of."""


def in_shell(line: str) -> list[str]:
    """The arguments of a process that runs a command line by the user's shell, as DVC runs those of stages."""
    return list(_make_cmd(get_executable(), line))


def verify(repo: Any, say: Callable[[str], None] = print) -> None:
    """Have DVC hash whatever comes from a remote, and tell which objects are damaged there.

    A host that was killed while it pushed may have left half a file, and disks lose bits. A second call for the same
    `repo` changes nothing.
    """
    cloud = repo.cloud
    if "get_remote" in vars(cloud):
        return  # done already
    get_remote = cloud.get_remote

    def verifying(*args: Any, **kwargs: Any) -> Any:
        found = get_remote(*args, **kwargs)
        found.config["verify"] = True  # not in repo.config: DVC reads that anew whenever it looks at a stage
        return found

    cloud.get_remote = verifying
    told = set()

    def tell(oid: str) -> None:
        if oid not in told:  # DVC tries more than once
            told.add(oid)
            say(f"object {oid} is damaged on the remote; {REPAIR}")

    for cache in (repo.cache.local, repo.cache.legacy):
        _tell_damaged(cache, tell)


def _tell_damaged(cache: Any, tell: Callable[[str], None]) -> None:
    """Call `tell` with the hash of each object that comes damaged from a remote; DVC drops it without a word."""
    add = cache.add

    def told(path: Any, fs: Any, oid: Any, *args: Any, on_error: Any = None, **options: Any) -> Any:
        failed = set()

        def note(one: str, error: BaseException) -> None:
            failed.add(one)
            on_error(one, error)

        count = add(path, fs, oid, *args, on_error=on_error and note, **options)
        oids = [oid] if isinstance(oid, str) else oid
        for one in oids if options.get("verify") else []:
            if one not in failed and not cache.exists(one):
                tell(one)
        return count

    cache.add = told
