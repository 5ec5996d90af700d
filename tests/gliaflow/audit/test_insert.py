"""Dependencies in the text of a dvc.yaml: where they go in texts of every shape, and that all else stays."""

import random
import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from gliaflow.audit.insert import edited, replace
from gliaflow.errors import UserError

NEW = ["x.py", "lib/y.py"]
SHAPES = {
    "block": """stages:
  s:
    cmd: python a.py
    deps:
    - a.py
    «- x.py
    - lib/y.py
    »outs: [o]
""",
    "block, indented, with comments": """stages:
  s:
    deps:  # why
      - a.py  # this
      «- x.py
      - lib/y.py
      »# and
    # that
    cmd: c
""",
    "block at the end, without a newline": """stages:
  s:
    cmd: c
    deps:
      - a.py«
      - x.py
      - lib/y.py»""",
    "block of entries with settings": """stages:
  s:
    cmd: c
    deps:
    - a.py:
        hash: md5
«    - x.py
    - lib/y.py
»
    outs:
    - o
""",
    "flow on one line": """stages:
  s:
    cmd: c
    deps: [a.py«, x.py, lib/y.py»]  # why
""",
    "flow with spaces, quotes and a comma at the end": """stages:
  s:
    cmd: c
    deps: [ 'a b.py', "${x}"«, x.py, lib/y.py» , ]
""",
    "empty flow": """stages:
  s:
    cmd: c
    deps: [«x.py, lib/y.py»]
""",
    "flow over lines": """stages:
  s:
    cmd: c
    deps: [
      a.py, b.py,
      c.py«, x.py, lib/y.py»]
""",
    "flow, one a line": """stages:
  s:
    cmd: c
    deps: [
      a.py,
      b.py«,
      x.py,
      lib/y.py»  # last
    ]
""",
    "a full line of a flow": """stages:
  s:
    cmd: c
    deps: [
      a.py, b.py,
      ccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc.py«,
      x.py, lib/y.py»]
""",
    "flow within flow": """stages: {s: {cmd: c, deps: [a.py, b.py: {hash: md5}«, x.py, lib/y.py»]}}
""",
    "a stage in flow without deps": """stages:
  s: {cmd: python a.py, «deps: [x.py, lib/y.py], »outs: [o]}
""",
    "no deps": """stages:
  s:
    cmd: python a.py  # so
    «deps:
      - x.py
      - lib/y.py
    »outs: [o]
""",
    "no deps after folded text": """stages:
  s:
    cmd: >-
      python a.py

      --flag
«    deps:
      - x.py
      - lib/y.py
»
    # of outs
    outs: [o]
""",
    "no deps after literal text at the end": """stages:
  s:
    «deps:
      - x.py
      - lib/y.py
    »cmd: |
      python a.py
      python b.py""",
    "no deps after a list of commands": """stages:
  s:
    cmd:
    - python a.py
    - python b.py
    «deps:
      - x.py
      - lib/y.py
    »outs: [o]
""",
    "no deps after a plain text of two lines": """stages:
  s:
    cmd: python a.py
      --flag
    «deps:
      - x.py
      - lib/y.py
    »outs: [o]
""",
    "foreach": """stages:
  s:
    foreach: [1, 2]
    do:
      cmd: python a.py ${item}
      deps: [a.py«, x.py, lib/y.py»]
""",
    "matrix": """stages:
  s:
    matrix: {n: [1, 2]}
    cmd: python a.py ${item.n}
    deps:
    - a.py
«    - x.py
    - lib/y.py
»""",
    "an anchor that nobody else uses": """stages:
  s:
    cmd: &c python a.py
    deps: &d [a.py«, x.py, lib/y.py»]
  t:
    cmd: *c
    deps: [b.py]
""",
    "a command that is an anchor's": """vars: [{c: &c python a.py}]
stages:
  s:
    cmd: *c
    «deps:
      - x.py
      - lib/y.py
    »outs: [o]
""",
    "a byte order mark": """\ufeffstages:
  s:
    cmd: c
    deps: [a.py«, x.py, lib/y.py»]
""",
    "letters of more than one byte": """# σ
stages:
  s:
    desc: größer
    cmd: c
    deps: [ä.py«, x.py, lib/y.py»]
""",
}


def shape_of(name: str) -> tuple[str, str]:
    """The text before, and after: with what stands in « »."""
    return re.sub("«.*»", "", SHAPES[name], flags=re.DOTALL), re.sub("[«»]", "", SHAPES[name])


def written(tmp_path: Path, text: str, deps: list[str]) -> str:
    """The text of a dvc.yaml once its stage `s` has these dependencies too."""
    (tmp_path / "dvc.yaml").write_bytes(text.encode())
    return edited(tmp_path / "dvc.yaml", {"s": deps}).decode()


def data(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)


@pytest.mark.parametrize("shape", SHAPES)
def test_lines_go_where_the_others_are(tmp_path: Path, shape: str) -> None:
    before, after = shape_of(shape)
    assert written(tmp_path, before, NEW) == after


@pytest.mark.parametrize("shape", SHAPES)
def test_lines_end_as_the_others_do(tmp_path: Path, shape: str) -> None:
    before, after = (text.replace("\n", "\r\n") for text in shape_of(shape))
    assert written(tmp_path, before, NEW) == after


@pytest.mark.parametrize("shape", SHAPES)
def test_one_after_another_is_as_both_at_once(tmp_path: Path, shape: str) -> None:
    before, after = shape_of(shape)
    one, two = NEW
    assert data(written(tmp_path, written(tmp_path, before, [one]), [two])) == data(after)


@pytest.mark.parametrize(
    "name", ["a b.py", "é.py", "#.py", "-.py", "a: b.py", "[a].py", "true", "1.5", "1e3", "a'\".py"]
)
def test_any_name_is_written_so_that_it_is_read_again(tmp_path: Path, name: str) -> None:
    for before in ("stages:\n  s:\n    cmd: c\n    deps: [b]\n", "stages:\n  s:\n    cmd: c\n    deps:\n    - b\n"):
        assert data(written(tmp_path, before, [name]))["stages"]["s"]["deps"] == ["b", name]


def test_several_stages_at_once(tmp_path: Path) -> None:
    stages = "".join(f"  s{n}:\n    cmd: c\n    deps:\n    - a.py\n\n" for n in range(3))
    (tmp_path / "dvc.yaml").write_text(f"stages:\n{stages}")
    found = data(edited(tmp_path / "dvc.yaml", {"s2": ["x.py"], "s0": ["y.py", "z.py"]}).decode())["stages"]
    assert [found[f"s{n}"]["deps"] for n in range(3)] == [["a.py", "y.py", "z.py"], ["a.py"], ["a.py", "x.py"]]


@pytest.mark.parametrize("seed", range(40))
def test_nothing_goes_from_texts_at_random(tmp_path: Path, seed: int) -> None:
    """What comes in is what comes out without the lines that were added."""
    draw = random.Random(seed)
    text = "# of all\nvars: [{v: 1}]\nstages:\n"
    wanted = {}
    for number in range(draw.randint(1, 6)):
        listed = [f"d{n}.py" for n in range(draw.randint(0, 4))]
        space, comment = draw.choice(["", "  "]), draw.choice(["", "  # it's"])
        gap = draw.choice(["", "\n", "    # between\n", "\n# far left\n"])
        block = "".join(f"    {space}- {name}{comment}\n" for name in listed)
        flow = draw.choice([", ", ",\n      ", " , "]).join(listed)
        lines = draw.choice([f"    deps:{comment}\n{block}" if listed else "", f"    deps: [{flow}]{comment}\n", ""])
        command = draw.choice(["python a.py", "|\n      python a.py", "[a, b]"])
        parts = [f"    cmd: {command}\n", lines, "    outs: [o]\n"]
        draw.shuffle(parts)
        text += f"  s{number}:{comment}\n{gap.join(parts)}{gap}"
        if draw.random() < 0.7:
            wanted[f"s{number}"] = [f"new{number}.py", f"more/new{number}.py"]
    text = text.rstrip("\n") if draw.random() < 0.3 else text
    text = text.replace("\n", "\r\n") if draw.random() < 0.3 else text
    (tmp_path / "dvc.yaml").write_bytes(text.encode())
    before, after = data(text), edited(tmp_path / "dvc.yaml", wanted).decode()
    for name, deps in wanted.items():
        before["stages"][name]["deps"] = before["stages"][name].get("deps", []) + deps
    assert data(after) == before
    left = iter(after)
    assert all(character in left for character in text)  # in this order


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("d: &d [a.py]\nstages:\n  s:\n    cmd: c\n    deps: *d\n", "its 'deps' is that of an anchor"),
        ("stages:\n  s:\n    cmd: c\n    deps: &d [a.py]\n  t:\n    cmd: c\n    deps: *d\n", "without changing more"),
        ("d: &d {deps: [a.py]}\nstages:\n  s:\n    <<: *d\n    cmd: c\n", "its 'deps' is that of an anchor|no 'deps'"),
        ("d: &d {cmd: c}\nstages:\n  s:\n    <<: *d\n    outs: [o]\n", "its command is that of an anchor"),
        ("d: &d {cmd: c}\nstages:\n  s: *d\n", "its 's' is that of an anchor"),
        ("stages:\n  s:\n    cmd: c\n    deps: ${deps}\n", "its deps come from a parameter"),
    ],
)
def test_what_has_no_place_is_refused_with_the_lines(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(UserError, match=rf"dvc.yaml: stage 's': .*({why}).*; add by hand: x.py, lib/y.py$"):
        written(tmp_path, text, NEW)


def test_a_name_that_dvc_would_take_for_a_template_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="too unusual"):
        written(tmp_path, "stages:\n  s:\n    cmd: c\n    deps: [b]\n", ["${x}.py"])


def test_a_file_is_replaced_with_its_mode_and_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.yaml").write_text("old")
    (tmp_path / "real.yaml").chmod(0o640)
    (tmp_path / "dvc.yaml").symlink_to("real.yaml")
    replace(tmp_path / "dvc.yaml", b"new")
    assert (tmp_path / "dvc.yaml").is_symlink()
    assert (tmp_path / "real.yaml").read_text() == "new"
    assert (tmp_path / "real.yaml").stat().st_mode & 0o777 == 0o640
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dvc.yaml", "real.yaml"]
