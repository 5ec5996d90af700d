"""Which layout the files of an archive or folder have, by their names alone."""

import re
from collections.abc import Callable, Collection
from dataclasses import replace

from stages.lgg.layouts.bids import bids, is_bids
from stages.lgg.layouts.nnunet import DATASET, IMAGES, nnunet
from stages.lgg.layouts.patients import Layout
from stages.lgg.layouts.pictures import KAGGLE, is_picture, pictures
from stages.lgg.layouts.table import NIFTI, TABLE, Table, add_what_is_known, from_table, read_table

ESCAPE = re.compile(r"^$|^/|^[A-Za-z]:|(^|/)\.\.(/|$)|\\|\0")
NOISE = re.compile(r"(^|/)(__MACOSX/|\.)")
"""Names that are passed over."""
ODD = re.compile(r"[\x00-\x1f\x7f]")
LAYOUTS = (
    "<patient>/<patient>_<number>.tif with ..._mask.tif, nnU-Net's (imagesTr, labelsTr, dataset.json), BIDS's "
    "(sub-001/anat/...), or a table patients.csv"
)


def recognise(names: Collection[str], read: Callable[[str], bytes]) -> Layout:
    """The patients among the files called `names`, of which `read` gives the content of a table.

    A table that names files comes first, then Kaggle's folder, nnU-Net's and BIDS's, and pictures.
    """
    table = read_table(read(TABLE)) if TABLE in names else None
    if table and table.problems:
        return Layout(problems=table.problems, tables=(TABLE,))
    layout = _layout(names, read, table)
    if table and not table.names_files:
        layout = add_what_is_known(layout, table)
    problems = [
        *layout.problems,
        *(f"{one.patient!r} is no name" for one in layout.patients if ODD.search(one.patient)),
    ]
    return replace(layout, problems=problems, tables=(*layout.tables, *([TABLE] if table else [])))


def _layout(names: Collection[str], read: Callable[[str], bytes], table: Table | None) -> Layout:
    if table and table.names_files:
        return from_table(names, table)
    if any(name.startswith(KAGGLE) for name in names):
        return pictures(names, KAGGLE)
    of_nnunet, of_bids = any(name.startswith(IMAGES) for name in names), any(map(is_bids, names))
    if of_nnunet and of_bids:
        return Layout(
            problems=["there are patients as nnU-Net and as BIDS has them; keep one of the two, or add a table"]
        )
    if of_nnunet:
        told = table is not None and any(row.get("labels") for row in table.rows.values())
        return nnunet(names, read(DATASET) if DATASET in names else None, labels_told=told)
    if of_bids:
        return bids(names)
    if any(map(is_picture, names)):
        return pictures(names, "")
    if nifti := sorted(name for name in names if name.endswith(NIFTI)):
        return Layout(problems=[f"nothing says whose {nifti[0]} is; layouts are {LAYOUTS}"])
    return Layout(problems=[f"no image in it; layouts are {LAYOUTS}"]) if names else pictures(names, KAGGLE)
