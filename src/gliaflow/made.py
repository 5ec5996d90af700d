"""What stages made, read again by its hash: from DVC's cache, or from where it lay if it is still the same there.

DVC keeps a file under the first two digits of its hash; a folder is a file that lists the others. Nothing of DVC is
needed to read them.
"""

import hashlib
import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

FOLDER = ".dir"  # the end of DVC's hash of a folder


class TooLarge(Exception):
    """A file is there, and has more bytes than are wanted."""


def cached(cache: Path | None, value: str) -> Path | None:
    """Where a cache keeps the object of this hash; None without a cache."""
    return cache / value[:2] / value[2:] if cache else None


def listed(cache: Path | None, value: str) -> dict[str, str] | None:
    """The hash of each file of a folder, by its path in it; None if the cache cannot tell."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        if path := cached(cache, value):
            return {str(one["relpath"]): str(one["md5"]) for one in json.loads(path.read_bytes())}
    return None


def bytes_of(places: Iterable[Path | None], value: str, most: int) -> bytes | None:
    """The bytes that have this hash, from the first of the places that has them; None if no place does.

    Raises:
        TooLarge: a place has a file of more than `most` bytes.
    """
    for path in filter(None, places):
        with suppress(OSError, ValueError):
            if path.is_file():  # not such as a pipe, which would be waited for
                if path.stat().st_size > most:
                    raise TooLarge
                data = path.read_bytes()
                if md5(data) == value:
                    return data
    return None


def md5(data: bytes) -> str:
    """The hash by which DVC knows a file."""
    return hashlib.md5(data, usedforsecurity=False).hexdigest()
