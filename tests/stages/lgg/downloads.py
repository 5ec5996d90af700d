"""A download into the working directory, and how it ended: what the tests of lgg-download share."""

import hashlib
import io
import random
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from stages.errors import GliaflowError
from stages.lgg.download import DownloadParams, place_archive
from tests.stages.lgg.kaggle_server import TOKEN

STATE = Path(".state/lgg-download")
KEPT = STATE / "mateuszbuda-lgg-mri-segmentation-2"
ARCHIVE = Path("data/lgg/archive.zip")


def zip_of(seed: int, size: int = 300_000) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("kaggle_3m/README.md", random.Random(seed).randbytes(size))
    return buffer.getvalue()


BODY = zip_of(1)
SUM = hashlib.sha256(BODY).hexdigest()


def params(source: str = "kaggle", version: int = 2, sha256: str | None = None) -> DownloadParams:
    return DownloadParams(source=source, version=version, sha256=sha256)


def place(*, waits: Sequence[float] = (0, 0), sha256: str | None = None, version: int = 2) -> None:
    place_archive(params(version=version, sha256=sha256), ARCHIVE, state=STATE, waits=waits)


def fails(error: type[GliaflowError], words: str, **arguments: object) -> None:
    """The download fails with one line that holds `words`, drags no foreign exception along, and writes no archive."""
    with pytest.raises(error, match=words) as caught:
        place(**arguments)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    assert TOKEN not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    assert not ARCHIVE.exists()


def kept() -> bytes:
    part = KEPT / "archive.zip"
    return part.read_bytes() if part.exists() else b""


def arrived() -> bool:
    """The archive stands in whole and no state is left."""
    return ARCHIVE.read_bytes() == BODY and list(STATE.iterdir()) == [] and list(ARCHIVE.parent.iterdir()) == [ARCHIVE]
