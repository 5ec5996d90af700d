"""Holds the pages of docs/ to the code: commands, links, files, the reference, and the tutorial as it stands."""

import ast
import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pytest
from cyclopts import CycloptsError, MissingArgumentError
from dvc.cli.parser import get_main_parser
from ruamel.yaml import YAML

import gliaflow
from docs.make_figures import FIGURES
from docs.make_reference import FOLDER, pages
from gliaflow.cli.app import COMMANDS, app
from gliaflow.core.settings import Settings
from tests.house.pages import BY_NAME, PAGES, PROMPT, SHELLS, Page
from tests.support.patience import COMMAND_SECONDS
from tests.support.repos import ROOT, environment

MADE_UP = {"stages/lgg/smooth.py", "tests/stages/lgg/test_smooth.py", "data/lgg/smooth.npy"}  # of "Add a stage"
OURS = re.compile(r"(?:stages|flows|profiles|tests|data|docs|benchmarks|examples|src)/[\w./]+")
ROOM = re.compile(r"(?:cli|team|hosts|flow|workspace|versioning|store|machine|core)/(?:\w+\.py)?")
SECONDS = re.compile(r"in \d+\.\d s")
SOMEBODYS_WORDS = re.compile(r"^\w+ \| ")  # a line that a stage printed itself
TUTORIAL = BY_NAME["docs/tutorial.md"]

pages_of_docs = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.path.relative_to(ROOT)))


def understood(words: list[str], whole: bool = True) -> str:
    """What the command line has against a command of gliaflow; nothing if it is one. Not `whole`, words may lack."""
    try:
        app.parse_args(words, exit_on_error=False, print_error=False)
    except MissingArgumentError as error:
        return str(error) if whole else ""
    except CycloptsError as error:
        return str(error)
    return ""


@pages_of_docs
def test_commands_of_gliaflow_are_commands(page: Page) -> None:
    given = [words[1:] for words in page.commands() if words[0] == "gliaflow"]
    assert [problem for words in given if (problem := understood(words))] == []
    mentioned = [shlex.split(code)[1:] for code in page.inline if re.match(r"gliaflow [a-z-]", code)]
    assert [problem for words in mentioned if (problem := understood(words, whole=False))] == []


@pages_of_docs
def test_commands_of_dvc_make_and_python_are_commands(page: Page) -> None:
    rules = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for first, *words in page.commands():
        if first == "dvc":
            get_main_parser().parse_args(words)  # raises
        elif first == "make":
            assert rules.issuperset(word for word in words if "=" not in word)
        elif (
            first.startswith("python")
            and words[0] == "-m"
            and words[1].split(".")[0] in ("docs", "benchmarks", "stages")
        ):
            path = ROOT / (words[1].replace(".", "/") + ".py")
            assert path.exists() or str(path.relative_to(ROOT)) in MADE_UP
    for code in page.inline:
        if match := re.match(r"make (\w+)$", code):
            assert match[1] in rules


def test_a_wrong_command_is_found() -> None:
    assert "--jbos" in understood(["repro", "--jbos", "3"])
    assert "rpro" in understood(["rpro"])
    assert understood(["publish"])
    assert not understood(["publish"], whole=False)
    assert not understood(["repro", "-j", "3", "train"])


@pages_of_docs
def test_files_that_it_names_exist(page: Page) -> None:
    named = {code for code in page.inline if OURS.fullmatch(code)} - MADE_UP
    made = {name for name in named if name.startswith(("data/", "docs/")) and not (ROOT / name).suffix}
    assert [name for name in sorted(named - made) if not (ROOT / name).exists()] == []
    rooms = {code for code in page.inline if ROOM.fullmatch(code)}
    assert [name for name in sorted(rooms) if not (ROOT / "src/gliaflow" / name).exists()] == []


@pages_of_docs
def test_links_lead_somewhere(page: Page) -> None:
    for link in page.links:
        if "://" in link:
            continue
        file, _, anchor = link.partition("#")
        target = (page.path.parent / file).resolve() if file else page.path
        assert target.exists(), link
        if page.path.is_relative_to(ROOT / "docs"):
            assert target.is_relative_to(ROOT / "docs"), f"{link} is not on the web site"
        if anchor:
            assert anchor in Page(target).anchors, link


@pages_of_docs
def test_code_in_it_can_be_read(page: Page) -> None:
    for kind, text in page.blocks:
        if kind == "python" and page.path.name != "api.md":
            used = re.findall(r"\bgliaflow\.(\w+)", text)
            assert {name for name in used if name not in dir(gliaflow)} - {"as_dvc"} == set()
            ast.parse(text)
        elif kind == "yaml":
            YAML(typ="safe", pure=True).load(text)
        elif kind in SHELLS:
            assert [line for line in text.splitlines() if len(line) > 110] == []


def test_every_page_is_in_the_menu() -> None:
    def listed(entry: Any) -> Iterator[str]:
        if isinstance(entry, str):
            yield entry
        for one in entry.values() if isinstance(entry, dict) else entry if isinstance(entry, list) else ():
            yield from listed(one)

    menu = list(listed(YAML(typ="safe", pure=True).load(ROOT / "mkdocs.yml")["nav"]))
    assert sorted(menu) == sorted(str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md"))


def test_the_reference_is_that_of_the_code() -> None:
    """Else: python -m docs.make_reference."""
    assert {name: (FOLDER / name).read_text() for name in pages()} == pages()


@pytest.mark.parametrize("name", [name for names in COMMANDS.values() for name in names])
def test_the_reference_has_the_usage_of_the_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    app([name, "--help"], result_action="return_value")
    usage = capsys.readouterr().out.splitlines()[0].removeprefix("Usage: ")
    assert usage in (FOLDER / "cli.md").read_text().splitlines()


def test_the_figures_are_those_of_the_script() -> None:
    """Else: python -m docs.make_figures."""
    assert {name: (ROOT / "docs/img" / name).read_text() for name in FIGURES} == {n: f() for n, f in FIGURES.items()}


def test_every_setting_of_a_stage_is_explained() -> None:
    rows = re.findall(r"^\| `(\w+)` ", BY_NAME["docs/how-to/meta.md"].text.replace("`cpus`, `gpus`", ""), re.MULTILINE)
    assert rows == [setting.name for setting in fields(Settings)]


def test_every_variable_is_explained() -> None:
    code = "\n".join(path.read_text() for path in (ROOT / "src").rglob("*.py"))
    used = set(re.findall(r'"(GLIAFLOW_\w+)"', code))
    assert used
    assert used == {name for name in BY_NAME["docs/reference/environment.md"].inline if name.startswith("GLIAFLOW_")}


@dataclass
class Shell:
    """Runs commands one after another, each where the one before left off."""

    folder: Path
    environment: dict[str, str]

    def run(self, command: str) -> list[str]:
        """The lines that it prints; on errors as well."""
        here = self.folder.parent / "here"
        ended = subprocess.run(
            ["bash", "-c", f"{command}\npwd > {shlex.quote(str(here))}"],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        self.folder = Path(here.read_text().strip())
        return ended.stdout.splitlines()


def steps(kind: str, text: str) -> Iterator[tuple[str, list[str]]]:
    """The commands of a block, each with the lines that it says they print; of a script they print nothing."""
    if kind == "sh":
        yield text, []
    elif kind == "console":
        for part in re.split(rf"^{re.escape(PROMPT)}", text, flags=re.MULTILINE)[1:]:
            command, *printed = part.splitlines()
            yield command, printed


def comparable(lines: list[str]) -> list[str]:
    """What is the same each time: stages that run side by side end in any order, after any time."""
    return sorted(SECONDS.sub("in 0.0 s", line) for line in lines if not SOMEBODYS_WORDS.match(line))


@pytest.mark.timeout(2000)
def test_the_tutorial_is_as_it_says(tmp_path: Path, api: str, home: Path) -> None:
    """Each command, in order, in an empty folder; on a server that is there already, so that none has to be started."""
    folder = tmp_path / "empty"
    folder.mkdir()
    variables = environment(home, api) | {"GLIAFLOW_SLOTS": str(tmp_path / "slots"), "HOME": str(tmp_path)}
    shell, ran = Shell(folder, variables), 0
    for kind, text in TUTORIAL.blocks:
        for command, printed in steps(kind, text):
            assert comparable(shell.run(command)) == comparable(printed), command
            ran += 1
    assert ran > 25
