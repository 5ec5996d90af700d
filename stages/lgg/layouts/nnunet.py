"""Patients as nnU-Net has them.

imagesTr/<case>_<channel>.nii.gz    a volume; the channel has four digits
labelsTr/<case>.nii.gz              its mask
dataset.json                        channel_names: which channel is which sequence; labels: which value is what
"""

import json
import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from stages.lgg.layouts.patients import Layout, Volumes, institution_of

IMAGES, LABELS, DATASET = "imagesTr/", "labelsTr/", "dataset.json"
IMAGE = re.compile(r"imagesTr/([^/]+)_([0-9]{4})\.nii(?:\.gz)?")
LABEL = re.compile(r"labelsTr/([^/]+)\.nii(?:\.gz)?")
SEQUENCES = {
    "pre": {"t1", "t1w", "t1n", "t1pre", "t1wpre", "t1native", "t1precontrast", "pre", "precontrast"},
    "flair": {"flair", "t2flair", "t2f", "t2wflair"},
    "post": {
        "t1ce", "t1c", "t1gd", "t1gad", "t1post", "t1contrast", "t1wce", "t1wgd", "t1wpost", "t1postcontrast", "cet1",
        "cet1w", "post", "postcontrast",
    },
}  # fmt: skip
"""What channels are called, without case, spaces and signs. Others, such as T2, are passed over."""
NO_TUMOUR = {"background", "ignore"}
ADVICE = "name the files in a table patients.csv instead"


def nnunet(names: Collection[str], dataset: bytes | None, *, labels_told: bool = False) -> Layout:
    """The patients; `dataset` is the content of dataset.json, None where there is none.

    Which labels are tumour need not be clear from it where a table tells, `labels_told`.
    """
    if dataset is None:
        return Layout(problems=[f"{DATASET} is missing, which says which channel is which sequence; {ADVICE}"])
    try:
        stated: Any = json.loads(dataset)
        channels = channels_of(stated.get("channel_names", stated.get("modality")))
        labels = None if labels_told else _tumour(stated["labels"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = (
            str(error) if type(error) is ValueError else "it has no channel_names and labels as nnU-Net writes them"
        )
        return Layout(problems=[f"{DATASET}: {reason}; {ADVICE}"], tables=(DATASET,))
    problems = list[str]()
    patients = tuple(_patients(names, channels, labels, problems))
    if not patients and not problems:
        problems.append(f"no image of any patient in {IMAGES}")
    return Layout(patients, problems, (DATASET,))


def channels_of(stated: Mapping[str, str]) -> dict[int, str]:
    """The sequence of each channel that is one of the three.

    Raises:
        ValueError: `stated` names no FLAIR, or one of the three twice.
    """
    found: dict[int, str] = {}
    for number, name in stated.items():
        word = re.sub(r"[^a-z0-9]", "", name.lower())
        for sequence, words in SEQUENCES.items():
            if word in words:
                found[int(number)] = sequence
    if "flair" not in found.values() or len(set(found.values())) < len(found):
        raise ValueError(
            f"its channels are {', '.join(stated.values())}: exactly one must be FLAIR, and at most one each T1 and T1 "
            "with contrast"
        )
    return found


def _tumour(stated: Mapping[str, Any]) -> frozenset[int]:
    """The values that are tumour: of the only label there is, or of a region that holds all others."""
    if all(name.isdecimal() for name in stated):
        stated = {name: int(number) for number, name in stated.items()}  # as the first nnU-Net wrote it
    values = {
        name: frozenset(value if isinstance(value, list) else [value])
        for name, value in stated.items()
        if name.lower() not in NO_TUMOUR
    }
    everything = frozenset[int]().union(*values.values())
    if not everything or everything not in values.values():
        raise ValueError(
            f"its labels are {', '.join(values) or 'none'}, which may not all be tumour; add a region that holds all "
            "that are, or a column labels to patients.csv"
        )
    return everything


def _patients(
    names: Collection[str], channels: Mapping[int, str], labels: frozenset[int] | None, problems: list[str]
) -> Iterator[Volumes]:
    files: dict[str, dict[str, str]] = defaultdict(dict)
    for name in sorted(names):
        if match := IMAGE.fullmatch(name) or LABEL.fullmatch(name):
            what = channels.get(int(match[2]), match[2]) if name.startswith(IMAGES) else "mask"
            if earlier := files[match[1]].get(what):
                problems.append(f"{name} and {earlier} are the same volume")
            files[match[1]][what] = name
        elif name.startswith(IMAGES):
            problems.append(f"{name!r} is not named {IMAGES}<case>_<channel>.nii.gz, the channel in four digits")
        elif name.startswith(LABELS):
            problems.append(f"{name!r} is not named {LABELS}<case>.nii.gz")
    for patient, found in sorted(files.items()):
        if "flair" not in found:
            problems.append(f"{patient} has no FLAIR in {IMAGES}")
        elif "mask" not in found:
            problems.append(f"{patient} has no mask in {LABELS}")
        else:
            yield Volumes(
                patient, found["flair"], found["mask"], found.get("pre"), found.get("post"), labels,
                institution_of(patient),
            )  # fmt: skip
