"""The text of a lock file as entries: exactly what DVC wrote, or nothing."""

from typing import Any

import pytest
from dvc.utils.serialize import dumps_yaml, parse_yaml, parse_yaml_for_update

from gliaflow.lockfiles.entries import HEAD, Strange, Text, entry, split
from gliaflow.lockfiles.text import rewritten

DRIFTS = 7.4727225971465945e-06  # loses its last digit when DVC writes it again
STAGES: dict[str, Any] = {
    "a": {"cmd": "cp in a", "outs": [{"path": "a", "md5": "d41d8cd98f00b204e9800998ecf8427e"}]},
    "b@1.5": {"cmd": ["echo 'a: b' # c", "x" * 90], "params": {"params.yaml": {"rate": DRIFTS}}},
    "2": {"cmd": "a\nb", "params": {"p.yaml": {"same": [], "é": None}}},
}


def whole(stages: dict[str, Any], **more: Any) -> str:
    return str(dumps_yaml({"schema": "2.0", "stages": stages, **more}))


def joined(text: Text) -> str:
    return text.head + "".join(one.text() for one in text.entries.values()) + text.tail


@pytest.mark.parametrize("name", STAGES)
@pytest.mark.parametrize("rewrites", [0, 1, 2, 7])
def test_an_entry_is_what_dvc_writes_now_and_later(name: str, rewrites: int) -> None:
    text = whole({name: STAGES[name]})
    for _ in range(rewrites):
        text = dumps_yaml(parse_yaml_for_update(text, "dvc.lock"))
    assert HEAD + entry(name, STAGES[name]).text(rewrites) == text


def test_a_number_drifts() -> None:
    made = entry("b", STAGES["b@1.5"])
    assert made.text(1) != made.text(0)


@pytest.mark.parametrize("more", [{}, {"datasets": [{"type": "url", "name": "d", "url": "http://a/b"}]}])
@pytest.mark.parametrize("rewrites", [0, 1, 3])
def test_what_dvc_wrote_is_split(more: dict[str, Any], rewrites: int) -> None:
    text = whole(STAGES, **more)
    for _ in range(rewrites):
        text = rewritten(text)
    found = split(text, parse_yaml(text, "dvc.lock"))
    assert list(found.entries) == list(STAGES)
    assert joined(found) == text
    again = HEAD + "".join(one.text(1) for one in found.entries.values()) + found.tail
    assert again == rewritten(text)


def test_other_sections_may_come_first() -> None:
    text = dumps_yaml({"schema": "2.0", "datasets": [{"name": "d", "type": "url"}], "stages": STAGES})
    found = split(text, parse_yaml(text, "dvc.lock"))
    assert joined(found) == text
    assert found.head.endswith("type: url\nstages:\n")


def test_nothing_becomes_the_head() -> None:
    assert joined(split("", {})) == HEAD


PLAIN = whole({name: STAGES[name] for name in "a2"})


@pytest.mark.parametrize(
    "text",
    [
        f"# a note\n{PLAIN}",
        PLAIN.replace("outs:", "outs:  # a note"),
        PLAIN.replace("  a:", "  # a note\n  a:"),
        f"{PLAIN}# a note\n",
        PLAIN.replace("cmd: cp in a", "cmd: 'cp in a'"),
        PLAIN.replace("cmd: cp in a", "cmd: |-\n      cp in a"),
        PLAIN.replace("cmd: cp in a", "cmd: cp\n      in a"),
        PLAIN.replace("    outs:\n    - path: a", "    outs:\n      - path: a").replace("      md5", "        md5"),
        PLAIN.replace("  a:", "  a: &it").replace("cmd: cp in a", "cmd: &c cp in a"),
        PLAIN.replace("\n", "\r\n"),
        f"---\n{PLAIN}",
        f"%YAML 1.1\n---\n{PLAIN}",
        f"{PLAIN}...\n",
        f"\ufeff{PLAIN}",
        PLAIN.replace("'2.0'", '"2.0"'),
        PLAIN.removesuffix("\n"),
        f"{PLAIN}\n",
        PLAIN.replace("  '2'", "\n  '2'"),
        "schema: '2.0'\nstages: {}\n",
        "schema: '2.0'\n",
        "schema: '2.0'\nstages: {a: {cmd: b}}\n",
        "# only a note\n",
        "stages:\n  a:\n    cmd: b\nschema: '2.0'\n  # a note\n",
    ],
)
def test_what_dvc_did_not_write_is_strange(text: str) -> None:
    with pytest.raises(Strange):
        split(text, parse_yaml(text, "dvc.lock"))


def test_data_that_the_text_does_not_hold_is_strange() -> None:
    with pytest.raises(Strange):
        split(PLAIN, {"schema": "2.0", "stages": {"a": STAGES["a"], "2": {"cmd": "c"}}})
    with pytest.raises(Strange):
        split(PLAIN, {})
