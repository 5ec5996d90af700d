"""The table patients.csv: what it says wins; what it gets wrong is named."""

import pytest

from stages.lgg.layouts.patients import Layout, Stack, Volumes
from stages.lgg.layouts.table import add_what_is_known, from_table, read_table

HEAD = "patient,pre,flair,post,mask"
NAMES = {f"{patient}/{what}.nii.gz" for patient in "ab" for what in ("t1", "flair", "t1c", "seg")}
TWO = (
    f"{HEAD},institution,labels\n"
    "a,a/t1.nii.gz,./a/flair.nii.gz,,a/seg.nii.gz,Bonn,1 2 4\n"
    "b,,b/flair.nii.gz,,b/seg.nii.gz,,\n"
)


def test_patients() -> None:
    found = from_table(NAMES, read_table(TWO.encode()))
    assert found.problems == []
    assert found.patients == (
        Volumes("a", "a/flair.nii.gz", "a/seg.nii.gz", "a/t1.nii.gz", None, frozenset({1, 2, 4}), "Bonn"),
        Volumes("b", "b/flair.nii.gz", "b/seg.nii.gz"),
    )


def test_as_a_spreadsheet_saves_it() -> None:
    text = "\ufeff" + TWO.replace("\n", "\r\n") + ",,,,,,\r\n"
    assert from_table(NAMES, read_table(text.encode())).patients == from_table(NAMES, read_table(TWO.encode())).patients


def test_what_else_is_known_of_other_layouts() -> None:
    table = read_table(b"patient,institution\nTCGA_CS_1,Jena\nb,\n")
    layout = Layout((Stack("TCGA_CS_1", (), ()), Stack("TCGA_DU_2", (), (), "DU"), Volumes("b", "f", "m")))
    found = add_what_is_known(layout, table)
    assert [patient.institution for patient in found.patients] == ["Jena", "DU", "unknown"]
    assert found.problems == []
    mm = read_table(b"patient,row_mm,column_mm,slice_mm\nTCGA_CS_1,1,1.5,5\nb,,,\n")
    assert [patient.spacing_mm for patient in add_what_is_known(layout, mm).patients] == [(1, 1.5, 5), None, None]
    labels = add_what_is_known(Layout((Volumes("b", "f", "m"),)), read_table(b"patient,labels\nb,2\n")).patients[0]
    assert isinstance(labels, Volumes)
    assert labels.labels == frozenset({2})
    lost = add_what_is_known(Layout((Volumes("b", "f", "m"),)), table)
    assert lost.problems == ["patients.csv: there are no files of TCGA_CS_1"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "its columns are ; they must be patient,pre,flair,post,mask, and perhaps institution, labels, row_mm"),
        ("patient;pre;flair;post;mask\n", "its columns are patient;pre;flair;post;mask; they must be"),
        (f"{HEAD},instituton\n", "instituton; they must be"),
        ("patient,flair,mask\n", "its columns are patient,flair,mask; they must be"),
        (f"{HEAD}\n", "has no row"),
        (f"{HEAD}\na,,x.nii\n", "line 2 has 3 cells of 5"),
        (f"{HEAD}\n,,x.nii,,y.nii\n", "line 2 has 5 cells of 5, or names no patient"),
        (TWO + "a,,,,,,\n", "a stands in it twice"),
        (f"{HEAD},labels\na,,a/flair.nii.gz,,a/seg.nii.gz,one\n", "labels of a are 'one'; write them as 1 2 4"),
        (f"{HEAD},labels\na,,a/flair.nii.gz,,a/seg.nii.gz,0 1\n", "labels of a are '0 1'; write them as 1 2 4"),
        (
            f"{HEAD},row_mm\na,,a/flair.nii.gz,,a/seg.nii.gz,1\n",
            "row_mm, column_mm, slice_mm of a must be three numbers",
        ),
        ("patient,row_mm,column_mm,slice_mm\na,1,1,0\n", "row_mm, column_mm, slice_mm of a must be three numbers"),
        ("patient,row_mm,column_mm,slice_mm\na,1,inf,1\n", "row_mm, column_mm, slice_mm of a must be three numbers"),
        ("patient,row_mm,column_mm,slice_mm\na,1,x,1\n", "row_mm, column_mm, slice_mm of a must be three numbers"),
        (f"{HEAD}\na,,,,a/seg.nii.gz\n", "a has no flair"),
        (f"{HEAD}\na,,a/flair.nii.gz,,\n", "a has no mask"),
        (
            f"{HEAD}\na,,a/flair.nii.gz,,a/lost.nii\n",
            "'a/lost.nii' of a is not there; paths start where the table lies",
        ),
        (f"{HEAD}\na,,a/flair.tif,,a/seg.nii.gz\n", "'a/flair.tif' of a is no NIfTI file"),
        (
            f"{HEAD}\na,,a/flair.nii.gz,,a/seg.nii.gz\nb,,a/flair.nii.gz,,b/seg.nii.gz\n",
            "'a/flair.nii.gz' stands in it 2",
        ),
    ],
)
def test_tables_that_are_refused(text: str, problem: str) -> None:
    table = read_table(text.encode())
    problems = table.problems or from_table(NAMES, table).problems
    assert any(problem in one for one in problems), problems
    assert all(one.startswith("patients.csv") for one in problems)


def test_bytes_that_are_no_text() -> None:
    (problem,) = read_table(b"patient\n\xfc\n").problems
    assert problem.startswith("patients.csv is no CSV in UTF-8")
