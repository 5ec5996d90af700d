"""The quick text is DVC's, byte for byte, and DVC leaves it as it is; `GLIAFLOW_TEXTS` says of how many random ones."""

import os
import random
import struct
from collections import OrderedDict
from pathlib import Path
from typing import Any

import dvc.utils.serialize
import pytest
from dvc.utils.serialize import dumps_yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gliaflow.lockfiles.text import dumped, quick, quick_records, rewritten

EXAMPLES = int(os.environ.get("GLIAFLOW_TEXTS", "500"))
HEAD = "schema: '2.0'\nstages:\n"
USUAL = "abcdefghijklmnopqrstuvwxyzABCXYZ0123456789./_-="
ODD = ": #-'\"\\\n\t{}[],&*!|>%@`?=<~.é\u2028\x85\0😀$()/_+ab01"
MEANING = r"""
    true True TRUE null Null ~ yes No on off y n 1 -1 +1 1.0 1. .5 -.5 1e5 1.5e-7 0x1f 0X1F 0o7 010 0b01 1_000 1:30
    2020-01-01 2001-12-14t21:59:43.10-05:00 = << - -- --- ... ? : # 'a' "a" {a} [a] a: a:b a#b @a `a %a &a *a !a |a >a
    2.0 .inf -.inf .nan NaN inf e5 1e 12e3 false FALSE /a ./a ../a .a ..a _1 a,b it's $a ;a (a) 0 00 0.0 -0 d41d8 1d
    0b1a d41d8cd98f00b204e9800998ecf8427e 26ab0db90d72e28ad0ba1e22ee510510.dir 12345678901234567890123456789e12
"""
WORDS = MEANING.split()
ENTRY = {
    "cmd": "python -m work --in data/in.csv --out data/out.csv",
    "deps": [{"path": "data/in.csv", "hash": "md5", "md5": "26ab0db90d72e28ad0ba1e22ee510510", "size": 123}],
    "params": {"params.yaml": {"rate": 0.001, "names": ["a", "b"], "deep": {"on": True, "none": None}}},
    "outs": [{"path": "d", "hash": "md5", "md5": "d41d8cd98f00b204e9800998ecf8427e.dir", "size": 0, "nfiles": 2}],
}

usual = st.text(USUAL, min_size=1, max_size=90)
lines = st.lists(st.text(USUAL, min_size=1, max_size=30), min_size=1, max_size=40).map(" ".join)
hashes = st.text("0123456789abcdef", min_size=1, max_size=32)
strings = st.one_of(
    usual,
    lines,
    hashes,
    hashes.map("{}.dir".format),
    st.text("0123456789e+-._", min_size=1, max_size=32),
    st.sampled_from(["", " ", " a", "a ", "a  b", *WORDS]),
    st.text(ODD, max_size=100),
    st.text(max_size=20),
)
floats = st.one_of(st.floats(), st.floats(-10, 10), st.integers(-12, 30).map(lambda n: 10.0**n))
scalars = st.one_of(strings, strings, st.integers(), floats, st.booleans(), st.none())
keys = st.one_of(usual, usual, strings, st.integers(), st.booleans(), st.none())
trees = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(keys, inner, max_size=4)),
    max_leaves=12,
)


def by_dvc(data: Any) -> str | None:
    """What DVC writes; None if it fails."""
    try:
        return str(dumps_yaml(data))
    except Exception:  # of ruamel.yaml, for some key
        return None


def same(data: dict[Any, Any]) -> bool:
    """Whether the quick way knows the text; what it gives is held to DVC's."""
    expected = by_dvc(data)
    text = quick(data)
    if text is not None:
        assert text == expected
        assert rewritten(text) == text
    inside = quick(data, 2)
    if inside is not None:
        whole = HEAD + inside
        assert whole == by_dvc({"schema": "2.0", "stages": data})
        assert rewritten(whole) == whole
    return text is not None


@given(data=st.dictionaries(keys, trees, min_size=1, max_size=3))
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize="GLIAFLOW_TEXTS" not in os.environ,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
def test_random_data(data: dict[Any, Any]) -> None:
    same(data)


def test_random_scalars_of_a_usual_entry() -> None:
    """What hypothesis seldom draws: numbers with many digits, and long commands broken at every column."""
    draw, known = random.Random(8), 0
    for _ in range(EXAMPLES // 2):
        words = ["".join(draw.choices(USUAL, k=draw.randint(1, 30))) for _ in range(draw.randint(1, 25))]
        rate = draw.choice([draw.uniform(-9, 9), 10 ** draw.uniform(-12, 20), *struct.unpack("d", draw.randbytes(8))])
        stage = ENTRY | {"cmd": " ".join(["p", *words]), "params": {"p": {"rate": rate, words[0]: words[-1]}}}
        known += same({"k" * draw.randint(1, 70): stage, "list": [stage["cmd"], [stage["cmd"]]]})
    assert known > EXAMPLES // 6


@pytest.mark.parametrize("word", WORDS)
def test_words_that_mean_something_in_yaml(word: str) -> None:
    assert same({"k": word, "l": [word, {"k": word}], "long": f"{word} {'x' * 90} {word}"}) is not None
    same({word: 1})
    same({f"a{word}": [f"{word} a"]})


@pytest.mark.parametrize("length", range(60, 90))
def test_lines_are_broken_where_dvc_breaks_them(length: int) -> None:
    assert same({"cmd": f"{'x' * length} y {'z' * length} {'w ' * 50}w", "l": [f"{'x' * (length - 2)} y"]})
    assert same({"k": {"k": {"l": ["a" * length, [f"{'b' * length} c"]]}}, "n": 10**length})


def test_usual_entries_need_no_asking() -> None:
    assert same({"train": ENTRY})
    assert same({"train@0": ENTRY | {"cmd": [ENTRY["cmd"], f"{ENTRY['cmd']} && gzip -9 < a > b | tee 'c d' \"e\""]}})
    assert same({"train": OrderedDict(ENTRY), "empty": {}, "none": [], "deep": [[], {}, None, [None, 1]]})


def test_what_stands_twice_is_left_to_dvc() -> None:
    shared = ["a"]
    assert quick({"a": shared, "b": shared}) is None
    assert dumped({"a": shared, "b": shared}) == "a: &id001\n- a\nb: *id001\n"


def test_data_of_other_types_is_left_to_dvc() -> None:
    class Name(str):
        __slots__ = ()

    assert quick({"a": Name("b")}) is None
    assert same({1: "b"}) is False


@pytest.mark.parametrize("data", [{}, [], ["a"], None, "a", {"a": "b: c # d"}])
def test_all_else_is_asked_for(data: Any) -> None:
    assert dumped(data) == dumps_yaml(data)


def test_records_are_written_so_while_it_is_asked_for(tmp_path: Path) -> None:
    before = dvc.utils.serialize.dump_yaml
    before(str(tmp_path / "dvc"), ENTRY)
    with quick_records():
        assert dvc.utils.serialize.dump_yaml is not before
        dvc.utils.serialize.dump_yaml(str(tmp_path / "quick"), ENTRY)
    assert dvc.utils.serialize.dump_yaml is before
    assert (tmp_path / "quick").read_bytes() == (tmp_path / "dvc").read_bytes()
