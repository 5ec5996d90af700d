"""Stage lgg-download: put the archive of LGG slices in place, whole and checked.

In: parameters lgg.download; by source, nothing (sample), Kaggle and a token for it (kaggle), or an archive or a folder
(its path).
Out: archive.zip: kaggle_3m/<patient>/<patient>_<n>.tif, uint8 (H W 3) pre-contrast, FLAIR, post-contrast, and
..._<n>_mask.tif, uint8 (H W) in {0, 255}; perhaps all of it a second time under lgg-mri-segmentation/. Of a folder: its
files as they are, laid out as stages.lgg.layouts knows it.
"""

import hashlib
import os
import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from stages.atomic import staged
from stages.command import run
from stages.errors import BadInput, Refused, bad_input
from stages.lgg.layouts.pictures import DUPLICATE
from stages.lgg.layouts.recognise import recognise
from stages.lgg.source import kaggle
from stages.lgg.source.folder import list_files, zip_files
from stages.lgg.source.synthetic import sample_archive
from stages.params import STRICT_KEYS, load
from stages.progress import BYTES, progress

STATE = Path(".state/lgg-download")


@dataclass(frozen=True, kw_only=True, config=STRICT_KEYS)
class DownloadParams:
    """Section lgg.download of params.yaml."""

    source: Annotated[str, Field(min_length=1)]
    """`sample` (synthetic patients), `kaggle` (the real ones) or the path of an archive or a folder."""
    version: Annotated[int, Field(ge=1)]
    """Of the data set on Kaggle, for source `kaggle`."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None
    """What an archive must have, from Kaggle, at a path or made of a folder, as 64 lower-case hexadecimal digits; null
    takes any."""


def place_archive(
    params: DownloadParams,
    archive: Path,
    *,
    state: Path = STATE,
    waits: Sequence[float] = kaggle.WAITS_SECONDS,
) -> None:
    """Put the archive that `params` ask for at `archive`; unfinished downloads live in `state`.

    Raises:
        BadInput: at the path is no zip archive and no folder of patients, or its sha256 is another.
        Refused, TransientError: as `kaggle.fetch`, which `waits` is for; Refused also if Kaggle sent no zip.
    """
    if params.source == "sample":
        with staged(archive) as (new,):
            new.write_bytes(sample_archive())
    elif params.source == "kaggle":
        _place_download(params, archive, state, waits)
    else:
        # Not Path.expanduser, which raises where a user is unknown.
        source = Path(os.path.expanduser(params.source))  # noqa: PTH111
        (_place_folder if source.is_dir() else _place_copy)(params, source, archive)


def _place_download(params: DownloadParams, archive: Path, state: Path, waits: Sequence[float]) -> None:
    folder = state / f"{kaggle.OWNER}-{kaggle.DATASET}-{params.version}"
    whole = kaggle.fetch(params.version, folder, waits=waits)
    if not _is_zip(whole):
        shutil.rmtree(folder)
        raise Refused(f"Kaggle sent something else than a zip archive; look at {kaggle.PAGE}, then run again")
    _check_sum(whole, params.sha256, f"correct it, or delete {folder} to download again")
    with staged(archive) as (new,):
        shutil.move(whole, new)
    shutil.rmtree(folder)


def _place_copy(params: DownloadParams, source: Path, archive: Path) -> None:
    if not source.is_file():
        raise BadInput(
            f"{source}: no such file; set lgg.download.source to sample, kaggle or the path of an archive or folder"
        )
    if archive.exists() and source.samefile(archive):
        raise BadInput(f"{source}: this is the output itself, which DVC deletes before each run; keep yours elsewhere")
    if not _is_zip(source):
        raise BadInput(f"{source}: not a zip archive; set lgg.download.source to another")
    _check_sum(source, params.sha256, "correct it or set lgg.download.source to another archive")
    shown = progress("copy", source.stat().st_size, BYTES)
    with staged(archive) as (new,), source.open("rb") as reader, new.open("wb") as writer, shown as bar:
        while chunk := reader.read(1 << 20):
            bar.add(writer.write(chunk))


def _place_folder(params: DownloadParams, source: Path, archive: Path) -> None:
    if archive.resolve().is_relative_to(source.resolve()):
        raise BadInput(f"{source}: the output {archive} would lie in it; keep your patients in a folder of their own")
    names = [name for name in list_files(source) if not name.startswith(DUPLICATE)]
    layout = recognise(names, lambda name: (source / name).read_bytes())
    if layout.problems:
        raise bad_input(f"{source} (lgg.download.source)", layout.problems)
    if left := sorted(set(names) - set(layout.files)):
        print(f"left out {len(left)} of {len(names)} files, which are no sequence or mask, such as {left[0]}")
    with staged(archive) as (new,):
        zip_files(source, layout.files, new)
        _check_sum(new, params.sha256, "correct it, or look what changed in the folder", f"{source} as an archive")


def _is_zip(path: Path) -> bool:
    try:
        zipfile.ZipFile(path).close()
    except zipfile.BadZipFile:
        return False
    return True


def _check_sum(path: Path, sha256: str | None, remedy: str, what: str | None = None) -> None:
    if sha256 is None:
        return
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise BadInput(f"{what or path}: its sha256 is {found}, but lgg.download.sha256 is {sha256}; {remedy}")


def main(*, archive: Path) -> None:
    """Put the LGG archive in place: a synthetic sample, the data set on Kaggle, or an archive or a folder at hand.

    Parameters: lgg.download in params.yaml. Kaggle needs a token (KAGGLE_API_TOKEN or ~/.kaggle/access_token); an
    interrupted download is continued by the next run.

    Args:
        archive: the zip archive to write.
    """
    place_archive(load(DownloadParams, "lgg.download"), archive)


if __name__ == "__main__":
    run(main)
