"""The tables: what is written is read back bit for bit, and a table that is not sound is refused."""

import math
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.errors import BadInput
from stages.lgg.tables import read_patients, read_slices, read_split, read_weights, rows, spacings, write_table

Reader = Callable[[Path], pd.DataFrame]

SLICES = pd.DataFrame(
    {
        "slice": [0, 1, 2, 3],
        "patient": ["TCGA_CS_4941_19960909", "TCGA_CS_4941_19960909", "TCGA_NA_0001_19950101", "TCGA_NA_0001_19950101"],
        "institution": ["CS", "CS", "NA", "NA"],
        "number": [1, 2, 1, 2],
        "tumour_px": [0, 7, 0, 12],
    }
)
SPLIT = pd.DataFrame({"patient": ["TCGA_CS_4941_19960909", "TCGA_NA_0001_19950101"], "subset": ["validation", "train"]})
PATIENTS = pd.DataFrame(
    {
        "patient": ["NA", "sub-001"], "institution": ["unknown", "Bonn"], "height": [256, 20], "width": [256, 16],
        "row_mm": [math.nan, 0.9], "column_mm": [math.nan, 1.1], "slice_mm": [math.nan, 5.0],
        "missing": ["", "pre post"],
    }
)  # fmt: skip
WEIGHTS = pd.DataFrame({"slice": [2, 3], "weight": [0.1, 0.9]})

PATIENTS_HEAD = "patient,institution,height,width,row_mm,column_mm,slice_mm,missing\n"
SLICES_HEAD = "slice,patient,institution,number,tumour_px\n"


@pytest.mark.parametrize(
    ("read", "table", "text"),
    [
        (
            read_slices,
            SLICES,
            SLICES_HEAD + "0,TCGA_CS_4941_19960909,CS,1,0\n1,TCGA_CS_4941_19960909,CS,2,7\n"
            "2,TCGA_NA_0001_19950101,NA,1,0\n3,TCGA_NA_0001_19950101,NA,2,12\n",
        ),
        (
            read_patients,
            PATIENTS,
            "patient,institution,height,width,row_mm,column_mm,slice_mm,missing\n"
            "NA,unknown,256,256,,,,\nsub-001,Bonn,20,16,0.9,1.1,5.0,pre post\n",
        ),
        (read_split, SPLIT, "patient,subset\nTCGA_CS_4941_19960909,validation\nTCGA_NA_0001_19950101,train\n"),
        (read_weights, WEIGHTS, "slice,weight\n2,0.1\n3,0.9\n"),
    ],
)
def test_what_is_written_is_read_back(tmp_path: Path, read: Reader, table: pd.DataFrame, text: str) -> None:
    write_table(table, tmp_path / "table.csv")
    assert (tmp_path / "table.csv").read_bytes() == text.encode()
    again = read(tmp_path / "table.csv")
    pd.testing.assert_frame_equal(again, table)
    assert [str(kind) for kind in again.dtypes] == [str(kind) for kind in table.dtypes]


@given(st.lists(st.floats(1e-12, 1), min_size=1, max_size=20))
def test_weights_keep_all_their_bits(tmp_path_factory: pytest.TempPathFactory, values: list[float]) -> None:
    path = tmp_path_factory.getbasetemp() / "weights.csv"
    weights = np.array(values) / np.sum(values)
    write_table(pd.DataFrame({"slice": range(len(values)), "weight": weights}), path)
    assert path.read_text().splitlines()[1:] == [f"{row},{weight!r}" for row, weight in enumerate(weights.tolist())]
    assert read_weights(path)["weight"].tolist() == weights.tolist()


@pytest.mark.parametrize(
    ("read", "text", "reason"),
    [
        (read_slices, "", "not a table of slice, patient, institution, number, tumour_px \\(No columns .*"),
        (read_slices, SLICES_HEAD, "it has no row"),
        (read_slices, "slice,patient\n0,a\n", "not a table of .* \\(its columns are slice, patient\\)"),
        (read_slices, SLICES_HEAD + "0,a,CS,one,0\n", "not a table of .*one.*"),
        (read_slices, SLICES_HEAD + "0,a,CS,1.5,0\n", "not a table of .*1.5.*"),
        (read_slices, SLICES_HEAD + "0,a,CS,1,\n", "not a table of .*"),
        (read_slices, SLICES_HEAD + "1,a,CS,1,0\n", "column slice does not count 0, 1, 2 \\.\\.\\."),
        (read_slices, SLICES_HEAD + "0,a,CS,1,0\n1,a,CS,1,0\n", "a slice of a patient stands there twice"),
        (read_slices, SLICES_HEAD + "0,a,CS,1,-1\n", "column tumour_px has a negative number"),
        (read_patients, PATIENTS_HEAD + "a,B,2,2,,,,\na,B,2,2,,,,\n", "a patient stands there twice"),
        (read_patients, PATIENTS_HEAD + "a,B,0,2,,,,\n", "a height or width is not positive"),
        (read_patients, PATIENTS_HEAD + "a,B,,2,,,,\n", "not a table of .*"),
        (read_patients, PATIENTS_HEAD + "a,B,2,2,1,1,0,\n", "a spacing is no length"),
        (read_patients, PATIENTS_HEAD + "a,B,2,2,1,inf,1,\n", "a spacing is no length"),
        (read_patients, PATIENTS_HEAD + "a,B,2,2,1,,1,\n", "a spacing is known in part"),
        (read_patients, PATIENTS_HEAD + "a,B,2,2,,,,flair\n", "column missing has more than pre and post"),
        (read_patients, SLICES_HEAD + "0,a,CS,1,0\n", "not a table of .*"),
        (read_split, "patient,subset\na,train\na,validation\n", "a patient stands there twice"),
        (read_split, "patient,subset\na,test\n", "a subset is not train or validation"),
        (read_weights, "slice,weight\n1,0.5\n1,0.5\n", "column slice does not ascend"),
        (read_weights, "slice,weight\n1,0.5\n2,0.4\n", "column weight does not sum to 1, or has a negative number"),
        (read_weights, "slice,weight\n1,1.5\n2,-0.5\n", "column weight does not sum to 1, or has a negative number"),
        (read_weights, "slice,weight\n1,nan\n2,1\n", "column weight does not sum to 1, or has a negative number"),
    ],
)
def test_tables_that_are_refused(tmp_path: Path, read: Reader, text: str, reason: str) -> None:
    path = tmp_path / "table.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BadInput) as caught:
        read(path)
    message = str(caught.value)
    assert re.fullmatch(rf"{re.escape(str(path))}: {reason}; run dvc repro", message)


@pytest.mark.parametrize("read", [read_slices, read_patients, read_split, read_weights])
def test_bytes_that_are_no_text_and_no_file_at_all(tmp_path: Path, read: Reader) -> None:
    path = tmp_path / "table.csv"
    with pytest.raises(BadInput, match=r"table\.csv: no such file; run dvc repro"):
        read(path)
    path.write_bytes(b"\xff\xfe\x00\x9d")
    with pytest.raises(BadInput, match="not a table of"):
        read(path)


def test_rows_of_each_subset() -> None:
    assert rows(SLICES, SPLIT, "train").tolist() == [2, 3]
    assert rows(SLICES, SPLIT, "validation").tolist() == [0, 1]
    assert rows(SLICES, SPLIT.assign(subset="train"), "validation").tolist() == []


def test_a_patient_without_subset_is_refused() -> None:
    message = "split: patient TCGA_NA_0001_19950101 of the slices is in no subset; run dvc repro lgg-split"
    with pytest.raises(BadInput, match=f"^{message}$"):
        rows(SLICES, SPLIT[:1], "validation")


def test_the_spacing_of_those_of_whom_it_is_known() -> None:
    assert spacings(PATIENTS) == {"sub-001": (0.9, 1.1, 5.0)}
