"""The files of one patient, by the names that they have in the archive."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

UNKNOWN = "unknown"
Spacing = tuple[float, float, float]
"""mm between rows, columns and slices."""
TCGA = re.compile(r"TCGA[_-]([A-Z0-9]{2})[_-]")


@dataclass(frozen=True)
class Stack:
    """A patient whose slices are pictures, TIFF or PNG: pre-contrast, FLAIR and post-contrast as three channels."""

    patient: str
    images: tuple[str, ...]
    """By number, from 1 on."""
    masks: tuple[str, ...]
    institution: str = UNKNOWN
    spacing_mm: Spacing | None = None
    """What a table says."""

    @property
    def files(self) -> Iterator[str]:
        """All of them."""
        yield from (*self.images, *self.masks)


@dataclass(frozen=True)
class Volumes:
    """A patient whose sequences are volumes, NIfTI."""

    patient: str
    flair: str
    mask: str
    pre: str | None = None
    """None where this sequence was not taken; FLAIR then stands in."""
    post: str | None = None
    labels: frozenset[int] | None = None
    """Values of the mask that are tumour; None where nobody says, and only a mask of two values is clear."""
    institution: str = UNKNOWN
    spacing_mm: Spacing | None = None
    """What a table says; the files themselves may say it too."""

    @property
    def files(self) -> Iterator[str]:
        """All of them."""
        yield from filter(None, (self.pre, self.flair, self.post, self.mask))


Patient = Stack | Volumes


@dataclass(frozen=True)
class Layout:
    """What is found in an archive or a folder."""

    patients: tuple[Patient, ...] = ()
    """By name."""
    problems: list[str] = field(default_factory=list)
    tables: tuple[str, ...] = ()
    """Other files that were read to find them."""

    @property
    def files(self) -> list[str]:
        """All that packing needs, by name."""
        return sorted({*self.tables, *(file for patient in self.patients for file in patient.files)})


def institution_of(patient: str) -> str:
    """TCGA's names hold the code of the institution; other names say nothing."""
    found = TCGA.match(patient)
    return found[1] if found else UNKNOWN
