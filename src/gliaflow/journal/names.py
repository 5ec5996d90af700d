"""What Prefect calls a run, so that a person finds it: the repository, its branch and its commit."""

from dataclasses import asdict, dataclass
from pathlib import Path

from gliaflow.core.options import Options
from gliaflow.errors import UserError
from gliaflow.machine.git import git

DETACHED = "HEAD"


@dataclass(frozen=True)
class Place:
    """Where a run stands."""

    repository: str
    """The name of the repository's folder."""
    branch: str = ""
    """The branch, or nothing where none is checked out."""
    commit: str = ""
    """The short id of the commit, or nothing before the first."""

    @property
    def name(self) -> str:
        """As the name of a run: `brain-mri main 3f2a9c1`."""
        return " ".join(self.tags)

    @property
    def tags(self) -> list[str]:
        """As the tags of a run."""
        return [part for part in (self.repository, self.branch, self.commit) if part]


def place(root: Path) -> Place:
    """Where the folder `root` stands; of one without git only its name is known."""
    root = root.resolve()
    try:
        top = Path(git(root, "rev-parse", "--show-toplevel").stdout.rstrip("\n"))
        branch = git(root, "rev-parse", "--abbrev-ref", "HEAD", check=False).stdout.strip()
        commit = git(root, "rev-parse", "--short", "--verify", "--quiet", "HEAD", check=False).stdout.strip()
    except (UserError, OSError):
        return Place(root.name)
    return Place(top.name, "" if branch == DETACHED else branch, commit)


def parameters(targets: list[str], options: Options) -> dict[str, object]:
    """Targets, and the flags that are not as usual, as the parameters of a run."""
    usual = asdict(Options())
    return {"targets": targets, "flags": {k: value for k, value in asdict(options).items() if value != usual[k]}}
