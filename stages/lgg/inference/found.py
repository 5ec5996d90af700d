"""Which scans lie at a path, by names alone: volumes NIfTI, or pictures TIFF and PNG; and DICOM by its headers.

NAME_0000.nii.gz, NAME_0001.nii.gz, NAME_0002.nii.gz     pre-contrast, FLAIR, post-contrast; or as dataset.json says,
                                                         there or in the folder above
NAME_T1w.nii.gz, NAME_FLAIR.nii.gz, NAME_ce-..._T1w.nii.gz   the same, as BIDS has them
NAME_<number>.tif or .png                                a slice, its sequences as three channels
a folder with the series of a DICOM study                which is which, their headers say
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

from stages.errors import BadInput
from stages.lgg.inference.studies import studies
from stages.lgg.layouts.nnunet import DATASET, channels_of

SEQUENCES = ("pre", "flair", "post")
NIFTI = r"(?i:\.nii(?:\.gz)?)"
NNUNET = re.compile(rf"(.+)_([0-9]{{4}}){NIFTI}")
BIDS = re.compile(rf"(.+)_(T1w|FLAIR){NIFTI}")
PERSON = re.compile(r"sub-[^_]+(?:_ses-[^_]+)?")
CONTRAST = re.compile(r"_ce-[^_]+")
SLICE = re.compile(r"(.+)_([0-9]+)\.(?:tiff?|png)", re.IGNORECASE)
MASK = re.compile(r"_(?:mask|seg|label)", re.IGNORECASE)  # before the number of what is no image
ADVICE = "name its files NAME_FLAIR.nii.gz, NAME_0001.nii.gz or NAME_1.tif, or give DICOM"


@dataclass(frozen=True)
class Scan:
    """The files of one patient."""

    name: str
    sequences: Mapping[str, tuple[Path, ...]] | None
    """Of volumes: pre, flair and post, or fewer, each a file or a DICOM series; None for pictures."""
    slices: Mapping[int, Path]
    """Of pictures, by number, ascending; else empty."""
    dicom: bool = False

    @property
    def files(self) -> list[Path]:
        """All of them."""
        return [*chain.from_iterable((self.sequences or {}).values()), *self.slices.values()]


def find(paths: Iterable[Path]) -> list[Scan]:
    """The scans in folders and the folders below them, in the order of `paths`, then by name; masks are passed over.

    Raises:
        BadInput: a path is not there or holds no scan, a scan has no FLAIR, or two things have one name.
    """
    scans = dict[str, Scan]()
    for path in {path.resolve(): path for path in paths}.values():
        if not path.exists():
            raise BadInput(f"{path}: no such file or folder; give the folder of a scan")
        if not path.is_dir():
            raise BadInput(f"{path}: a scan has several files; give the folder that they lie in")
        found = [*_below(path), *(Scan(name, sequences, {}, dicom=True) for name, sequences in studies(path))]
        if not found:
            raise BadInput(f"{path}: no scan in it; {ADVICE}")
        for scan in found:
            if earlier := scans.get(scan.name):
                raise BadInput(f"{scan.files[0]} and {earlier.files[0]} are both of {scan.name}; rename one scan")
            scans[scan.name] = scan
    return list(scans.values())


def _below(folder: Path) -> Iterator[Scan]:
    entries = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    yield from _in_one(folder, (path for path in entries if path.is_file()))
    for path in entries:
        if path.is_dir():
            yield from _below(path)


def _in_one(folder: Path, files: Iterable[Path]) -> Iterator[Scan]:
    volumes = dict[str, dict[str, Path]]()
    pictures = dict[str, dict[int, Path]]()
    for path in files:
        if not path.name.isprintable():
            raise BadInput(f"{str(path)!r}: a name that cannot be printed; give the file another one")
        if match := NNUNET.fullmatch(path.name):
            if sequence := _channel(folder, path, int(match[2])):
                _add(volumes.setdefault(match[1], {}), sequence, path)
        elif known := _volume(path.name):
            _add(volumes.setdefault(known[0], {}), known[1], path)
        elif (match := SLICE.fullmatch(path.name)) and not MASK.fullmatch(match[1][match[1].rfind("_") :]):
            _add(pictures.setdefault(match[1], {}), int(match[2]), path)
    for name, sequences in volumes.items():
        if "flair" not in sequences:
            raise BadInput(f"{next(iter(sequences.values())).parent}: {name} has no FLAIR, which nothing replaces")
        yield Scan(name, {sequence: (file,) for sequence, file in sequences.items()}, {})
    for name, slices in pictures.items():
        numbers = range(min(slices), max(slices) + 1)
        if missing := next((number for number in numbers if number not in slices), None):
            raise BadInput(f"{folder}: {name} has slices {numbers[0]} to {numbers[-1]}, but none numbered {missing}")
        yield Scan(name, None, dict(sorted(slices.items())))


def _channel(folder: Path, path: Path, number: int) -> str | None:
    """Which sequence a channel of nnU-Net is; None if it is none of the three."""
    stated = next((one for one in (folder / DATASET, folder.parent / DATASET) if one.is_file()), None)
    if stated:
        return _channels(stated).get(number)
    if number < len(SEQUENCES):
        return SEQUENCES[number]
    raise BadInput(f"{path}: {DATASET} is missing, which says which channel is which sequence; put it into {folder}")


@cache
def _channels(path: Path) -> Mapping[int, str]:
    try:
        stated = json.loads(path.read_bytes())
        return channels_of(stated.get("channel_names", stated.get("modality")))
    except (ValueError, TypeError, AttributeError) as error:
        reason = str(error) if type(error) is ValueError else "it has no channel_names as nnU-Net writes them"
        raise BadInput(f"{path}: {reason}") from None


def _volume(name: str) -> tuple[str, str] | None:
    """Whose it is, and which sequence."""
    if match := BIDS.fullmatch(name):
        stem = match[1]
        person = PERSON.match(stem)
        what = "flair" if match[2] == "FLAIR" else "post" if CONTRAST.search(stem) else "pre"
        return person[0] if person else CONTRAST.sub("", stem), what
    return None


def _add(found: dict[Any, Path], key: str | int, path: Path) -> None:
    if earlier := found.get(key):
        raise BadInput(f"{path} and {earlier} may be the same image; keep one of them there")
    found[key] = path
