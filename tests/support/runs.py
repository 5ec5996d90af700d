"""Runs that never were, as pages tell of them: journals with all that a page shows, and names that mean harm."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from gliaflow.core.graph import Graph, Stage
from gliaflow.core.report import (
    Asked,
    Began,
    Event,
    Line,
    Measured,
    Message,
    Outcome,
    Output,
    Recorded,
    Report,
    Retry,
    StageEnded,
    StageResult,
    Summary,
    Used,
)
from gliaflow.page.facts import RunFacts, facts
from tests.support.journals import BEGAN, written

EVIL = '</title><script>window.harm = 1</script>"\'><img src=x onerror="window.harm = 2"> & \0 \x1b[31m \ud800'
"""What a name, a value or a line may be, and must not do anything on a page."""
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000 1f15c489"
    "0000000d49444154789c6360f8cfc0000003010100c9fe92ef0000000049454e44ae426082"
)
USED = Used(2.5, 1.75, 3 << 20, 1024, 0, None)


def began(address: str, after: float, *commands: str) -> Began:
    """A stage starts so many seconds after the run."""
    return Began(address, list(commands) or [f"make {address}"], when=BEGAN + after)


def ended(
    address: str,
    after: float,
    outcome: Outcome = Outcome.RUN,
    seconds: float = 1.0,
    slots: Sequence[str] = (),
    recorded: Recorded | None = None,
    why: str = "seed.txt changed",
    used: Used | None = None,
) -> StageEnded:
    """A stage ends so many seconds after the run began."""
    asked = Asked(1) if used else None
    tail = ("the last line",) if outcome is Outcome.FAILED else ()
    result = StageResult(address, outcome, why, seconds, tail=tail, used=used, asked=asked, slots=tuple(slots))
    return StageEnded(result, recorded, when=BEGAN + after)


def told(folder: Path, events: Sequence[Event], reads: Mapping[str, Sequence[str]], **given: object) -> RunFacts:
    """What the journal of a run of these stages tells, each with the stages that it reads."""
    graph = Graph(tuple(Stage(name, tuple(some)) for name, some in reads.items()))
    return facts(written(folder / ".dvc/tmp/gliaflow/runs", folder / "home", events, graph, **given))


def summary(after: float, *failed: str) -> Summary:
    """The run ends."""
    results = tuple(StageResult(name, Outcome.FAILED, "it broke") for name in failed)
    return Summary(Report(results), when=BEGAN + after)


def md5(data: bytes) -> str:
    """The hash by which DVC knows the bytes."""
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def cached(cache: Path, data: bytes) -> str:
    """Put bytes into a cache as DVC does; their hash."""
    path = cache / md5(data)[:2] / md5(data)[2:]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return md5(data)


def cached_folder(cache: Path, files: Mapping[str, bytes]) -> str:
    """Put a folder into a cache as DVC does; its hash."""
    listing = [{"md5": cached(cache, data), "relpath": name} for name, data in files.items()]
    data = json.dumps(listing).encode()
    path = cache / md5(data)[:2] / f"{md5(data)[2:]}.dir"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return f"{md5(data)}.dir"


def whole(folder: Path, evil: str = EVIL) -> RunFacts:
    """A run with some of everything: outcomes, slots, a retry, metrics, pictures, a plot; `evil` wherever it may be."""
    cache = folder / "cache"
    picture = cached_folder(cache, {"fit.png": PNG, f"{evil[:20].replace('/', '')}.png": PNG})
    curve = cached(cache, b"step\tloss\n0\t1.0\n1\t0.5\n2\t0.25\n")
    made = Recorded(
        {"seed.txt": "1" * 32, "requirements.lock": "2" * 32},
        {"rate": 0.1, "evil": evil, "deep": {"a": [1, 2]}},
        [
            Output("figures", picture, "plot", 2 * len(PNG), 2),
            Output("loss.tsv", curve, "plot", 30, None, {"x": "step", "y": "loss", "title": evil}),
            Output("gone.png", "3" * 32, "plot", 9),
        ],
    )
    events: list[Event] = [
        Message(evil, when=BEGAN),
        ended("old", 0.5, Outcome.UNCHANGED, 0.25, why=""),
        began("fit@1", 1.0, "first", "echo " + evil),
        began("fit@2", 1.0),
        Line("fit@1", evil, when=BEGAN + 1.5),
        Retry("fit@2", 2, 2, 0.5, evil, when=BEGAN + 2),
        began("fit@2", 2.5),
        ended("fit@1", 4.0, seconds=3.5, slots=["cpu-0", "gpu-GPU-1"], recorded=made, why=evil, used=USED),
        ended("fit@2", 5.0, seconds=2.5, slots=["cpu-1"], used=USED),
        began(evil, 5.25),
        ended(evil, 9.25, seconds=4.125, slots=["cpu-0"], used=USED),
        began("bad", 5.25),
        ended("bad", 6.0, Outcome.FAILED, 0.75, ["cpu-1"], why=evil),
        ended("after", 6.0, Outcome.SKIPPED, 0.0, why="'bad' failed"),
        Measured(
            [],
            [
                {"file": "scores.json", "metric": "dice", "value": 0.8125, "before": 0.75},
                {"file": "scores.json", "metric": evil, "value": evil, "before": "x"},
                {"file": "scores.json", "metric": "new", "value": 3},
            ],
            when=BEGAN + 10,
        ),
        summary(10, "bad"),
    ]
    reads = {
        "old": [],
        "fit@1": ["old"],
        "fit@2": ["old"],
        evil: ["fit@1", "fit@2"],
        "bad": ["fit@2"],
        "after": ["bad"],
    }
    return told(folder, events, reads, cache=str(cache), commit="c" * 40)
