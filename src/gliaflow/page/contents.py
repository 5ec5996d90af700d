"""What stages made, read again by the hashes that the journal holds: from DVC's cache, or where it lay."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from gliaflow.core.report import Output
from gliaflow.page.facts import RunFacts, StageFacts

FOLDER = ".dir"
PICTURES = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".svg": "image/svg+xml"}
PICTURES |= {".gif": "image/gif", ".webp": "image/webp"}
BEGINNINGS = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg", b"GIF8": "image/gif", b"RIFF": "image/webp"}
GONE = "it is neither in DVC's cache any more, nor where the run left it"
UNKNOWN = "what is in the folder is not in DVC's cache"
NO_PICTURE = "what is in it is not such a picture"


@dataclass(frozen=True)
class Made:
    """A file that a stage made."""

    stage: StageFacts
    output: Output
    path: str
    """From the folder in which the run was called."""
    hash: str
    """Nothing of a folder whose files are not known."""

    @property
    def suffix(self) -> str:
        """The end of its name, in small letters."""
        return PurePosixPath(self.path).suffix.lower()


def files(run: RunFacts) -> Iterator[Made]:
    """Each file of each output; a folder whose files are not known comes as itself, without a hash."""
    for stage in run.stages.values():
        for output in stage.recorded.outputs:
            if output.hash.endswith(FOLDER):
                yield from _in_folder(run, stage, output)
            else:
                yield Made(stage, output, output.path, output.hash)


def read(run: RunFacts, made: Made, most: int) -> bytes | str:
    """The bytes of a file, as they were in the run; or why not, as a phrase."""
    if not made.hash:
        return UNKNOWN
    for path in filter(None, (_cached(run, made.hash), run.root / made.path)):
        try:
            if not path.is_file():  # such as a pipe, which would be waited for
                continue
            if path.stat().st_size > most:
                return "it is too large for this page"
            data = path.read_bytes()
        except (OSError, ValueError):
            continue
        if hashlib.md5(data, usedforsecurity=False).hexdigest() == made.hash:
            return data
    return GONE


def picture_type(made: Made, data: bytes) -> str:
    """The type of a picture, as its first bytes tell it; nothing if they are not those of its name."""
    told = PICTURES[made.suffix]
    if told == "image/svg+xml":
        return told if b"<svg" in data[:4096] else ""
    return told if any(data.startswith(start) and kind == told for start, kind in BEGINNINGS.items()) else ""


def _cached(run: RunFacts, hash: str) -> Path | None:
    return run.cache / hash[:2] / hash[2:] if run.cache else None


def _in_folder(run: RunFacts, stage: StageFacts, output: Output) -> Iterator[Made]:
    """The files of a folder, which stand in a file of the cache that has its hash."""
    listing = _cached(run, output.hash)
    try:
        found = json.loads(listing.read_bytes()) if listing else None
        for one in found or ():
            yield Made(stage, output, f"{output.path}/{one['relpath']}", str(one["md5"]))
    except (OSError, ValueError, TypeError, KeyError):
        found = None
    if found is None:
        yield Made(stage, output, output.path, "")
