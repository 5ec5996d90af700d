"""Holds what can be counted of style: docstrings, plain words, and what git may hold."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.repos import ROOT

CODE = sorted(path for part in ("src", "stages", "flows") for path in (ROOT / part).rglob("*.py"))
DIALECT = re.compile("walk|hungry|fresh|parked|elsewhere|insist|depot|pulse|errand|said|mend|lest|heed", re.IGNORECASE)
WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
MOST_BYTES = 1 << 20
HOSTS = re.compile("|".join(["py" + r"pi\.org", "pythonho" + r"sted\.org", "npm" + r"js\.com"]))
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]


def bare(text: str) -> list[str]:
    """What is public, in a module or a public class of it, and has no docstring; the module itself is called ''."""

    def inside(name: str, node: ast.Module | Definition) -> Iterator[str]:
        if not ast.get_docstring(node):
            yield name
        for child in [] if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else node.body:
            if isinstance(child, Definition) and not child.name.startswith("_"):
                yield from inside(f"{name}.{child.name}".strip("."), child)

    return list(inside("", ast.parse(text)))


def dialect(text: str) -> list[str]:
    """The names given in a module that hold a word of which no reader knows what it means here."""
    given = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            given.add(node.id if isinstance(node, ast.Name) else node.attr)
        elif isinstance(node, Definition):
            given.add(node.name)
        elif isinstance(node, ast.arg):
            given.add(node.arg)
    return sorted(name for name in given if any(map(DIALECT.fullmatch, WORD.findall(name))))


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_is_public_has_a_docstring(path: Path) -> None:
    assert bare(path.read_text()) == []


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_names_are_plain_words(path: Path) -> None:
    assert dialect(path.read_text()) == []


def test_what_breaks_these_is_found() -> None:
    text = '"""A module."""\nclass A:\n    """A."""\n    def f(self): ...\n    def _g(self): ...\ndef h(): ...\n'
    assert bare(text) == ["A.f", "h"]
    assert bare("x = 1") == [""]
    text = "def mendAll(walker, heed_it):\n    self.said = os.walk(fresh)\nclass FreshAir: ...\nmade = 1"
    assert dialect(text) == ["FreshAir", "heed_it", "mendAll", "said"]


def test_git_holds_nothing_large() -> None:
    """Data is DVC's; a file that was left here by chance is nobody's."""
    assert len(tracked()) > 100
    assert [path for path in tracked() if path.stat().st_size > MOST_BYTES] == []


def test_hosts_of_package_registries_are_not_named() -> None:
    """In the lock file nor anywhere else: users bring an index of their own."""
    texts = {path: path.read_text(errors="ignore") for path in tracked() if path.suffix != ".png"}
    assert [str(path.relative_to(ROOT)) for path, text in texts.items() if HOSTS.search(text)] == []
