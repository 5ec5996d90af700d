"""The files of patients."""

import pytest

from stages.lgg.layouts.patients import Layout, Stack, Volumes, institution_of


@pytest.mark.parametrize(
    ("name", "institution"),
    [
        ("TCGA_CS_4941_19960909", "CS"), ("TCGA-HT-7602", "HT"), ("TCGA_CS", "unknown"), ("sub-TCGA_CS_1", "unknown"),
        ("", "unknown"),
    ],
)  # fmt: skip
def test_institutions(name: str, institution: str) -> None:
    assert institution_of(name) == institution


def test_files_are_all_that_packing_reads() -> None:
    stack = Stack("a", ("a/a_1.tif", "a/a_2.tif"), ("a/a_1_mask.tif", "a/a_2_mask.tif"))
    volumes = Volumes("b", "b/flair.nii", "b/mask.nii", post="b/post.nii")
    assert Layout((stack, volumes), tables=("patients.csv",)).files == [
        "a/a_1.tif", "a/a_1_mask.tif", "a/a_2.tif", "a/a_2_mask.tif", "b/flair.nii", "b/mask.nii", "b/post.nii",
        "patients.csv",
    ]  # fmt: skip
