"""Holds the pages to plain English: short sentences, and no words that only we know."""

import re
from collections.abc import Iterator

import pytest

from tests.house.pages import INLINE, PAGES, Page
from tests.support.repos import ROOT

MOST_WORDS = 25  # of a sentence
WRITTEN = [page for page in PAGES if page.path.name not in ("cli.md", "api.md")]  # those come from the code
DIALECT = re.compile(
    r"\b(walk(s|ed)?|hungry|fresh(ly)?|parked|elsewhere|insists?|depot|pulse|errand|mends?|lest|heeds?)\b",
    re.IGNORECASE,
)
BREAK = re.compile(r"\n\s*\n|\n(?=\s*[-*|#] )|\n(?=\s*\|)|\n(?=\d+\. )|(?<=\|)")  # between paragraphs, items and cells
LINKED = re.compile(r"\[([^\]]*)\]\([^)\s]*\)")


def sentences(page: Page) -> Iterator[str]:
    """What stands outside of code, piece by piece; code within a sentence counts as one word."""
    text = INLINE.sub("CODE", LINKED.sub(r"\1", page.prose))
    for paragraph in BREAK.split(text):
        yield from re.split(r"(?<=[.!?:;])\s+", " ".join(paragraph.split()))


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: str(page.path.relative_to(ROOT)))
def test_sentences_are_short(page: Page) -> None:
    long = [one for one in sentences(page) if len(re.findall(r"[\w'’%-]+", one)) > MOST_WORDS]
    assert long == []


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: str(page.path.relative_to(ROOT)))
def test_words_are_plain(page: Page) -> None:
    assert [match[0] for match in DIALECT.finditer(page.prose)] == []
