"""Complete a part of the archive from the storage behind a signed link, going on where an interrupted download stopped.

In: the link, and what its answer said of the object. Out: the part, and beside it remote.json: which object it is of.

Bytes are only ever added to a part when the storage shows that its object is still the same; else it starts again.
"""

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import requests

from stages.atomic import staged
from stages.progress import BYTES, progress

TIMEOUT_SECONDS = 60.0
CHUNK_BYTES = 1 << 16


class Fault(Exception):
    """A failure that may pass; its message is fit for users."""

    def __init__(self, message: str, wait_seconds: float = 0) -> None:
        super().__init__(message)
        self.wait_seconds = wait_seconds


@dataclass(frozen=True)
class Remote:
    """What an answer says of the object it serves: equal and `provable` means the same bytes."""

    etag: str | None
    last_modified: str | None
    length: int | None

    @property
    def provable(self) -> bool:
        """A weak ETag stands for the same meaning, not for the same bytes."""
        weak = (self.etag or "").startswith("W/")
        return self.length is not None and not weak and bool(self.etag or self.last_modified)


def describe(response: requests.Response) -> Remote:
    """What `response`, the whole or a range, says of its object."""
    headers = response.headers
    length = headers.get("Content-Range", "").rpartition("/")[2] or headers.get("Content-Length", "")
    return Remote(headers.get("ETag"), headers.get("Last-Modified"), int(length) if length.isdecimal() else None)


def complete(link: str, remote: Remote, part: Path) -> None:
    """Add to `part` what is missing of `remote`, which lies behind `link`.

    Raises:
        Fault: the object changed, or its body ended early.
        requests.RequestException: the connection or the answer failed.
    """
    _keep_only(remote, part)
    if remote.length is None or size_bytes(part) < remote.length:
        _continue(link, remote, part)
    if remote.length is not None and size_bytes(part) != remote.length:
        raise Fault(f"the body ended after {size_bytes(part)} of {remote.length} bytes")


def size_bytes(path: Path) -> int:
    """0 where there is no file yet."""
    return path.stat().st_size if path.exists() else 0


def _keep_only(remote: Remote, part: Path) -> None:
    """Drop the part unless it is of `remote`."""
    note, text = part.with_name("remote.json"), json.dumps(asdict(remote), indent=2, sort_keys=True) + "\n"
    known = note.exists() and note.read_bytes() == text.encode()
    if known and remote.provable and size_bytes(part) <= (remote.length or 0):
        return
    if size_bytes(part):
        kept = f"the {size_bytes(part)} bytes kept cannot be shown to be of this archive"
        print(f"Kaggle: {kept}; starting again", file=sys.stderr)
    part.unlink(missing_ok=True)
    with staged(note) as (new,):
        new.write_text(text, encoding="utf-8")


def _continue(link: str, remote: Remote, part: Path) -> None:
    """Add what is missing of `remote` to the part."""
    start = size_bytes(part)
    headers = {"Range": f"bytes={start}-", "Accept-Encoding": "identity"}
    with requests.get(link, headers=headers, stream=True, timeout=TIMEOUT_SECONDS) as response:
        response.raise_for_status()
        if describe(response) != remote:
            raise Fault("the archive changed during the download")
        if response.status_code != requests.codes.partial_content:
            start = 0  # the storage does not do ranges and sends everything
        elif not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            raise Fault("the storage sent other bytes than those asked for")
        shown = progress("download", remote.length, BYTES, done=start)
        with part.open("ab" if start else "wb") as file, shown as bar:
            for chunk in response.iter_content(CHUNK_BYTES):
                bar.add(file.write(chunk))
