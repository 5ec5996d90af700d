"""How an outcome is shown."""

from collections.abc import Sequence
from dataclasses import dataclass

from gliaflow.page.facts import RunFacts, StageFacts


@dataclass(frozen=True)
class Look:
    """How an outcome is shown: a sign and a word, so that colours need not tell."""

    sign: str
    word: str
    css: str


LOOKS = {
    "RUN": Look("✓", "ran", "ran"),
    "RESTORED": Look("↺", "restored from run-cache", "kept"),
    "PULLED": Look("↓", "pulled", "kept"),
    "SAVED": Look("☑", "verified", "kept"),
    "UNCHANGED": Look("=", "unchanged", "same"),
    "SKIPPED": Look("⊘", "skipped", "skipped"),
    "FAILED": Look("✗", "failed", "failed"),
}
RUNNING, CUT_OFF, WAITING = (
    Look("▶", "running", "busy"),
    Look("✂", "cut off", "failed"),
    Look("·", "not begun", "skipped"),
)
WORST = ["✗", "✂", "▶", "⊘", "·", "✓", "↺", "↓", "☑", "="]  # what a box of several stages shows of them


def look(run: RunFacts, stage: StageFacts) -> Look:
    """How a stage is shown."""
    if stage.outcome:
        return LOOKS.get(stage.outcome) or Look("?", stage.outcome.lower(), "same")
    return (RUNNING if run.seen.lives else CUT_OFF) if stage.began else WAITING


def counts(run: RunFacts, stages: Sequence[StageFacts]) -> str:
    """How many stages came to what: `2 failed, 30 ran`."""
    looks = [look(run, one) for one in stages]
    known = {one.word: one for one in looks}
    order = sorted(known, key=lambda word: WORST.index(known[word].sign) if known[word].sign in WORST else len(WORST))
    return ", ".join(f"{sum(one.word == word for one in looks)} {word}" for word in order)
