"""What servers were told of a journal."""

from pathlib import Path

import pytest

from gliaflow.export.marks import Mark, path_of, read, write


def test_each_server_has_a_mark_of_its_own(tmp_path: Path) -> None:
    journal = tmp_path / "run.jsonl"
    assert read(journal, "here") == Mark()
    write(journal, "here", Mark("id", 12))
    write(journal, "there", Mark("other", 3, done=True))
    write(journal, "here", Mark("id", 20))
    assert read(journal, "here") == Mark("id", 20)
    assert read(journal, "there") == Mark("other", 3, done=True)


@pytest.mark.parametrize("text", ["", '{"here": {"offset"', "[]", '{"here": 1}'])
def test_a_broken_file_tells_nothing(tmp_path: Path, text: str) -> None:
    journal = tmp_path / "run.jsonl"
    path_of(journal).write_text(text)
    assert read(journal, "here") == Mark()
    write(journal, "here", Mark("id", 1))
    assert read(journal, "here") == Mark("id", 1)
