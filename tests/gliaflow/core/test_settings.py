from dataclasses import asdict
from typing import Any

import pytest

from gliaflow.core.settings import Settings, human, settings
from gliaflow.errors import BadInput


def refusal(meta: Any) -> str:
    with pytest.raises(BadInput) as caught:
        settings(meta, "sub/dvc.yaml:train")
    return str(caught.value)


@pytest.mark.parametrize("meta", [None, {}, [], ["cpus"], "cpus: 4", 4])
def test_what_is_no_mapping_or_empty_asks_for_the_defaults(meta: Any) -> None:
    assert settings(meta, "train") == Settings()


def test_the_defaults_ask_for_one_cpu_and_no_more() -> None:
    assert asdict(Settings()) == {
        "cpus": 1,
        "gpus": 0,
        "threads": None,
        "retries": 0,
        "retry_delay": 10.0,
        "retry_on": (),
        "timeout": None,
        "pool": None,
        "diff": None,
        "search": None,
        "mem": (),
    }


def test_every_key_is_read() -> None:
    meta = {
        "cpus": 4,
        "gpus": 2,
        "threads": 3,
        "retries": 5,
        "retry_delay": 0,
        "retry_on": [1, 42],
        "timeout": 90,
        "pool": "big",
        "mem": ["1.5G", "2T"],
    }
    expected = Settings(4, 2, 3, 5, 0.0, (1, 42), 90.0, "big", mem=(3 << 29, 2 << 40))
    assert settings(meta, "train") == expected


@pytest.mark.parametrize("value", [None, "null"])
def test_a_key_that_may_be_nothing_may_be_nothing(value: str | None) -> None:
    assert settings({"pool": value}, "train").pool == value
    assert settings({"threads": None, "timeout": None}, "train") == Settings()


def test_keys_of_the_users_own_are_left_alone() -> None:
    meta = {"owner": "me", "description": {"gpu": 1}, 1: 2, None: "x", "model": ["retrys"], "cpus": 2}
    assert settings(meta, "train") == Settings(cpus=2)
    own = (
        "gpu_hours time timer cpu_type note tool spool pooling pod tpus tries entries trends reads read_on retry_policy"
    )
    assert settings(dict.fromkeys(["", *own.split()], 1), "train") == Settings()


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("retrys", "retries"),
        ("gpu", "gpus"),
        ("cpu", "cpus"),
        ("CPUS", "cpus"),
        ("Timeout", "timeout"),
        ("time_out", "timeout"),
        ("retry-delay", "retry_delay"),
        ("retryon", "retry_on"),
        ("thread", "threads"),
        ("pools", "pool"),
        ("pol", "pool"),
        ("pols", "pool"),
        ("poool", "pool"),
        ("opol", "pool"),
        ("gpsu", "gpus"),
        ("treads", "threads"),
        ("hreads", "threads"),
        ("tiemout", "timeout"),
        ("imeout", "timeout"),
        ("rertries", "retries"),
        ("retry_dely", "retry_delay"),
    ],
)
def test_a_misspelt_key_is_refused_with_the_one_that_was_meant(key: str, meant: str) -> None:
    assert refusal({"cpus": 1, key: 1}) == f"sub/dvc.yaml:train: meta.{key} is not known; did you mean {meant}?"


@pytest.mark.parametrize(
    ("key", "value", "shown", "reason"),
    [
        ("cpus", 0, "cpus is 0", "greater than or equal to 1"),
        ("cpus", 1.5, "cpus is 1.5", "valid integer"),
        ("cpus", 2.0, "cpus is 2.0", "valid integer"),
        ("cpus", "2", "cpus is '2'", "valid integer"),
        ("cpus", True, "cpus is True", "valid integer"),
        ("cpus", None, "cpus is None", "valid integer"),
        ("mem", 16, "mem is 16", "a size such as 16G or 800M"),
        ("mem", "16", "mem is '16'", "a size such as 16G or 800M"),
        ("mem", "0G", "mem is '0G'", "a size such as 16G or 800M"),
        ("mem", "-1G", "mem is '-1G'", "a size such as 16G or 800M"),
        ("mem", [], "mem is []", "a size such as 16G or 800M"),
        ("mem", ["1G", 2], "mem is ['1G', 2]", "a list of them, one a try"),
        ("gpus", -1, "gpus is -1", "greater than or equal to 0"),
        ("threads", 0, "threads is 0", "greater than or equal to 1"),
        ("retries", -1, "retries is -1", "greater than or equal to 0"),
        ("retry_delay", -0.5, "retry_delay is -0.5", "greater than or equal to 0"),
        ("retry_delay", float("nan"), "retry_delay is nan", "greater than or equal to 0"),
        ("retry_on", 75, "retry_on is 75", "valid array"),
        ("retry_on", [75, 0], "retry_on.1 is 0", "greater than or equal to 1"),
        ("retry_on", ["a\nb"], r"retry_on.0 is 'a\nb'", "valid integer"),
        ("timeout", 0, "timeout is 0", "greater than 0"),
        ("timeout", "1h", "timeout is '1h'", "valid number"),
        ("pool", 5, "pool is 5", "valid string"),
        ("pool", "", "pool is ''", "the name of a work pool"),
        ("pool", " ", "pool is ' '", "the name of a work pool"),
        ("pool", "a/b", "pool is 'a/b'", "the name of a work pool"),
    ],
)
def test_a_wrong_value_is_refused_in_one_line(key: str, value: Any, shown: str, reason: str) -> None:
    said = refusal({key: value})
    assert said.startswith(f"sub/dvc.yaml:train: meta.{shown}: input should be ")
    assert reason in said
    assert "\n" not in said


@pytest.mark.parametrize(
    ("code", "worth"),
    [(0, False), (1, False), (2, False), (127, False), (75, True), (137, True), (143, True), (-9, True), (-15, True)],
)
def test_exit_codes_worth_a_retry(code: int, worth: bool) -> None:
    assert Settings().worth_retrying(code) is worth


def test_own_exit_codes_come_beside_those() -> None:
    own = settings({"retry_on": [1, 42]}, "train")
    assert [code for code in (1, 2, 42, 75, 137, -9) if own.worth_retrying(code)] == [1, 42, 75, 137, -9]


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("512K", 1 << 19),
        ("800m", 800 << 20),
        ("16G", 16 << 30),
        ("16 GB", 16 << 30),
        ("16GiB", 16 << 30),
        ("1T", 1 << 40),
    ],
)
def test_memory_is_counted_in_powers_of_1024(text: str, size: int) -> None:
    assert settings({"mem": text}, "train").mem == (size,)


def test_each_try_may_ask_for_other_memory_and_further_ones_for_the_last() -> None:
    found = settings({"mem": ["1G", "2G"]}, "train")
    assert [found.memory(number) for number in (1, 2, 3)] == [1 << 30, 2 << 30, 2 << 30]
    assert [found.of_try(number).mem for number in (1, 2, 3)] == [(1 << 30,), (2 << 30,), (2 << 30,)]
    assert (Settings().memory(), Settings().of_try(2)) == (0, Settings())


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (512, "512 B"),
        (1536, "1.5 KB"),
        (1 << 20, "1 MB"),
        (3 << 19, "1.5 MB"),
        (340 << 20, "340 MB"),
        ((16 << 30) - 1, "16 GB"),
        (5 << 50, "5120 TB"),
    ],
)
def test_sizes_are_told_shortly(size: int, text: str) -> None:
    assert human(size) == text
