from pathlib import Path
from typing import Annotated

import pytest
from pydantic import Field
from pydantic.dataclasses import dataclass

from stages.errors import BadParameters
from stages.params import STRICT_KEYS, load


@dataclass(frozen=True, kw_only=True, config=STRICT_KEYS)
class Inner:
    rate: Annotated[float, Field(gt=0)]


@dataclass(frozen=True, kw_only=True, config=STRICT_KEYS)
class Outer:
    epochs: Annotated[int, Field(ge=1)]
    inner: Inner


def write(folder: Path, text: str) -> Path:
    path = folder / "params.yaml"
    path.write_text(text)
    return path


def test_a_section_becomes_its_class_and_1e_minus_4_a_number(tmp_path: Path) -> None:
    path = write(tmp_path, "lgg: {train: {epochs: 3, inner: {rate: 1e-4}}}")
    assert load(Outer, "lgg.train", path) == Outer(epochs=3, inner=Inner(rate=0.0001))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("lgg: {train: {epochs: 3, inner: {rate: 1, rat: 2}}}", "lgg.train.inner.rat is not a known parameter"),
        (
            "lgg: {train: {epochs: 0, inner: {rate: 1}}}",
            "lgg.train.epochs is 0: input should be greater than or equal to 1",
        ),
        (
            "lgg: {train: {epochs: many, inner: {rate: 1}}}",
            "lgg.train.epochs is 'many': input should be a valid integer",
        ),
        ("lgg: {train: {epochs: 3.5, inner: {rate: 1}}}", "lgg.train.epochs is 3.5: input should be a valid integer"),
        ("lgg: {train: {epochs: true, inner: {rate: 1}}}", "lgg.train.epochs is True: input should be a valid integer"),
        ("lgg: {train: {epochs: 3, inner: {rate: -1}}}", "lgg.train.inner.rate is -1: input should be greater than 0"),
        (
            "lgg: {train: {epochs: 3, inner: {rate: .nan}}}",
            "lgg.train.inner.rate is nan: input should be a finite",
        ),
        (
            "lgg: {train: {epochs: 3, inner: {rate: .inf}}}",
            "lgg.train.inner.rate is inf: input should be a finite",
        ),
        ("lgg: {train: {epochs: 3}}", "lgg.train.inner is missing"),
        ("lgg: {train: {2026-01-01: 3}}", "keys must be str"),
        ("lgg: {trian: {}}", "there is no section lgg.train;"),
        ("lgg: 3", "there is no section lgg.train;"),
        ("", "there is no section lgg;"),
        ("lgg: {train: [", "not valid YAML"),
        ("lgg: {train: {epochs: 3, epochs: 4, inner: {rate: 1}}}", "epochs"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(tmp_path: Path, text: str, line: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(BadParameters) as caught:
        load(Outer, "lgg.train", path)
    message = str(caught.value)
    assert line in message
    assert message.startswith(f"{path}: ")
    assert "\n" not in message


def test_every_wrong_value_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, "lgg: {train: {epochs: 0, inner: {rate: 0}}}")
    with pytest.raises(BadParameters, match=r"lgg\.train\.epochs is 0.*; lgg\.train\.inner\.rate is 0"):
        load(Outer, "lgg.train", path)


def test_no_file_says_where_to_run(tmp_path: Path) -> None:
    with pytest.raises(BadParameters, match="no such file; run from the repository's root"):
        load(Outer, "lgg.train", tmp_path / "params.yaml")
