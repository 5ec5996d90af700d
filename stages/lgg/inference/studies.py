"""Which series of a DICOM study is which sequence, by what their headers say."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from stages.errors import BadInput
from stages.lgg.formats.dicom import is_dicom, read_tags

MARKED = re.compile(r"(?<![a-z])(?:post|gad|gado|gadolinium|gd|ce|contrast)(?![a-z])|\+\s*[cg]|[cg]\+")
UNMARKED = re.compile(r"(?<![a-z])(?:pre|without|w/?o)(?![a-z])")
T1 = re.compile(r"t1|mprage|spgr|bravo|(?<![a-z])tfl")
FLAIR = re.compile(r"flair|dark[-_ ]?fluid")
OTHER = re.compile(
    r"(?<![a-z])(?:loc(?:ali[sz]er)?s?|scout|survey|diff\w*|dwi|adc|dti|perf\w*|swi|asl|subtr\w*)(?![a-z])"
)

TOLD = {"pre": "T1 before contrast", "flair": "FLAIR", "post": "T1 after contrast"}


@dataclass
class Series:
    """The files of a DICOM series, and what the header of the first one says."""

    tags: Mapping[str, str]
    files: list[Path]

    @property
    def named(self) -> str:
        """For messages."""
        return self.tags.get("SeriesDescription") or self.tags.get("SeriesInstanceUID", "a series without a name")


class Study(NamedTuple):
    """The series of one examination of one patient."""

    name: str
    """That of the folder in which all its files lie, so that no name or number of a patient comes out."""
    sequences: dict[str, tuple[Path, ...]]
    """The files of pre, flair and post, or of fewer."""
    problem: str
    """Why it cannot be read, as far as headers say that; else empty."""


def studies(files: Iterable[Path]) -> Iterator[Study]:
    """The DICOM studies among `files`.

    Raises:
        BadInput: there is one, and pydicom is missing.
    """
    found = dict[str, dict[str, Series]]()
    for path in files:
        if path.name == "DICOMDIR" or not path.is_file() or not is_dicom(path):
            continue
        if find_spec("pydicom") is None:
            raise BadInput(f"{path} is DICOM, which pydicom reads: pip install pydicom")
        try:
            tags = read_tags(path)
        except BadInput as error:
            yield Study(path.parent.resolve().name, {}, str(error))
            continue
        series = found.setdefault(tags.get("StudyInstanceUID", ""), {})
        series.setdefault(tags["SeriesInstanceUID"], Series(tags, [])).files.append(path)
    for by_uid in found.values():
        place = Path(os.path.commonpath([path.parent.resolve() for one in by_uid.values() for path in one.files]))
        try:
            yield Study(place.name, _sequences(place, list(by_uid.values())), "")
        except BadInput as error:
            yield Study(place.name, {}, str(error))


def _sequences(place: Path, all_series: list[Series]) -> dict[str, tuple[Path, ...]]:
    chosen = dict[str, Series]()
    for one in all_series:
        if (what := sequence(one.tags)) is None:
            continue
        if earlier := chosen.get(what):
            raise BadInput(f"{place}: '{earlier.named}' and '{one.named}' may both be {TOLD[what]}; keep one of them")
        chosen[what] = one
    if "flair" not in chosen:
        names = ", ".join(f"'{one.named}'" for one in all_series)
        raise BadInput(f"{place}: no FLAIR among its series ({names}); its SeriesDescription must name it")
    return {what: tuple(one.files) for what, one in chosen.items()}


def sequence(tags: Mapping[str, str]) -> str | None:
    """pre, flair or post; None for a series that is none of them."""
    name = (tags.get("SeriesDescription") or tags.get("ProtocolName", "")).lower()
    if tags.get("Modality", "MR") != "MR" or OTHER.search(name):
        return None
    if not T1.search(name):
        return "flair" if FLAIR.search(name) else None
    contrast = tags.get("ContrastBolusAgent") or MARKED.search(name)
    return "post" if contrast and not UNMARKED.search(name) else "pre"
