"""Holds pyproject.toml to what the engine imports, and requirements.lock to what pyproject.toml asks for."""

import re
import sys
import tomllib
from collections.abc import Iterable
from itertools import chain
from typing import Any

from tests.house.test_layers import imports
from tests.support.repos import ROOT

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
BROUGHT = {  # imported, and a part of what is declared; see the comment there
    "dvc-data": "dvc", "dvc-objects": "dvc", "scmrepo": "dvc", "pydantic-core": "pydantic"
}  # fmt: skip
BOUNDS = {"fastapi"}  # not imported: versions of it break Prefect
CALLED = {"ruamel": "ruamel-yaml"}  # packages that are imported by another name
MOST = 10  # direct dependencies


def name(requirement: str) -> str:
    """The name of a package as `pip` compares it."""
    found = re.match(r"[\w.-]+", requirement)
    assert found
    return re.sub(r"[-_.]+", "-", found[0]).lower()


def names(requirements: Iterable[Any]) -> set[str]:
    return {name(one) for one in requirements if isinstance(one, str)}


DECLARED = names(PROJECT["project"]["dependencies"])
OPTIONAL = names(PROJECT["project"]["optional-dependencies"]["search"])  # imported where they are used, and not before


def imported() -> set[str]:
    """The packages that the engine imports from, at any place."""
    tops = {found.split(".")[0] for all_of_it in imports(ROOT / "src").values() for _, found in all_of_it}
    return {CALLED.get(top, name(top)) for top in tops - sys.stdlib_module_names - {"gliaflow"}}


def test_every_import_is_declared_or_comes_with_what_is() -> None:
    assert imported() - DECLARED - OPTIONAL <= BROUGHT.keys()
    assert imported() >= OPTIONAL
    assert set(BROUGHT.values()) <= DECLARED


def test_every_dependency_is_imported_or_keeps_another_from_breaking() -> None:
    assert DECLARED - imported() == BOUNDS
    assert len(DECLARED) <= MOST


def test_everything_is_pinned_and_no_place_is_named() -> None:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    assert [line for line in lines if not re.match(r"[\w.-]+==[\w.]+( ; |$)", line)] == []
    project, groups = PROJECT["project"], PROJECT["dependency-groups"]
    asked = chain(project["dependencies"], *project["optional-dependencies"].values(), *groups.values())
    assert names(asked) <= names(lines)
