"""Patients as Kaggle's archive has them, a picture a slice; other names of patients will do, and PNG.

<patient>/<patient>_<number>.tif         a slice; the numbers of a patient run 1..N
<patient>/<patient>_<number>_mask.tif    its mask
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping

from stages.lgg.layouts.patients import Layout, Stack, institution_of

KAGGLE = "kaggle_3m/"
DUPLICATE = "lgg-mri-segmentation/kaggle_3m/"
"""The same once more, a packaging error."""
ENDINGS = (".tif", ".tiff", ".png")
NAME = re.compile(r"([^/]+)/\1_([1-9][0-9]{0,3})(_mask)?\.(?:tif|png)")

Key = tuple[str, int]  # patient, number
Named = dict[Key, str]


def is_picture(name: str) -> bool:
    """Whether it must be somebody's slice or mask."""
    return name.lower().endswith(ENDINGS)


def pictures(names: Collection[str], root: str) -> Layout:
    """The patients in the folder `root`, "" or one that ends in a slash."""
    images, masks, problems = Named(), Named(), []
    for name in filter(is_picture, sorted(names)):
        match = NAME.fullmatch(name.removeprefix(root)) if name.startswith(root) else None
        if match is None:
            problems.append(f"{name!r} is not named {root}<patient>/<patient>_<number>.tif or ..._mask.tif")
            continue
        patient, number, mask = match.groups()
        if earlier := (named := masks if mask else images).get((patient, int(number))):
            problems.append(f"{name} and {earlier} are the same slice")
        named[patient, int(number)] = name
    problems += _incomplete(images, masks, root)
    return Layout(() if problems else tuple(_stacks(images, masks)), problems)


def _incomplete(images: Named, masks: Named, root: str) -> Iterator[str]:
    numbers: dict[str, set[int]] = defaultdict(set)
    for patient, number in sorted(images.keys() | masks.keys()):
        numbers[patient].add(number)
        if (patient, number) not in images or (patient, number) not in masks:
            yield f"{patient}_{number} has no {'mask' if (patient, number) in images else 'image'}"
    for patient, found in numbers.items():
        if gaps := set(range(1, max(found))) - found:
            yield f"{patient} has slices up to {max(found)}, but none numbered {min(gaps)}"
    if not numbers:
        yield f"no slice of any patient in {root or 'it'}"


def _stacks(images: Mapping[Key, str], masks: Mapping[Key, str]) -> Iterator[Stack]:
    by_patient: dict[str, list[Key]] = defaultdict(list)
    for key in sorted(images):
        by_patient[key[0]].append(key)
    for patient, keys in by_patient.items():
        files = tuple(images[key] for key in keys), tuple(masks[key] for key in keys)
        yield Stack(patient, *files, institution=institution_of(patient))
