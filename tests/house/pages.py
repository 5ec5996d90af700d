"""README.md and the pages of docs/, and what stands in them."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tests.support.repos import ROOT

FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
SHELLS = ("sh", "console")
PROMPT = "$ "


@dataclass(frozen=True)
class Page:
    """One page, in Markdown."""

    path: Path

    @cached_property
    def text(self) -> str:
        """All of it."""
        return self.path.read_text()

    @cached_property
    def blocks(self) -> list[tuple[str, str]]:
        """The blocks of code: their language, or nothing, and their text."""
        return [(kind, text) for _, kind, text in FENCE.findall(self.text)]

    @cached_property
    def prose(self) -> str:
        """What stands outside of blocks of code."""
        return FENCE.sub("", self.text)

    @cached_property
    def inline(self) -> list[str]:
        """Code within sentences."""
        return INLINE.findall(self.prose)

    @cached_property
    def links(self) -> list[str]:
        """Where its links go."""
        return LINK.findall(self.prose)

    @cached_property
    def anchors(self) -> set[str]:
        """The names by which headings can be linked to, as the generator of the pages makes them."""
        words = (re.sub(r"[^\w\s-]", "", title).strip().lower() for title in HEADING.findall(self.prose))
        return {re.sub(r"[-\s]+", "-", title) for title in words}

    def commands(self) -> Iterator[list[str]]:
        """The commands in its blocks for a shell, each as words; comments, redirections and here-documents go."""
        for kind, text in self.blocks:
            lines = text.splitlines()
            if kind == "console":
                lines = [line.removeprefix(PROMPT) for line in lines if line.startswith(PROMPT)]
            for line in re.sub(
                r" <<'(\w+)'\n.*?\n\1$", "", "\n".join(lines), flags=re.DOTALL | re.MULTILINE
            ).splitlines():
                yield from _split(line) if kind in SHELLS else ()


def _split(line: str) -> Iterator[list[str]]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";|&>")
    lexer.whitespace_split = True
    command, skip = list[str](), False
    for word in [*lexer, ";"]:
        if set(word) <= set(";|&"):
            if command:
                yield command
            command = []
        elif set(word) <= {">"}:
            skip = True
        elif skip:
            skip = False
        else:
            command.append(word)


BESIDE_CODE = [
    "README.md",
    "CONTRIBUTING.md",
    "data/README.md",
    "examples/hello/README.md",
    "examples/r/README.md",
]
PAGES = [Page(path) for path in [*(ROOT / name for name in BESIDE_CODE), *sorted((ROOT / "docs").rglob("*.md"))]]
BY_NAME = {str(page.path.relative_to(ROOT)): page for page in PAGES}
