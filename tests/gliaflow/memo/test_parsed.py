"""A text that was parsed before gives what DVC would parse, or fails as it would."""

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from dvc.schema import COMPILED_MULTI_STAGE_SCHEMA as SCHEMA
from dvc.utils import strictyaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gliaflow.memo.parsed import BELOW, LONG, parsed_once

LONG_STAGES = "".join(f"  stage{n}:\n    cmd: echo {n} é\n    deps: [in{n}.txt]\n" for n in range(LONG // 40))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "dvc.yaml"
    path.write_text(f"stages:\n{LONG_STAGES}")
    return path


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Path]:
    with parsed_once(tmp_path / "tmp"):
        yield tmp_path / "tmp" / BELOW


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that DVC parses."""
    found: list[str] = []
    real = strictyaml.parse_yaml

    def parse(text: str, *args: Any, **options: Any) -> Any:
        found.append(text)
        return real(text, *args, **options)

    monkeypatch.setattr(strictyaml, "parse_yaml", parse)
    return found


def load(file: Path) -> Any:
    return strictyaml.load(str(file), SCHEMA)


def test_a_text_is_parsed_once(file: Path, kept: Path, parsed: list[str]) -> None:
    first = load(file)
    assert [load(file), load(file)] == [first, first]
    assert first[1] == file.read_text()
    assert len(parsed) == 1
    assert len(list(kept.iterdir())) == 1


def test_nobody_shares_what_is_kept(file: Path, kept: Path) -> None:
    load(file)
    load(file)[0]["stages"].clear()
    assert load(file)[0]["stages"]
    assert list(kept.iterdir())


def test_another_text_is_parsed_and_takes_the_place(file: Path, kept: Path, parsed: list[str]) -> None:
    load(file)
    file.write_text(file.read_text().replace("stage3:", "three:"))
    assert "three" in load(file)[0]["stages"]
    assert "three" in load(file)[0]["stages"]
    assert len(parsed) == 2
    assert len(list(kept.iterdir())) == 1


def test_a_short_text_is_not_kept(file: Path, kept: Path, parsed: list[str]) -> None:
    file.write_text("stages: {}\n")
    load(file)
    load(file)
    assert len(parsed) == 2
    assert not kept.exists()


@pytest.mark.parametrize("broken", ["", "\n", "x", "\n{", '[["'])
def test_what_is_kept_and_broken_is_parsed_anew(file: Path, kept: Path, broken: str) -> None:
    first = load(file)
    (entry,) = kept.iterdir()
    digest = entry.read_text().partition("\n")[0]
    entry.write_text(digest + broken if broken.startswith("\n") else broken)
    assert load(file) == first
    assert json.loads(entry.read_text().partition("\n")[2]) == first[0]


def test_a_folder_that_cannot_be_written_to_keeps_nothing(file: Path, tmp_path: Path) -> None:
    (tmp_path / "tmp").write_text("no folder")
    with parsed_once(tmp_path / "tmp"):
        assert load(file) == load(file)


@pytest.mark.parametrize("damage", ["\tbroken: [", "  other: {cmd: [], colour: red}\n", "  stage1: {cmd: twice}\n"])
def test_what_is_wrong_is_told_each_time(file: Path, tmp_path: Path, damage: str) -> None:
    file.write_text(file.read_text() + damage)
    told = []
    for _ in range(2):
        with pytest.raises((strictyaml.YAMLSyntaxError, strictyaml.YAMLValidationError)) as caught:
            load(file)
        told.append(str(caught.value))
        with parsed_once(tmp_path / "tmp"), pytest.raises(type(caught.value)) as now:
            load(file)
        told.append(str(now.value))
    assert len(set(told)) == 1


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text("abc: é#'\"\n\u2028", max_size=8),
    st.dates(),
    st.sampled_from(["no", "1e3", "0x1f", "0b1", "1_000", "~", ".inf", "-.nan", "012"]),
)
KEYS = st.one_of(st.text("abc", min_size=1, max_size=3), st.integers(), st.booleans())


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(vars=st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3)))
def test_any_value_is_the_one_that_dvc_parses(tmp_path: Path, vars: Any) -> None:
    from ruamel.yaml import YAML

    file = tmp_path / "any.yaml"
    with file.open("w") as out:
        YAML(typ="safe", pure=True).dump({"any": vars, "long": "x" * LONG}, out)

    def read() -> str:
        with suppress(strictyaml.YAMLSyntaxError):
            return typed(strictyaml.load(str(file), lambda data: data))
        return "broken"

    expected = read()
    with parsed_once(tmp_path / "tmp"):
        assert [read(), read()] == [expected, expected]


def typed(data: Any) -> str:
    """A text that tells 1 from 1.0 and True, and one order of keys from another."""
    if isinstance(data, dict):
        return str([(typed(key), typed(value)) for key, value in data.items()])
    if isinstance(data, list | tuple):
        return str([*map(typed, data)])
    return f"{type(data).__name__} {data!r}"
