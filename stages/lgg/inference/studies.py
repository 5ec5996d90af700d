"""Which series of a DICOM study is which sequence, by what their headers say."""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from stages.errors import BadInput
from stages.lgg.formats.dicom import is_dicom, read_tags

MARKED = re.compile(r"(?<![a-z])(?:post|gad|gado|gadolinium|gd|ce|contrast)(?![a-z])|\+\s*[cg]|[cg]\+")
UNMARKED = re.compile(r"(?<![a-z])(?:pre|without|w/?o)(?![a-z])")
T1 = re.compile(r"t1|mprage|spgr|bravo|(?<![a-z])tfl")
FLAIR = re.compile(r"flair|dark[-_ ]?fluid")
OTHER = re.compile(
    r"(?<![a-z])(?:loc(?:ali[sz]er)?s?|scout|survey|diff\w*|dwi|adc|dti|perf\w*|swi|asl|subtr\w*)(?![a-z])"
)


@dataclass
class Series:
    """The files of one, and what its first one says."""

    tags: Mapping[str, str]
    files: list[Path]

    @property
    def named(self) -> str:
        """For messages."""
        return self.tags.get("SeriesDescription") or self.tags.get("SeriesInstanceUID", "a series without a name")


def studies(folder: Path) -> Iterator[tuple[str, dict[str, tuple[Path, ...]]]]:
    """Each study below a folder: its name, and the files of its sequences.

    A study is named after the folder that all its files lie in, so that no name or number of a patient comes out.

    Raises:
        BadInput: pydicom is missing; a study has no FLAIR, or two series that may be one sequence.
    """
    found = dict[str, dict[str, Series]]()
    for path in _files(folder):
        if find_spec("pydicom") is None:
            raise BadInput(f"{path} is DICOM, which pydicom reads: pip install pydicom")
        tags = read_tags(path)
        series = found.setdefault(tags.get("StudyInstanceUID", ""), {})
        series.setdefault(tags.get("SeriesInstanceUID", ""), Series(tags, [])).files.append(path)
    for by_uid in found.values():
        place = Path(os.path.commonpath([path.parent.resolve() for one in by_uid.values() for path in one.files]))
        yield place.name, _sequences(place, list(by_uid.values()))


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if not hidden and path.name != "DICOMDIR" and path.is_file() and is_dicom(path):
            yield path


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


TOLD = {"pre": "T1 before contrast", "flair": "FLAIR", "post": "T1 after contrast"}


def sequence(tags: Mapping[str, str]) -> str | None:
    """pre, flair or post; None for a series that is none of them."""
    said = " ".join(tags.get(name, "") for name in ("SeriesDescription", "ProtocolName")).lower()
    own = tags.get("SeriesDescription", "").lower() or said
    if tags.get("Modality", "MR") != "MR" or OTHER.search(own):
        return None
    if FLAIR.search(own) and not T1.search(own):
        return "flair"
    if not T1.search(own):
        return None
    contrast = bool(tags.get("ContrastBolusAgent")) or bool(MARKED.search(own))
    return "post" if contrast and not UNMARKED.search(own) else "pre"
