"""`gliaflow deploy`, `pool` and `worker`: set a team's Prefect server up, and join it."""

from difflib import get_close_matches
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from gliaflow.cli.flags import Folder, Many
from gliaflow.errors import UserError

Limit = Annotated[int | None, Parameter(alias="-l")]
KINDS = (
    "process", "docker", "kubernetes", "ecs", "cloud-run", "cloud-run-v2", "vertex-ai", "azure-container-instance"
)  # fmt: skip  # the types of work pools that Prefect knows; a package may bring others


def pool(
    name: str,
    /,
    *,
    limit: Limit = None,
    secret: Many = (),
    kind: Annotated[str, Parameter(name="--type")] = "process",
) -> None:
    """Make a work pool, to which stages can be sent.

    Example: gliaflow pool gpu --limit 4 --secret AWS_SECRET_ACCESS_KEY=team-key

    Args:
        name: What stages call it under `meta: {pool: NAME}`.
        limit: How many runs of the pool there are at once; as many as its workers take by default.
        secret: VARIABLE=BLOCK, to have runs find the value of that Secret block in the variable; may be repeated.
        kind: The type of the pool, as `prefect work-pool create` knows it.
    """
    _check(limit)
    if kind not in KINDS and (near := get_close_matches(kind, KINDS, n=1)):
        raise UserError(f"--type is '{kind}', which Prefect does not know; did you mean {near[0]}?")
    given = dict(one.partition("=")[::2] for one in secret)
    if not all(variable.isidentifier() and block for variable, block in given.items()):
        raise UserError(f"--secret is {' '.join(secret)}; it must be NAME=BLOCK, as AWS_SECRET_ACCESS_KEY=team-key")
    from gliaflow.team import setup  # seconds of imports, for those who named all well

    if setup.make_pool(name, limit, given, kind):
        print(f"made pool {name}")
    print(f"deployed stage/{name}")


def deploy(*, repository: str | None = None, repo: Folder = Path()) -> None:
    """Write all of this repository's prefect.yaml to the server, with the pools that it and the stages name.

    Example: gliaflow deploy --repository https://git.example.org/team/brain-mri.git

    Args:
        repository: Where the workers get commits from; by default the git remote of this checkout.
        repo: The folder that holds prefect.yaml.
    """
    from gliaflow.hosts import snapshot
    from gliaflow.machine import git
    from gliaflow.team import setup

    root = git.top(repo)
    for name in sorted({*setup.pools_of(root), *_pools_of_stages(root)}):
        pool(name)
    for name in setup.deploy(root, repository or snapshot.origin(root)):
        print(f"deployed {name}")
    print("on each host, in a clone of it: gliaflow worker POOL")


def worker(pool: str, /, *, limit: Limit = None, repo: Folder = Path()) -> None:
    """Run stages of a pool on this host.

    Example: gliaflow worker gpu --limit 2

    Args:
        pool: The pool.
        limit: How many runs at once: by default one for each GPU, in pools not called "gpu" for each CPU.
        repo: The checkout whose packages are installed here.
    """
    from gliaflow.team.worker import work

    _check(limit)
    if not pool:
        raise UserError("of which pool? Name one that `gliaflow pool` made, as `gliaflow worker gpu`")
    work(pool, repo.resolve(), limit)


def _check(limit: int | None) -> None:
    if limit is not None and limit < 1:
        raise UserError(f"--limit is {limit}; at least one run must be possible")


def _pools_of_stages(root: Path) -> set[str]:
    """The work pools that stages of a DVC repository at `root` name; none where there is no such repository."""
    from gliaflow.core.settings import settings
    from gliaflow.store.repository import opened

    if not (root / ".dvc").is_dir():
        return set()
    with opened(root) as repo:
        found = {settings(stage.meta, f"stage '{stage.addressing}'").pool for stage in repo.index.stages}
    return {name for name in found if name}
