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
NO_SCANS = re.compile(r"derivatives|sourcedata|labels.*")  # of BIDS, and of nnU-Net
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
    problem: str = ""
    """Why it cannot be read, as far as names say that; else empty."""

    @property
    def files(self) -> list[Path]:
        """All of them."""
        return [*chain.from_iterable((self.sequences or {}).values()), *self.slices.values()]


def find(paths: Iterable[Path]) -> list[Scan]:
    """The scans in folders and the folders below them, in the order of `paths`, then by name; masks are passed over.

    What is wrong with one scan, as far as names say that, is its `problem`; others may still be read.

    Raises:
        BadInput: a path is not there or holds no scan, two scans have one name, or a name cannot be printed.
    """
    scans, seen = dict[str, Scan](), set[Path]()
    for path in paths:
        if not path.exists():
            raise BadInput(f"{path}: no such file or folder; give the folder of a scan")
        if not path.is_dir():
            raise BadInput(f"{path}: a scan has several files; give the folder that they lie in")
        if path.resolve() in seen:
            continue
        folders = list(_folders(path, seen))
        found = [scan for folder, files in folders for scan in _in_one(folder, files)]
        for one in studies(chain.from_iterable(files for _, files in folders)):
            found.append(Scan(one.name, one.sequences, {}, dicom=True, problem=one.problem))
        if not found:
            raise BadInput(f"{path}: no scan in it; {ADVICE}")
        for scan in found:
            if earlier := scans.get(scan.name):
                both = " and ".join(str(next(iter(one.files), one.name)) for one in (scan, earlier))
                raise BadInput(f"{both} are both of {scan.name}; rename one scan")
            scans[scan.name] = scan
    return list(scans.values())


def _folders(folder: Path, seen: set[Path]) -> Iterator[tuple[Path, list[Path]]]:
    """A folder and those below it, each once, with their files; a link to nothing is one too, that cannot be read."""
    if folder.resolve() in seen or NO_SCANS.fullmatch(folder.name):
        return
    seen.add(folder.resolve())
    entries = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    yield folder, [path for path in entries if not path.is_dir()]
    for path in entries:
        if path.is_dir():
            yield from _folders(path, seen)


def _in_one(folder: Path, files: Iterable[Path]) -> Iterator[Scan]:
    volumes = dict[str, dict[str, Path]]()
    pictures = dict[str, dict[int, Path]]()
    problems = dict[str, str]()
    for path in files:
        if not path.name.isprintable():
            raise BadInput(f"{str(path)!r}: a name that cannot be printed; give the file another one")
        name = ""
        try:
            if match := NNUNET.fullmatch(path.name):
                sequences = volumes.setdefault(name := match[1], {})
                if sequence := _channel(folder, path, int(match[2])):
                    _add(sequences, sequence, path)
            elif known := _volume(path.name):
                _add(volumes.setdefault(name := known[0], {}), known[1], path)
            elif (match := SLICE.fullmatch(path.name)) and not MASK.fullmatch(match[1][match[1].rfind("_") :]):
                _add(pictures.setdefault(name := match[1], {}), int(match[2]), path)
        except BadInput as error:
            problems.setdefault(name, str(error))
    for name, found in volumes.items():
        if "flair" not in found:
            problems.setdefault(name, f"{folder}: {name} has no FLAIR, which nothing replaces")
        yield Scan(name, {what: (file,) for what, file in found.items()}, {}, problem=problems.get(name, ""))
    for name, slices in pictures.items():
        numbers = range(min(slices), max(slices) + 1)
        if missing := next((number for number in numbers if number not in slices), None):
            gap = f"{folder}: {name} has slices {numbers[0]} to {numbers[-1]}, but none numbered {missing}"
            problems.setdefault(name, gap)
        yield Scan(name, None, dict(sorted(slices.items())), problem=problems.get(name, ""))


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
