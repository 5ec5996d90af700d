"""Whatever of the user's files is broken: one line with the key, the line, the reason and all causes; exit 2."""

import re
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from dvc.exceptions import DvcException

from gliaflow import api
from gliaflow.errors import BadInput, GliaflowError
from gliaflow.words.errors import in_words, words
from tests.support.repos import Project

GOOD = """stages:
  split:
    cmd: cp seed.txt split.txt
    deps: [seed.txt]
    params: [rate]
    outs: [split.txt]
"""
GROUP = "stages:\n  a:\n    foreach: {}\n    do:\n      cmd: echo ${{item}}\n"
MATRIX = "stages:\n  a:\n    cmd: echo ${{item}}\n    matrix: {}\n"
IMPORT = """md5: 0123456789abcdef0123456789abcdef
frozen: false
deps:
- path: {path}
{source}outs:
- path: got
  hash: md5
"""


def stage(*lines: str) -> str:
    """A dvc.yaml with one stage, which begins in line 2."""
    return "\n".join(["stages:", "  a:", *(f"    {line}" for line in lines), ""])


def reads(file: str) -> str:
    """A dvc.yaml whose stage reads a parameter of another file than params.yaml."""
    return GOOD.replace("[rate]", f"[{{{file}: [rate]}}]")


def imported(url: str, path: str = "here.txt", revision: str = "") -> str:
    """A .dvc file that imports from a git repository."""
    lock = f"    rev: {revision}\n" if revision else ""
    return IMPORT.format(path=path, source=f"  repo:\n    url: {url}\n{lock}")


DVC_YAML: dict[str, tuple[str | bytes, list[str]]] = {
    "bracket": ("stages: [", ["'dvc.yaml'", "did not find expected node content", "line 2, column 1"]),
    "colon": ("stages:\n  a: b: c\n", ["mapping values are not allowed", "line 2, column 7"]),
    "tab": ("stages:\n\ta:\n", ["found character that cannot start any token", "line 2, column 1"]),
    "quote": (stage("cmd: 'x"), ["unexpected end of stream", "while scanning a quoted scalar, line 3, column 10"]),
    "indentation": ("stages:\n  a:\n    cmd: x\n   deps: [y]\n", ["did not find expected key", "line 4, column 4"]),
    "twice": (stage("cmd: x", "cmd: y"), ['found duplicate key "cmd"', "line 4, column 5"]),
    "anchor": (stage("cmd: *x"), ["found undefined alias", "line 3, column 10"]),
    "tag": (stage("cmd: !foo x"), ["constructor for the tag '!foo'", "line 3, column 10"]),
    "two documents": ("stages: {}\n---\nstages: {}\n", ["but found another document", "line 2, column 1"]),
    "markers": (f"<<<<<<< HEAD\n{GOOD}=======\n{GOOD}>>>>>>> b\n", ["(possible merge conflicts)", "line 2, column 7"]),
    "control": (stage("cmd: \x01x"), ["unacceptable character #x0001: control characters are not allowed", "line 3"]),
    "latin-1": (stage("cmd: é").encode("latin-1"), ["is not valid utf-8", "byte 0xe9", "line 3", "save it as UTF-8"]),
    "UTF-16": (GOOD.encode("utf-16"), ["'dvc.yaml'", "is not valid utf-8", "it is UTF-16: save it as UTF-8"]),
    "no date": (
        stage("cmd: x", "meta: {when: 2020-13-45}"),
        ["'dvc.yaml'", "month must be in 1..12", "line 4: 2020-13-45"],
    ),
    "no number": (f"vars:\n- n: !!int abc\n{GOOD}", ["'dvc.yaml'", "invalid literal for int()", "line 2: abc"]),
    "alias in itself": ("stages:\n  a: &a\n    cmd: x\n    meta: {me: *a}\n", ["'dvc.yaml', stage 'a'", "recursion"]),
    "a list": ("- 1\n", ["'./dvc.yaml' validation failed", "expected a dictionary"]),
    "no cmd": (stage("deps: [x]"), ["required key not provided in stages -> a -> cmd, line 3"]),
    "unknown key": (stage("cmd: x", "outz: [o]"), ["extra keys not allowed in stages -> a -> outz, line 4"]),
    "two errors": (
        stage("cmd: 5", "outz: [o]"),
        ["2 errors", "stages -> a -> cmd, line 3", "stages -> a -> outz, line 4"],
    ),
    "no bool": (stage("cmd: x", "deps: [seed.txt]", "frozen: x"), ["expected bool in stages -> a -> frozen, line 5"]),
    "no list": (stage("cmd: x", "deps: seed.txt"), ["expected a list in stages -> a -> deps, line 4"]),
    "date as name": ("stages:\n  2020-01-01:\n    cmd: x\n", ["expected str in stages -> 2020-01-01, line 3"]),
    "stages null": ("stages:\n", ["expected a dictionary in stages, line 1"]),
    "plots": (f"{GOOD}plots:\n- p: {{z: 1}}\n", ["extra keys not allowed in plots -> 0 -> p -> z, line 8"]),
    "metrics": (f"{GOOD}metrics: [5]\n", ["expected str in metrics -> 0, line 7"]),
    "artifacts": (
        f"{GOOD}artifacts:\n  m: {{type: x}}\n",
        ["required key not provided in artifacts -> m -> path, line 8"],
    ),
    "cycle": ("stages:\n  a: {cmd: x, deps: [q], outs: [o]}\n  b: {cmd: x, deps: [o], outs: [q]}\n", ["are a cycle"]),
    "same output": (
        "stages:\n  a: {cmd: x, outs: [o]}\n  b: {cmd: x, outs: [o]}\n",
        ["'o' is specified in: ", "; Use `"],
    ),
    "overlap": (
        "stages:\n  a: {cmd: x, outs: [o]}\n  b: {cmd: x, outs: [o/p]}\n",
        ["'o'('a')", "'o/p'('b')", "overlap"],
    ),
    "no path": (stage("cmd: x", "deps: ['']"), ["'dvc.yaml', stage 'a', line 3", "`deps` holds ''"]),
    "no remote": (
        stage("cmd: x", "deps: ['remote://no/x']"),
        ["remote 'no' doesn't exist", "'dvc.yaml', stage 'a', line 3"],
    ),
    "no scheme": (stage("cmd: x", "deps: ['foo://no/x']"), ["Unsupported URL type foo://", "stage 'a', line 3"]),
    "not installed": (
        stage("cmd: x", "deps: ['gs://no/x']"),
        ["stage 'a', line 3", "requires 'dvc-gs' to be installed"],
    ),
    "unknown name": (stage("deps: [x]", "cmd: 'echo ${no}'"), ["failed to parse 'stages.a.cmd'", "'no'", "line 4"]),
    "empty name": (stage("cmd: 'echo ${}'"), ["'stages.a.cmd' in 'dvc.yaml': ${} ParseException: Expected", "line 3"]),
    "list in text": ("vars:\n- m: [a, b]\n" + stage("cmd: x", "outs: ['${m}']"), ["data of type 'list'", "line 6"]),
    "number as cmd": ("vars:\n- m: 5\n" + stage("cmd: ${m}"), ["'a'", "`cmd` is 5", "write it in quotes"]),
    "number as path": ("vars:\n- m: 5\n" + stage("cmd: x", "outs: ['${m}']"), ["stage 'a', line 5", "`outs` holds 5"]),
    "date in vars": (
        f"vars:\n- n: 1\n- day: 2020-01-01\n{GOOD}",
        ["'dvc.yaml'", "'vars[1]:day'", "line 3", "write 2020-01-01 in"],
    ),
    "no vars file": (f"vars: [no.yaml]\n{GOOD}", ["'vars' in 'dvc.yaml'", "'no.yaml' does not exist", "line 1"]),
    "rate again": (f"vars:\n- rate: 5\n{GOOD}", ["cannot redefine 'rate' from 'vars[0]'", "'params.yaml'", "line 2"]),
    "text in foreach": (GROUP.format("hello"), ["'stages.a.foreach'", "expected list/dictionary, got str", "line 3"]),
    "date in foreach": (
        GROUP.format("[2020-01-01]"),
        ["'dvc.yaml'", "'a'", "`foreach`, line 3", "write 2020-01-01 in quotes"],
    ),
    "date below foreach": (
        GROUP.format("{b: {c: 2020-01-01}}"),
        ["'a'", "type 'date'", "`foreach`, line 3", "in quotes"],
    ),
    "no name in foreach": (GROUP.format("['']"), ["'dvc.yaml', stage 'a@', line 3", "an item without a name"]),
    "item of foreach": (
        GROUP.format("[{x: 1}]").replace("item}", "item.y}"),
        ["'stages.a@0.cmd'", "'item.y'", "line 5"],
    ),
    "date in matrix": (MATRIX.format("{x: [2020-01-01]}"), ["'a'", "`matrix`, line 4", "write 2020-01-01 in quotes"]),
    "empty matrix": (MATRIX.format("{}"), ["'dvc.yaml', stage 'a@', line 3", "an item without a name"]),
    "no list in matrix": (MATRIX.format("{x: '${rate}'}"), ["stage 'a'", "`matrix` has for 'x' the value 0.1"]),
}
OTHERS: dict[str, tuple[Mapping[str, str | bytes], list[str]]] = {
    "lock: bracket": ({"dvc.lock": "stages: [\n"}, ["'dvc.lock'", "did not find expected node content", "line 2"]),
    "lock: markers": ({"dvc.lock": "<<<<<<< HEAD\nschema: '2.0'\n"}, ["'dvc.lock'", "(possible merge conflicts)"]),
    "lock: no cmd": (
        {"dvc.lock": "schema: '2.0'\nstages:\n  split:\n    deps: []\n"},
        ["stages -> split -> cmd, line 4"],
    ),
    "lock: schema": ({"dvc.lock": "schema: '9.0'\n"}, ["'./dvc.lock'", "invalid schema version in schema, line 1"]),
    "lock: size": (
        {"dvc.lock": "schema: '2.0'\nstages:\n  split:\n    cmd: x\n    outs:\n    - path: o\n      size: big\n"},
        ["expected int in stages -> split -> outs -> 0 -> size, line 7"],
    ),
    "lock: latin-1": ({"dvc.lock": "\n# é\n".encode("latin-1")}, ["'dvc.lock'", "is not valid utf-8", "line 2"]),
    "params: bracket": (
        {"params.yaml": "rate: [\n"},
        ["'params.yaml'", "did not find expected node content", "line 2"],
    ),
    "params: twice": (
        {"params.yaml": "rate: 1\nrate: 2\n"},
        ["'params.yaml'", 'duplicate key "rate"', "line 2, column 1"],
    ),
    "params: markers": (
        {"params.yaml": "<<<<<<< HEAD\nrate: 1\n=======\nrate: 2\n>>>>>>> x\n"},
        ["'params.yaml'", "line 2, column 5", "possible merge conflicts"],
    ),
    "params: no date": (
        {"params.yaml": "a: 1\nrate: 2020-13-45\n"},
        ["'params.yaml'", "month must be", "line 2: 2020-13-45"],
    ),
    "params: date": (
        {"params.yaml": "a: 1\nrate: 2020-01-01\n"},
        ["'params.yaml:rate'", "line 2", "write 2020-01-01 in quotes"],
    ),
    "params: date as key": (
        {"params.yaml": "\nrate:\n  2020-01-01: 1\n"},
        ["'split'", "'rate' of 'params.yaml', line 3", "2020-01-01"],
    ),
    "params: list": ({"params.yaml": "- 1\n"}, ["expected a dictionary, got 'list' in file 'params.yaml'"]),
    "params: UTF-16": ({"params.yaml": "rate: 1\n".encode("utf-16")}, ["'params.yaml'", "it is UTF-16"]),
    "params: alias": ({"params.yaml": "rate: &a [*a]\n"}, ["'params.yaml'", "recursion", "an alias"]),
    "params: JSON": (
        {"dvc.yaml": reads("p.json"), "p.json": "{rate: 1}\n"},
        ["'split'", "'p.json'", "property name", "line 1 column 2"],
    ),
    "params: TOML": (
        {"dvc.yaml": reads("p.toml"), "p.toml": "rate = 1\nrate = 2\n"},
        ["'p.toml', TOML file structure is corrupted", 'Key "rate" already exists', "line 2"],
    ),
    "params: TOML's date": (
        {"dvc.yaml": reads("p.toml"), "p.toml": "rate = 2020-01-01\n"},
        ["'split'", "parameter 'rate' of 'p.toml'", "2020-01-01: write it in quotes"],
    ),
    "params: Python": (
        {"dvc.yaml": reads("p.py"), "p.py": "\nrate = (\n"},
        ["'p.py'", "'(' was never closed (p.py, line 2)"],
    ),
    "params: Python's set": ({"dvc.yaml": reads("p.py"), "p.py": "rate = {1}\n"}, ["'rate' of 'p.py'", "holds {1}"]),
    "vars: YAML": (
        {"dvc.yaml": f"vars: [o.yaml]\n{GOOD}", "o.yaml": "a: [\n"},
        ["'o.yaml'", "did not find expected", "line 2"],
    ),
    "vars: JSON": (
        {"dvc.yaml": f"vars: [o.json]\n{GOOD}", "o.json": "{a: 1}"},
        ["'o.json'", "property name", "line 1 column 2"],
    ),
    ".dvc: bracket": ({"x.dvc": "outs: [\n"}, ["'x.dvc'", "did not find expected node content", "line 2, column 1"]),
    ".dvc: number": (
        {"x.dvc": "outs:\n- hash: md5\n  path: 5\n"},
        ["'./x.dvc'", "expected str in outs -> 0 -> path, line 3"],
    ),
    ".dvc: no remote": (
        {"got.dvc": IMPORT.format(path="remote://no/x", source="")},
        ["remote 'no' doesn't exist", "'got.dvc'"],
    ),
    "config: line": (
        {".dvc/config.local": "[core]\nhello\n"},
        ["Invalid line ('hello')", "at line 2", ".dvc/config.local'"],
    ),
    "config: key": (
        {".dvc/config.local": "[cache]\n    zzz = 1\n"},
        ["data['cache']['zzz']", ".dvc/config.local', line 2"],
    ),
    "config: value": ({".dvc/config.local": "\n[cache]\n    type = magic\n"}, ["magic", ".dvc/config.local', line 3"]),
    "a folder of that name": ({"other/dvc.yaml/x": ""}, ["other/dvc.yaml' is not a .dvc file", "it is a folder"]),
}
WAYS: dict[str, tuple[Mapping[str, str | bytes], list[str]]] = {
    **{name: ({"dvc.yaml": text}, parts) for name, (text, parts) in DVC_YAML.items()},
    **OTHERS,
}
TOLD_BY_DVC = ("quote", "twice", "control", "latin-1", "unknown key", "empty name", "date in foreach", "params: JSON")


@pytest.fixture(scope="session")
def done(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Project]:
    """Copy a repository in which one stage has run."""
    from tests.support.repos import environment

    folder = tmp_path_factory.mktemp("done")
    made = Project(folder / "made", environment(folder / "home"))
    made.write({"seed.txt": "1\n", "params.yaml": "rate: 0.1\n", "dvc.yaml": GOOD})
    made.dvc("repro")
    made.commit()
    return made.copy


def put(project: Project, files: Mapping[str, str | bytes]) -> None:
    for name, text in files.items():
        path = project.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())


def refused(project: Project, *targets: str) -> str:
    """The one line with which a run ends, exit code 2."""
    with pytest.raises(GliaflowError) as caught:
        api.reproduce(project.root, targets, prefect=False).raise_if_failed()
    assert caught.value.exit_code == 2, caught.value
    told = str(caught.value)
    assert len(told.splitlines()) == 1
    assert "\x1b" not in told
    return told


@pytest.mark.parametrize("way", WAYS)
def test_a_broken_file_is_told_with_key_line_and_reason(
    way: str, done: Callable[[Path], Project], tmp_path: Path
) -> None:
    files, parts = WAYS[way]
    project = done(tmp_path / "broken")
    put(project, files)
    told = refused(project, *(["other/dvc.yaml"] if way.startswith("a folder") else []))
    assert [part for part in parts if part not in told] == [], told
    chain = re.sub(r"'[^']*'", "", told).split(": ")
    assert len(chain) == len(dict.fromkeys(chain)), told  # nothing twice


@pytest.mark.parametrize("way", TOLD_BY_DVC)
def test_what_dvc_prints_is_there(way: str, done: Callable[[Path], Project], tmp_path: Path) -> None:
    """Its words and numbers; a line of the file that it shows below them is not looked for."""
    files, _ = WAYS[way]
    project = done(tmp_path / "broken")
    put(project, files)
    printed = project.dvc("repro", expect=None).stderr
    shown = [line for line in printed.splitlines() if line and not re.match(r" *\d+|Having any", line)]
    text = re.sub(r"\x1b\[[0-9;]*m|^ERROR: |unexpected error - |, in line|,? column| is invalid", " ", "\n".join(shown))
    told = refused(project).lower()
    missing = {word for word in re.findall(r"[\w$'\"{}]+", text.lower()) if word.strip("'\"") not in told}
    assert missing <= {"in", "position", "unicode", "string", *map(str, range(100))}


def source(folder: Path) -> str:
    """A git repository to import from."""
    folder.mkdir()
    line = "git init -q -b main . && echo 1 > here.txt && git add -A && git commit -qm x"
    subprocess.run(line, shell=True, cwd=folder, check=True)
    return str(folder)


@pytest.mark.parametrize(
    ("path", "url", "revision", "parts"),
    [
        (
            "here.txt",
            "{none}",
            "",
            ["SCM error: Failed to clone repo '{none}'", "No git repository was found at {none}"],
        ),
        ("here.txt", "{git}", "norev", ["unknown Git revision 'norev'"]),
        ("nothere.txt", "{git}", "", ["'nothere.txt ({git})' is not there"]),
        ("here.txt", "https://127.0.0.1:9/x.git", "", ["Failed to clone repo 'https://127.0.0.1:9/x.git'", "refused"]),
    ],
)
def test_an_import_that_fails_is_told_with_all_causes(
    path: str, url: str, revision: str, parts: list[str], done: Callable[[Path], Project], tmp_path: Path
) -> None:
    places = {"none": str(tmp_path / "none"), "git": source(tmp_path / "git")}
    project = done(tmp_path / "importing")
    put(project, {"got.dvc": imported(url.format(**places), path, revision), ".gitignore": "/split.txt\n/got\n"})
    told = refused(project, "got.dvc")
    assert told.startswith("failed to reproduce 'got.dvc': ")
    assert [part for part in parts if part.format(**places) not in told] == [], told
    assert told.count("Max retries") <= 1


def test_an_import_of_a_database_that_is_not_there(done: Callable[[Path], Project], tmp_path: Path) -> None:
    database = "    query: SELECT 1\n    connection: nope\n    file_format: csv\n"
    database = f"frozen: false\ndeps:\n- db:\n{database}outs:\n- path: got\n"
    project = done(tmp_path / "importing")
    put(project, {"got.dvc": database, ".gitignore": "/split.txt\n/got\n"})
    assert "connection nope not found in config" in refused(project, "got.dvc")
    assert [one.address for one in api.status(project.root, ["got.dvc"])] == ["got.dvc"]


def test_status_does_not_call_a_stage_unchanged_whose_parameters_nobody_can_read(
    done: Callable[[Path], Project], tmp_path: Path
) -> None:
    project = done(tmp_path / "broken")
    put(project, {"dvc.yaml": reads("p.json"), "p.json": '{"rate": 1}\n'})
    api.reproduce(project.root, prefect=False).raise_if_failed()
    put(project, {"p.json": "{rate: 1}\n"})
    with pytest.raises(GliaflowError, match=r"'p.json', JSON file structure is corrupted: Expecting") as caught:
        api.status(project.root)
    assert caught.value.exit_code == 2


def test_all_causes_are_told_once() -> None:
    error: Any = DvcException("it failed.")
    error.__cause__ = OSError("deep\ndown: it hurts")
    error.__cause__.__cause__ = ValueError("it hurts")
    error.add_note("call a doctor")
    assert in_words(error) == words(error) == "it failed: deep down: it hurts; call a doctor"


def test_what_is_no_error_of_dvc_is_not_told() -> None:
    assert [words(error) for error in (BadInput("ours"), TypeError("a bug"), KeyError("bug"), OSError(2, "x"))] == [
        None
    ] * 4
