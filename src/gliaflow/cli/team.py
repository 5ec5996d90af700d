"""`gliaflow deploy`, `pool` and `worker`: set a team's Prefect server up, and join it."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from gliaflow.errors import UserError
from gliaflow.hosts import snapshot
from gliaflow.machine import git
from gliaflow.team import setup
from gliaflow.team import worker as workers

Limit = Annotated[int | None, Parameter(alias="-l")]


def pool(
    name: str,
    *,
    limit: Limit = None,
    secret: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    kind: Annotated[str, Parameter(name="--type")] = "process",
) -> None:
    """Make a work pool, to which stages can be sent.

    Parameters
    ----------
    name
        What stages call it under `meta: {pool: NAME}`.
    limit
        How many runs of the pool there are at once; as many as its workers take by default.
    secret
        VARIABLE=BLOCK: have all runs of the pool find the value of that Prefect Secret block in the variable.
    kind
        The type of the pool, as `prefect work-pool create` knows it.
    """
    _check(limit)
    given = dict(one.partition("=")[::2] for one in secret)
    if not all(variable.isidentifier() and block for variable, block in given.items()):
        raise UserError(f"--secret is {' '.join(secret)}; it must be NAME=BLOCK, as AWS_SECRET_ACCESS_KEY=team-key")
    if setup.make_pool(name, limit, given, kind):
        print(f"made pool {name}")
    print(f"deployed stage/{name}")


def deploy(*, repository: str | None = None, repo: Path = Path()) -> None:
    """Write all of this repository's prefect.yaml to the server, with the pools that it names.

    Parameters
    ----------
    repository
        Where the workers get commits from; by default the git remote of this checkout.
    repo
        The folder that holds prefect.yaml.
    """
    root = git.top(repo)
    for name in setup.pools_of(root):
        pool(name)
    for name in setup.deploy(root, repository or snapshot.origin(root)):
        print(f"deployed {name}")
    print("on each host, in a clone of it: gliaflow worker POOL")


def worker(pool: str, *, limit: Limit = None, repo: Path = Path()) -> None:
    """Run stages of a pool on this host.

    Parameters
    ----------
    pool
        The pool.
    limit
        How many runs at once: by default one for each GPU, in pools not called "gpu" for each CPU.
    repo
        The checkout whose packages are installed here.
    """
    _check(limit)
    if not pool:
        raise UserError("of which pool? Name one that `gliaflow pool` made, as `gliaflow worker gpu`")
    workers.work(pool, repo.resolve(), limit)


def _check(limit: int | None) -> None:
    if limit is not None and limit < 1:
        raise UserError(f"--limit is {limit}; at least one run must be possible")
