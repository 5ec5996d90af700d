"""Which packages a worker runs in: a result of other packages than a lock file names must not be recorded under it."""

import os
from hashlib import sha256
from pathlib import Path

from gliaflow.errors import UserError

PINNED = "requirements.lock"
CHECKOUT = "GLIAFLOW_CHECKOUT"  # the folder that a worker was started in
PACKAGES = "GLIAFLOW_PACKAGES"  # which packages that folder pinned then


def pinned(root: Path) -> str:
    """Which packages the lock file in `root` names, as its hash; nothing if there is none."""
    lock = root / PINNED
    return sha256(lock.read_bytes()).hexdigest() if lock.exists() else ""


def same_packages(top: Path) -> None:
    """Refuse a commit that pins other packages than the worker's checkout does.

    Raises:
        UserError: the commit at `top` does, or the checkout has changed since the worker was started.
    """
    checkout = os.environ.get(CHECKOUT)
    ours, theirs = pinned(Path(checkout)) if checkout else "", pinned(top)
    if not (ours and theirs):
        return  # the commit asks for nothing, or this is no worker's
    if os.environ.get(PACKAGES) not in (None, ours):
        raise UserError(f"{PINNED} has changed on the worker's host since the worker was started: start it again")
    if ours != theirs:
        raise UserError(f"the worker's packages are of another {PINNED}: git pull and install there, start it again")


def apart_from_checkout() -> None:
    """Let commands import what is in their commit, and nothing of the checkout that the worker was started in."""
    checkout = os.environ.get(CHECKOUT)
    path = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    os.environ["PYTHONPATH"] = os.pathsep.join(entry for entry in path if entry and entry != checkout)
