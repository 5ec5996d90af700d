"""How long stages took last."""

from pathlib import Path

import pytest

from gliaflow.journal.seconds import NAME, last, merge


def test_what_is_new_replaces_what_was_and_the_rest_stays(tmp_path: Path) -> None:
    assert last(tmp_path) == {}
    merge(tmp_path, {"a": 1.0, "b": 2.0})
    merge(tmp_path, {"b": 3.5})
    merge(tmp_path, {})
    assert last(tmp_path) == {"a": 1.0, "b": 3.5}
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


@pytest.mark.parametrize("text", ["", "{", "[1]", "null", '{"a": "x", "b": NaN}'])
def test_a_broken_file_tells_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / NAME).write_text(text)
    assert last(tmp_path) == {}
    merge(tmp_path, {"a": 1.0})
    assert last(tmp_path) == {"a": 1.0}


def test_what_cannot_be_written_is_left_out(tmp_path: Path) -> None:
    merge(tmp_path / "no folder", {"a": 1.0})
    assert not (tmp_path / "no folder").exists()
