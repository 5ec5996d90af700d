"""Hashes of files and folders, and the parameters in files, which DVC computes anew at each look.

DVC looks at a dependency some six times for each stage that reads it. Here DVC hashes it once, and again only when its
stamp has moved: when something wrote to the file, or below the folder.
"""

import copy
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import dvc.output
from dvc.dependency import param
from dvc.fs import LocalFileSystem
from dvc.fs.callbacks import DEFAULT_CALLBACK, Callback

from gliaflow.memo.stamps import Stamp, stamp

TRUSTED_SECONDS = 1.0  # for so long a look into a folder counts as long as no command of the run has started
Result = Any  # a tuple: the store that the objects of a path are in, its size, and its object, with its hash


@dataclass(frozen=True)
class _Built:
    """What DVC built of a path, and its stamp then."""

    stamp: Stamp
    result: Result
    dry: bool
    """Whether its files were not made ready to be cached."""


class Hashes:
    """What has been hashed in the repository whose root is `top`."""

    def __init__(self, top: str) -> None:
        self._top = top
        self._built: dict[tuple[str, str, str], _Built] = {}
        self._params: dict[str, tuple[Stamp, Any]] = {}
        self._looked: dict[str, tuple[float, Stamp | None]] = {}  # folders, and when they were looked through
        self._depth, self._own = 0, frozenset[str]()
        self._quiet = True
        self._lock = threading.RLock()

    @contextmanager
    def moment(self, own: frozenset[str] = frozenset()) -> Iterator[None]:
        """Inside the block no folder is looked through twice, but for what lies at or below the paths `own`."""
        with self._lock:
            self._depth += 1
            self._own |= own
            if not self._quiet and self._depth == 1:
                self._looked.clear()
            try:
                yield
            finally:
                self._depth -= 1
                if not self._depth:
                    self._own = frozenset()

    def begin(self) -> None:
        """Commands of the run start, which may write anywhere: from now on each look is a look."""
        self._quiet = False

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Have DVC take what is known inside the block, and make no bars of its progress, which nobody sees."""
        output, build, load = dvc.output.Output, dvc.output.build, param.load_path
        bars = output._build, dvc.output.TqdmCallback, dvc.output.CheckoutCallback

        def known_build(odb: Any, path: str, fs: Any, name: str, **options: Any) -> Result:
            if isinstance(fs, LocalFileSystem) and not options.get("upload"):
                return self._take(build, odb, path, fs, name, options)
            return build(odb, path, fs, name, **options)

        def known_load(path: str, fs: Any, **options: Any) -> Any:
            if isinstance(fs, LocalFileSystem) and not options:
                return self._load(load, path, fs)
            return load(path, fs, **options)

        def build_without_bar(one: Any, *args: Any, **options: Any) -> Result:
            options.pop("no_progress_bar", None)
            options.setdefault("checksum_jobs", one.fs.hash_jobs)
            return dvc.output.build(*args, callback=DEFAULT_CALLBACK, **options)

        def no_bar(**_: Any) -> Callback:
            return Callback()

        dvc.output.build, param.load_path = known_build, known_load
        output._build, dvc.output.TqdmCallback, dvc.output.CheckoutCallback = build_without_bar, no_bar, no_bar
        try:
            yield
        finally:
            dvc.output.build, param.load_path = build, load
            output._build, dvc.output.TqdmCallback, dvc.output.CheckoutCallback = bars

    def _take(
        self, build: Callable[..., Result], odb: Any, path: str, fs: Any, name: str, options: dict[str, Any]
    ) -> Result:
        key, dry = (path, name, str(odb.path)), bool(options.get("dry_run"))
        before = self._stamp(path)
        known = self._built.get(key)
        if known is None or before is None or known.stamp != before or (known.dry and not dry):
            result = build(odb, path, fs, name, **options)
            if before is None or self._stamp(path, anew=True) != before:
                return result  # something writes to it
            self._built[key] = known = _Built(before, result, dry)
        store, meta, obj = known.result
        return store, copy.copy(meta), obj

    def _load(self, load: Callable[..., Any], path: str, fs: Any) -> Any:
        before = stamp(path)
        known = self._params.get(path)
        if known is None or before is None or known[0] != before:
            found = load(path, fs)
            if before is None or stamp(path) != before:
                return found
            self._params[path] = known = (before, found)
        return copy.deepcopy(known[1])

    def _stamp(self, path: str, anew: bool = False) -> Stamp | None:
        """The stamp of a path; of a folder the one of the last look, where that counts."""
        own = any(path == one or path.startswith(f"{one}/") or one.startswith(f"{path}/") for one in self._own)
        looked = None if anew or own else self._looked.get(path)
        if looked and (time.monotonic() - looked[0] < TRUSTED_SECONDS if self._quiet else self._depth):
            return looked[1]
        when, found = time.monotonic(), stamp(path, self._top)
        if found is not None and isinstance(found[0], bytes):  # of a folder
            self._looked[path] = (when, found)
        return found
