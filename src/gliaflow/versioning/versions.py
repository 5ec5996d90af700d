"""Data versions that are published: their cards, and getting their data.

A card is the message of the version's tag, as YAML. What DVC pushes nowhere is in no version: imports from another
repository (`dvc import`), and outputs that say `push: false`.
"""

import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from gliaflow.errors import UserError
from gliaflow.versioning import names
from gliaflow.versioning.fetching import fetch
from gliaflow.versioning.outputs import Output, outputs_of


@dataclass(frozen=True)
class Facts:
    """What a card says of one output."""

    hash: str
    bytes: int
    files: int


@dataclass(frozen=True)
class Version:
    """One data version, as its card says."""

    name: str
    commit: str
    """Of git, all 40 characters."""
    parents: tuple[str, ...]
    """The newest version before it, if there was one."""
    licence: str | tuple[str, ...]
    """The licence of the data, or the licences of its parts."""
    files: int
    bytes: int
    outputs: dict[str, Facts]
    """By path from the root of the DVC repository."""
    metrics: dict[str, Any]
    """The content of each metrics file, by its path."""

    def __str__(self) -> str:
        """On one line."""
        return f"{self.name}: {self.commit[:9]}, {len(self.outputs)} outputs, {self.bytes:,} bytes"

    def plain(self) -> dict[str, Any]:
        """For a program: the card with the name before it."""
        return {"name": self.name, **self.card()}

    def card(self) -> dict[str, Any]:
        """What the tag holds: plain data, in the order in which it is written."""
        return {
            "commit": self.commit,
            "parents": list(self.parents),
            "licence": self.licence if isinstance(self.licence, str) else list(self.licence),
            "files": self.files,
            "bytes": self.bytes,
            "outputs": {path: asdict(facts) for path, facts in self.outputs.items()},
            "metrics": self.metrics,
        }

    def text(self) -> str:
        """The card as YAML."""
        yaml, stream = YAML(typ="safe", pure=True), StringIO()
        yaml.default_flow_style = False
        yaml.dump(self.card(), stream)
        return stream.getvalue()


_VERSION = TypeAdapter(Version)


def read(repo: Any, name: str) -> Version:
    """The version of that name.

    Raises:
        UserError: there is no such version, or its tag holds no card.
    """
    text = names.card_of(repo, name)
    try:
        card = YAML(typ="safe", pure=True).load(text)
        return _VERSION.validate_python({**card, "name": name})
    except (YAMLError, TypeError, ValidationError):
        broken = f"the tag '{name}' is called a data version and holds no card of one: see git show '{name}'"
        raise UserError(broken) from None


def versions(repo: Any, tell: Callable[[str], None] | None = None) -> list[Version]:
    """All versions, the newest first; of a tag that holds no card `tell` gets its name and what is wrong."""
    found = []
    for name in names.listed(repo):
        try:
            found.append(read(repo, name))
        except UserError as error:  # the others can be read all the same
            if tell:
                tell(f"{name}: {error}")
    return found


def get(repo: Any, name: str, target: Path, remote: str | None = None, say: Callable[[str], None] = print) -> Version:
    """Write every output of the version below the folder `target`, complete or not at all.

    Raises:
        UserError: there is no such version, there is something at `target`, or an object is damaged or missing here
            and on the remote.
        TransientError: the remote cannot be reached.
    """
    if target.exists():
        raise UserError(f"{target} is there already: name another folder with --out")
    version = read(repo, name)
    found = outputs_of(repo, version.commit, version.outputs)
    fetch(repo, found, remote)
    _write(found, target)
    say(f"{name}: {len(found)} outputs in {target}")
    return version


def _write(found: list[Output], target: Path) -> None:
    """Write outputs beside `target`, then move them there."""
    partial = target.with_name(f".partial.{target.name}")  # the same at each try: what a kill left is removed
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        for output in found:
            output.write(partial / output.path)
        partial.replace(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
