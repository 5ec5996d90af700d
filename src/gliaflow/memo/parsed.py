"""What a long dvc.yaml or dvc.lock says, kept as JSON for the next run: to parse and check YAML takes DVC far longer.

What is kept counts as long as the text is the same, and the DVC that parsed it.
"""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any

import dvc
from dvc.fs import LocalFileSystem
from dvc.utils import strictyaml

LONG = 4096  # characters; a shorter text is parsed as soon as it is looked up
BELOW = Path("gliaflow/parsed")  # below DVC's own folder for what is temporary
PLAIN = (str, int, float, bool, type(None))


@contextmanager
def parsed_once(folder: str | Path) -> Iterator[None]:
    """Inside the block DVC parses a text which it has parsed before from what is kept below `folder`."""
    real, kept = strictyaml.load, Path(folder) / BELOW

    def load(path: str, schema: Any = None, fs: Any = None, *rest: Any, **options: Any) -> Any:
        def parse() -> Any:
            return real(path, schema, fs, *rest, **options)

        local = fs is None or isinstance(fs, LocalFileSystem)
        return _load(kept, path, parse) if local and schema and not rest and not options else parse()

    strictyaml.load = load
    try:
        yield
    finally:
        strictyaml.load = real


def _load(kept: Path, path: str, parse: Callable[[], Any]) -> Any:
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123 as DVC does
            text = file.read()
    except (OSError, UnicodeDecodeError):
        return parse()  # which tells of it
    if len(text) < LONG:
        return parse()
    place = os.path.abspath(path)  # noqa: PTH100 quicker
    digest = blake2b(f"{dvc.__version__}\n{text}".encode(), digest_size=16).hexdigest()
    entry = kept / f"{blake2b(os.fsencode(place), digest_size=8).hexdigest()}.json"
    with suppress(OSError, ValueError):
        known, _, data = entry.read_text(encoding="utf-8").partition("\n")
        if known == digest:
            return json.loads(data), text
    found = parse()
    if found[1] == text and _is_plain(found[0]):
        with suppress(OSError, ValueError):  # no room, or half a letter: nothing is kept
            kept.mkdir(parents=True, exist_ok=True)
            partial = entry.with_suffix(f".{os.getpid()}.partial")
            partial.write_text(f"{digest}\n{json.dumps(found[0], ensure_ascii=False)}", encoding="utf-8")
            partial.replace(entry)
    return found


def _is_plain(data: Any) -> bool:
    """Whether JSON gives the same back."""
    if type(data) is dict:
        return all(type(key) is str and _is_plain(value) for key, value in data.items())
    return all(map(_is_plain, data)) if type(data) is list else type(data) in PLAIN
