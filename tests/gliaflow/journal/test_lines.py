"""Lines that several append, and pieces of lines."""

from pathlib import Path
from threading import Thread

from gliaflow.journal.lines import Lines


def test_what_was_appended_is_read_in_that_order(tmp_path: Path) -> None:
    lines = Lines(tmp_path / "deep/lines.jsonl")
    assert [*lines.read()] == []
    lines.append({"a": 0.1 + 0.2})
    Lines(tmp_path / "deep/lines.jsonl").append({"b": "ä\n"})
    assert [*lines.read()] == [{"a": 0.1 + 0.2}, {"b": "ä\n"}]
    assert [*lines.read(holding='"b"')] == [{"b": "ä\n"}]


def test_a_piece_of_a_line_stays_by_itself(tmp_path: Path) -> None:
    lines = Lines(tmp_path / "lines")
    lines.append({"a": 1})
    with (tmp_path / "lines").open("ab") as file:
        file.write(b'{"b": ')
    lines.append({"c": 3})
    assert [*lines.read()] == [{"a": 1}, {"c": 3}]
    assert (tmp_path / "lines").read_bytes() == b'{"a": 1}\n{"b": \n{"c": 3}\n'


def test_many_at_once_lose_nothing(tmp_path: Path) -> None:
    def write(number: int) -> None:
        for place in range(50):
            Lines(tmp_path / "lines").append({"by": number, "place": place})

    threads = [Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = [*Lines(tmp_path / "lines").read()]
    assert [[one["place"] for one in found if one["by"] == number] for number in range(4)] == [[*range(50)]] * 4
