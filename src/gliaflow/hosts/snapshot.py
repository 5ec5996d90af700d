"""The workspace as a commit that no branch shows: so what is not committed reaches another host as well."""

import re
import shutil
import tempfile
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

from gliaflow.errors import UserError
from gliaflow.machine.git import WHO, git, remote
from gliaflow.machine.retry import retry

REFS = "refs/gliaflow"
DATED = re.compile(rf"^{REFS}/(\d{{4}}-\d\d-\d\d)/")
KEPT = timedelta(days=30)  # for what a flow left on the remote that was killed; none runs as long
FORGET_SECONDS = 30.0  # the run is over and somebody waits for its end; what stays goes with the old ones
TRIES = 3  # a file may vanish while git reads it
TOKEN = re.compile(r"^(https?://)[^/]*@", re.IGNORECASE)  # even a user alone may be one
SECRET = re.compile(r"(?<=://)[^/]*:[^/]*@")  # user and password in an address
QUERY = re.compile(r"^(https?://[^?#]*).*", re.IGNORECASE | re.DOTALL)  # what follows the path may hold a token


def snapshot(top: Path, without: Iterable[str] = ()) -> str:
    """The commit that holds what HEAD holds and all changes of tracked files, but at paths in `without` as HEAD does.

    It is HEAD itself if nothing changed. The same content is the same commit. `top` is the root of the git
    repository, and paths count from it; neither the index nor a branch moves.

    Raises:
        UserError: there is nothing committed yet.
    """
    if git(top, "rev-parse", "--verify", "--quiet", "HEAD", check=False).returncode:
        raise UserError("a stage for a work pool travels as a commit, and nothing is committed yet: git commit first")
    left_out = "".join(f":(exclude,top,literal){path}\0" for path in without)
    with tempfile.TemporaryDirectory() as folder:
        index = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
        real = Path(top, git(top, "rev-parse", "--git-path", "index").stdout.strip())
        for tries in range(TRIES, 0, -1):
            if real.exists():
                shutil.copy2(real, index["GIT_INDEX_FILE"])  # its time too: git looks again at files as new as it
            lines = ["add", "--update", "--pathspec-from-file=-", "--pathspec-file-nul"]
            added = git(top, *lines, input=f":(top)\0{left_out}", env=index, check=tries == 1)
            if not added.returncode:
                break
        tree = git(top, "write-tree", env=index).stdout.strip()
    if tree == git(top, "rev-parse", "HEAD^{tree}").stdout.strip():
        return git(top, "rev-parse", "HEAD").stdout.strip()
    when = git(top, "show", "--no-patch", "--format=%cI", "HEAD").stdout.strip()
    dates = {"GIT_AUTHOR_DATE": when, "GIT_COMMITTER_DATE": when}
    line = ["commit-tree", tree, "-p", "HEAD", "-m", "A workspace as a stage found it"]
    return git(top, *line, env=WHO | dates).stdout.strip()


def origin(top: Path) -> str:
    """Where other hosts get commits from, without a password that may stand in the address.

    Raises:
        UserError: this repository has no remote.
    """
    address = git(top, "remote", "get-url", _remote(top)).stdout.strip()
    if "://" not in address and not re.match(r"[\w.@-]+:", address):  # a folder
        address = str(Path(top, address).resolve())
    return SECRET.sub("", QUERY.sub(r"\1", TOKEN.sub(r"\1", address)))


def send(top: Path, commit: str, ref: str, wanted: Callable[[], bool]) -> None:
    """Have the remote hold the commit under `ref`; no try begins once it is not `wanted` any more.

    Raises:
        InterruptedError: it was not.
    """

    def sent() -> None:
        if not wanted():
            raise InterruptedError("interrupted")
        _push(top, f"+{commit}:{ref}")

    retry(sent)


def place(day: datetime) -> str:
    """Where the commits of a flow that began on that day stand on the remote."""
    return f"{REFS}/{day:%Y-%m-%d}/{uuid4().hex}"


def forget(top: Path, refs: Iterable[str]) -> None:
    """Remove refs from the remote; with them those that flows left there which were killed long ago."""
    gone = set(refs)
    if gone:
        oldest = f"{datetime.now(UTC) - KEPT:%Y-%m-%d}"
        listed = git(top, "ls-remote", _remote(top), f"{REFS}/*", far=True, seconds=FORGET_SECONDS)
        there = listed.stdout.split()[1::2]
        gone |= {ref for ref in there if (dated := DATED.match(ref)) and dated[1] < oldest}
        _push(top, *(f":{ref}" for ref in sorted(gone)), seconds=FORGET_SECONDS)


def _push(top: Path, *refspecs: str, seconds: float | None = None) -> None:
    # Hooks are for what a person pushes: DVC's would push all data.
    git(top, "push", "--quiet", "--no-verify", _remote(top), *refspecs, far=True, seconds=seconds)


def _remote(top: Path) -> str:
    found = remote(top)
    if not found:
        raise UserError("a stage for a work pool travels by git: git remote add origin ADDRESS, which the hosts reach")
    return found
