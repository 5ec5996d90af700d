"""Lines in files: of keys, of characters, of values that cannot be read."""

from pathlib import Path

import pytest

from gliaflow.words.places import content, keys_of, line_at, line_of_key, unreadable_value

TEXT = """vars:
- n: 1
  when: 5
stages:
  a:
    foreach: [x, y]
    do:
      cmd: x
      outs:
      - o
      -
        p:
          cache: false
  b.c:
    cmd:
    wdir: x
"""


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        (["vars"], 2),
        (["vars", 0, "when"], 3),
        (["stages", "a"], 6),
        (["stages", "a@x"], 6),
        (["stages", "a@x", "foreach"], 6),
        (["stages", "a@x", "cmd"], 8),
        (["stages", "a", "do", "outs", 0], 10),
        (["stages", "a", "do", "outs", 1, "p", "cache"], 13),
        (["stages", "a", "nothing"], 6),
        (["stages", "b.c", "cmd"], 15),
        (["nothing"], None),
        ([["no key"]], None),
        ([], None),
    ],
)
def test_the_line_of_a_key(keys: list[object], line: int | None) -> None:
    assert line_of_key(TEXT, keys) == line


@pytest.mark.parametrize("text", ["", "[", "5", "a: 2020-13-45\n", "a: &a [*a]\n"])
def test_a_text_without_the_key_has_no_line(text: str) -> None:
    assert line_of_key(text, ["stages", "a"]) is None


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("stages.a@1.cmd", ["stages", "a@1", "cmd"]),
        ("stages.b.c.wdir", ["stages", "b.c", "wdir"]),
        ("artifacts.m", ["artifacts", "m"]),
        ("plots.2", ["plots", 2]),
        ("vars[1]", ["vars", 1]),
        ("days.0", ["days", 0]),
    ],
)
def test_the_keys_of_a_name(name: str, keys: list[object]) -> None:
    assert keys_of(name) == keys


def test_the_line_of_a_character_or_byte() -> None:
    assert [line_at("a\nb\n", place) for place in range(4)] == [1, 1, 2, 2]
    assert line_at(b"a\n\xff", 2) == 2


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a: 1\nb: [2020-13-45]\n", (2, "2020-13-45")),
        ("a: 1\n2020-02-30: x\n", (2, "2020-02-30")),
        ("a: !!int abc\n", (1, "abc")),
        ("a: &a [*a, 1]\n", None),
        ("a: 2020-01-01\n", None),
        ("a: [\n", None),
        ("", None),
    ],
)
def test_a_value_that_cannot_be_read(text: str, found: tuple[int, str] | None) -> None:
    assert unreadable_value(text) == found


def test_a_file_that_cannot_be_read_is_empty(tmp_path: Path) -> None:
    assert content(str(tmp_path)) == content(str(tmp_path / "none")) == ""
    (tmp_path / "x").write_bytes(b"a\xff")
    assert content(str(tmp_path / "x")) == "a\ufffd"
