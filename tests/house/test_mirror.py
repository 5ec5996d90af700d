"""Holds the folders of the tests to those of the code: each module has its test file, where one looks for it."""

from pathlib import Path

import pytest

from tests.support.repos import ROOT

CODE = {"tests/gliaflow": "src/gliaflow", "tests/stages": "stages"}
NO_MODULES = {  # tests of several modules, and of what others promise
    "tests/gliaflow/core/test_random_schedules.py",
    "tests/gliaflow/test_contract.py",
    "tests/gliaflow/workspace/test_conformance.py",
    "tests/stages/lgg/test_own_data.py",
    "tests/stages/test_kills.py",
    "tests/stages/test_repro.py",
    "tests/stages/test_sources.py",
}


def mirrored(code: str, tests: Path) -> set[str]:
    """The test files that the modules below `code` must have."""
    modules = [path for path in (ROOT / code).rglob("*.py") if not path.stem.startswith("__")]
    return {str(tests / path.relative_to(ROOT / code).with_name(f"test_{path.stem}.py")) for path in modules}


def found(tests: str) -> set[str]:
    return {str(path.relative_to(ROOT)) for path in (ROOT / tests).rglob("test_*.py")} - NO_MODULES


@pytest.mark.parametrize("tests", CODE)
def test_every_module_has_its_tests(tests: str) -> None:
    assert sorted(mirrored(CODE[tests], Path(tests)) - found(tests)) == []


@pytest.mark.parametrize("tests", CODE)
def test_no_tests_are_left_of_a_module_that_went(tests: str) -> None:
    assert sorted(found(tests) - mirrored(CODE[tests], Path(tests))) == []
