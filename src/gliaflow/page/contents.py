"""The files that the stages of a run made, by the hashes that its journal holds."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from gliaflow.core.report import Output
from gliaflow.made import FOLDER, TooLarge, bytes_of, cached, listed
from gliaflow.page.facts import RunFacts, StageFacts

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


def read(run: RunFacts, one: Made, most: int) -> bytes | str:
    """The bytes of a file, as they were in the run; or why not, as a phrase."""
    if not one.hash:
        return UNKNOWN
    try:
        found = bytes_of((cached(run.cache, one.hash), run.root / one.path), one.hash, most)
    except TooLarge:
        return "it is too large for this page"
    return GONE if found is None else found


def picture_type(one: Made, data: bytes) -> str:
    """The type of a picture, as its first bytes tell it; nothing if they are not those of its name."""
    told = PICTURES[one.suffix]
    if told == "image/svg+xml":
        return told if b"<svg" in data[:4096] else ""
    return told if any(data.startswith(start) and kind == told for start, kind in BEGINNINGS.items()) else ""


def _in_folder(run: RunFacts, stage: StageFacts, output: Output) -> Iterator[Made]:
    """The files of a folder, which stand in a file of the cache that has its hash."""
    inside = listed(run.cache, output.hash)
    if inside is None:
        yield Made(stage, output, output.path, "")
    else:
        yield from (Made(stage, output, f"{output.path}/{name}", hash_of) for name, hash_of in inside.items())
