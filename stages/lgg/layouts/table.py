"""A table patients.csv at the root of a folder, which says whose each file is; or only what else is known of patients.

patient,pre,flair,post,mask   names of NIfTI files, from the folder on; an empty cell of pre or post: was not taken
institution, labels           may stand beside them, or beside patient alone: labels are values of the mask, as `1 2 4`
row_mm, column_mm, slice_mm   too: mm between rows, columns and slices, for files that do not say them
"""

import csv
import io
import math
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from stages.lgg.layouts.patients import Layout, Patient, Spacing, Stack, Volumes, institution_of

TABLE = "patients.csv"
PATHS = ("pre", "flair", "post", "mask")
MM = ("row_mm", "column_mm", "slice_mm")
FURTHER = ("institution", "labels", *MM)
NIFTI = (".nii", ".nii.gz")

Row = dict[str, str]


@dataclass(frozen=True)
class Table:
    """The rows, by patient, and what is wrong with them."""

    rows: dict[str, Row]
    names_files: bool
    problems: list[str]


def read_table(content: bytes) -> Table:
    """The table in `content`: CSV in UTF-8, with commas."""
    try:
        lines = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        return Table({}, False, [f"{TABLE} is no CSV in UTF-8 ({error})"])
    lines = [[cell.strip() for cell in line] for line in lines]
    head = lines[0] if lines else []
    expected = {"patient", *FURTHER}, {"patient", *PATHS, *FURTHER}
    names_files = set(PATHS) <= set(head)
    if "patient" not in head or not set(head) <= expected[names_files] or len(set(head)) < len(head):
        columns = f"{','.join(('patient', *PATHS))}, and perhaps {', '.join(FURTHER)}"
        return Table({}, False, [f"{TABLE}: its columns are {','.join(head)}; they must be {columns}"])
    problems, rows = list[str](), dict[str, Row]()
    for number, line in enumerate(lines[1:], 2):
        if not any(line):
            continue
        if len(line) != len(head) or not line[head.index("patient")]:
            problems.append(f"{TABLE}: line {number} has {len(line)} cells of {len(head)}, or names no patient")
            continue
        row = dict(zip(head, line, strict=True))
        if row["patient"] in rows:
            problems.append(f"{TABLE}: {row['patient']} stands in it twice")
        if not all(label.isdecimal() and int(label) for label in row.get("labels", "").split()):
            problems.append(f"{TABLE}: labels of {row['patient']} are {row['labels']!r}; write them as 1 2 4")
        if _spacing(row) is None and any(row.get(name) for name in MM):
            problems.append(
                f"{TABLE}: {', '.join(MM)} of {row['patient']} must be three numbers above 0, or all be empty"
            )
        rows[row["patient"]] = row
    if not rows and not problems:
        problems.append(f"{TABLE} has no row")
    return Table(rows, names_files, problems)


def from_table(names: Collection[str], table: Table) -> Layout:
    """The patients of a table that names their files."""
    problems = list(table.problems)
    rows = {patient: row | dict(_paths(row)) for patient, row in sorted(table.rows.items())}
    used = Counter(file for row in rows.values() for what in PATHS if (file := row[what]))
    for patient, row in rows.items():
        problems += [f"{TABLE}: {patient} has no {what}" for what in ("flair", "mask") if not row[what]]
        for file in filter(None, (row[what] for what in PATHS)):
            if not file.endswith(NIFTI):
                problems.append(f"{TABLE}: {file!r} of {patient} is no NIfTI file (.nii or .nii.gz)")
            elif file not in names:
                problems.append(f"{TABLE}: {file!r} of {patient} is not there; paths start where the table lies")
    problems += [f"{TABLE}: {file!r} stands in it {times} times" for file, times in used.items() if times > 1]
    patients = [
        Volumes(patient, row["flair"], row["mask"], row["pre"] or None, row["post"] or None)
        for patient, row in rows.items()
    ]
    return Layout(() if problems else tuple(_told(patient, table) for patient in patients), problems)


def add_what_is_known(layout: Layout, table: Table) -> Layout:
    """`layout`, with what `table` says of its patients."""
    there = {patient.patient for patient in layout.patients}
    problems = [*layout.problems, *table.problems]
    if layout.patients:
        problems += [f"{TABLE}: there are no files of {patient}" for patient in sorted(set(table.rows) - there)]
    return replace(layout, patients=tuple(_told(patient, table) for patient in layout.patients), problems=problems)


def _paths(row: Row) -> Iterator[tuple[str, str]]:
    yield from ((what, row[what].removeprefix("./")) for what in PATHS)


def _told(patient: Patient, table: Table) -> Patient:
    row = table.rows.get(patient.patient, {})
    told = replace(
        patient,
        institution=row.get("institution") or institution_of(patient.patient),
        spacing_mm=_spacing(row),
    )
    labels = frozenset(map(int, row.get("labels", "").split()))
    return told if isinstance(told, Stack) or not labels else replace(told, labels=labels)


def _spacing(row: Row) -> Spacing | None:
    """mm between rows, columns and slices; None unless these are three numbers that can be."""
    try:
        rows, columns, slices = (float(row.get(name, "")) for name in MM)
    except ValueError:
        return None
    return (rows, columns, slices) if all(0 < one < math.inf for one in (rows, columns, slices)) else None
