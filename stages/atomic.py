"""Write outputs beside their place and move them there whole, so that nothing half-written ever stands there."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def staged(*outputs: Path) -> Iterator[tuple[Path, ...]]:
    """Yield a path to write, file or folder, for each of `outputs`; all move into place when the block ends well.

    The paths lie in the folders of the outputs (one file system, so the move is a rename), keep their
    suffixes, and are the same at each run: what a SIGKILL left behind is gone at the next one.
    When the block raises, whatever was written is removed and the outputs stay as they were.
    """
    partials = tuple(output.with_name(f".partial.{output.name}") for output in outputs)
    for output, partial in zip(outputs, partials, strict=True):
        output.parent.mkdir(parents=True, exist_ok=True)
        _remove(partial)
    try:
        yield partials
        for output, partial in zip(outputs, partials, strict=True):
            if output.is_dir():
                _remove(output)
            partial.replace(output)
    finally:
        for partial in partials:
            _remove(partial)


@contextmanager
def growing(*outputs: Path) -> Iterator[None]:
    """Let `outputs` grow in their place while the block runs, for whoever watches; if it raises, remove them."""
    try:
        yield
    except BaseException:
        for output in outputs:
            _remove(output)
        raise


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
