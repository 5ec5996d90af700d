"""A picture a slice: whose it is, and what keeps a folder from being whole."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.lgg.layouts.pictures import KAGGLE, pictures

NAMES = st.text(st.characters(exclude_characters="/", exclude_categories=["C"]), min_size=1, max_size=8)
ANNA = ["Anna B/Anna B_1.png", "Anna B/Anna B_1_mask.png", "Anna B/Anna B_2.tif", "Anna B/Anna B_2_mask.tif"]


@pytest.mark.parametrize("root", ["", KAGGLE])
def test_slices_follow_their_numbers(root: str) -> None:
    many = [f"{root}P/P_{number}{mask}.tif" for number in (10, 9, *range(1, 9)) for mask in ("_mask", "")]
    layout = pictures([*(root + name for name in ANNA), *many, f"{root}README.md"], root)
    assert layout.problems == []
    anna, other = layout.patients
    assert list(anna.files) == [root + ANNA[0], root + ANNA[2], root + ANNA[1], root + ANNA[3]]
    assert list(other.files)[:10] == [f"{root}P/P_{number}.tif" for number in range(1, 11)]


def test_institutions_are_those_in_names_of_tcga() -> None:
    names = ["TCGA_CS_4941_19960909", "TCGA-DU-5849", "sub-001", "tcga_cs_1"]
    layout = pictures([f"{name}/{name}_1{end}.tif" for name in names for end in ("", "_mask")], "")
    assert {patient.patient: patient.institution for patient in layout.patients} == {
        names[0]: "CS", names[1]: "DU", names[2]: "unknown", names[3]: "unknown",
    }  # fmt: skip


@given(counts=st.dictionaries(NAMES, st.integers(1, 12), min_size=1, max_size=4))
def test_patients_of_any_name(counts: dict[str, int]) -> None:
    stems = [f"{name}/{name}_{number}" for name, count in counts.items() for number in range(1, count + 1)]
    layout = pictures([f"{stem}{end}.tif" for stem in stems for end in ("", "_mask")], "")
    assert layout.problems == []
    assert {patient.patient: len(list(patient.files)) // 2 for patient in layout.patients} == counts
    assert [patient.patient for patient in layout.patients] == sorted(counts)


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (ANNA[1:], "Anna B_1 has no image"),
        ([*ANNA[:1], *ANNA[2:]], "Anna B_1 has no mask"),
        (ANNA[2:], "Anna B has slices up to 2, but none numbered 1"),
        ([*ANNA, "preview.png"], "'preview.png' is not named <patient>/<patient>_<number>.tif or ..._mask.tif"),
        ([*ANNA, "Anna B/Anna B_1.tif"], "Anna B/Anna B_1.tif and Anna B/Anna B_1.png are the same slice"),
        ([*ANNA, "x/x_1.TIF"], "'x/x_1.TIF' is not named <patient>/<patient>_<number>.tif or ..._mask.tif"),
    ],
)
def test_what_is_not_whole_is_named(names: list[str], problem: str) -> None:
    layout = pictures(names, "")
    assert layout.problems == [problem]
    assert layout.patients == ()
