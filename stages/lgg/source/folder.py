"""A folder as an archive: the same files give the same bytes, on any machine and at any time.

In: the files of the folder. Out: a zip archive, stored, by name, dated 1980.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from zipfile import ZIP_STORED, ZipFile, ZipInfo

from stages.errors import BadInput
from stages.progress import BYTES, progress

CHUNK_BYTES = 1 << 20


def list_files(folder: Path) -> list[str]:
    """The names of all files below `folder`, from it on, with slashes. Hidden ones are passed over; a link is its file.

    Raises:
        BadInput: a name cannot stand in an archive, or a link leads to a folder.
    """
    return sorted(_names(folder, ""))


def zip_files(folder: Path, names: Sequence[str], archive: Path) -> None:
    """Write the files called `names` below `folder` to a new archive."""
    total = sum((folder / name).stat().st_size for name in names)
    with ZipFile(archive, "w", ZIP_STORED) as target, progress("copy", total, BYTES) as bar:
        for name in names:
            entry = ZipInfo(name)
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            entry.file_size = (folder / name).stat().st_size  # so that a large one gets the larger records
            with (folder / name).open("rb") as source, target.open(entry, "w") as stream:
                while chunk := source.read(CHUNK_BYTES):
                    bar.add(stream.write(chunk))


def _names(folder: Path, before: str) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            name = before + entry.name
            if entry.name.startswith(".") or entry.name == "__MACOSX":
                continue
            if "\\" in name or name[1:2] == ":" or not name.isprintable():
                raise BadInput(f"{folder}: the name {entry.name!r} cannot stand in an archive; give it another")
            if not entry.is_dir():
                yield name
            elif entry.is_symlink():
                raise BadInput(f"{folder / entry.name}: a link to a folder; put the folder itself there")
            else:
                yield from _names(folder / entry.name, f"{name}/")
