"""Patients as BIDS has them.

sub-<name>/[ses-<name>/]anat/sub-<name>_..._T1w.nii.gz     before contrast; with _ce-<agent>_ in its name, after it
sub-<name>/[ses-<name>/]anat/sub-<name>_..._FLAIR.nii.gz
sub-<name>/..._mask.nii.gz or ..._dseg.nii.gz              its mask, there or anywhere below derivatives/
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping

from stages.lgg.layouts.patients import Layout, Volumes, institution_of

NAME = re.compile(r"(?:.*/)?(sub-[^/_]+)/(?:[^/]+/)*(\1_[^/]*?)([A-Za-z0-9]+)\.nii(?:\.gz)?")
DERIVED = "derivatives/"
SUFFIXES = {"FLAIR": "flair", "T1w": "pre", "mask": "mask", "dseg": "mask"}
CONTRAST = re.compile(r"_ce-[^_]+")
NO_TUMOUR = re.compile(r"_(?:desc|label)-(?:brain|aseg|aparc|GM|WM|CSF)[^_]*_", re.IGNORECASE)
"""Masks of the brain and of its tissues."""
WORDS = {"pre": "T1w without contrast", "flair": "FLAIR", "post": "T1w with contrast", "mask": "mask"}

Files = Mapping[str, list[str]]


def is_bids(name: str) -> bool:
    """Whether it is an image or a mask of somebody, one that is looked for."""
    return _what(name) is not None


def bids(names: Collection[str]) -> Layout:
    """The patients: those who have an image outside of derivatives/."""
    files: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for name in sorted(names):
        if found := _what(name):
            files[found[0]][found[1]].append(name)
    problems = list[str]()
    return Layout(tuple(_patients(files, problems)), problems)


def _what(name: str) -> tuple[str, str] | None:
    """Whose it is, and which of the four."""
    match = NAME.fullmatch(name)
    what = SUFFIXES.get(match[3]) if match else None
    if match is None or what is None:
        return None
    if what == "mask":
        return None if NO_TUMOUR.search(match[2]) else (match[1], what)
    if name.startswith(DERIVED):
        return None
    return match[1], "post" if what == "pre" and CONTRAST.search(match[2]) else what


def _patients(files: Mapping[str, Files], problems: list[str]) -> Iterator[Volumes]:
    for patient in sorted(files):
        found = files[patient]
        several = [(what, there) for what, there in found.items() if len(there) > 1]
        for what, there in several:
            problems.append(
                f"{patient} has {len(there)} files that may be its {WORDS[what]} ({', '.join(there)}); say in a table "
                "patients.csv which one it is"
            )
        lacking = [WORDS[what] for what in ("flair", "mask") if what not in found]
        problems += [f"{patient} has no {word}" for word in lacking]
        if not several and not lacking:
            pre, flair, post, mask = (found.get(what, [None])[0] for what in ("pre", "flair", "post", "mask"))
            yield Volumes(patient, str(flair), str(mask), pre, post, institution=institution_of(patient))
