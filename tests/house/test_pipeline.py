"""Holds dvc.yaml, params.yaml and the profiles to the code."""

import ast
import hashlib
import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

import gliaflow

ROOT = Path(__file__).parents[2]


LOAD = """
import importlib, pathlib, sys
from stages.params import load
for section in sys.argv[1].split(","):
    kind = getattr(importlib.import_module(f"stages.{section}"), f"{section.split('.')[1].title()}Params")
    for profile in sys.argv[2:]:
        print(load(kind, section, pathlib.Path(profile)))
"""


def read(path: Path) -> Any:
    return YAML(typ="safe", pure=True).load(path)


STAGES: dict[str, Any] = read(ROOT / "dvc.yaml")["stages"]
PROFILES = [ROOT / "params.yaml", *sorted((ROOT / "profiles").glob("*.yaml"))]
DOWNLOADS = [name for name in STAGES if name.endswith("-download")]


def module_of(name: str) -> Path:
    """stages/lgg/split.py of lgg-split."""
    return ROOT / "stages" / name.replace("-", "/", 1).replace("-", "_")


def source(name: str) -> Path:
    return module_of(name).with_suffix(".py")


def imported(path: Path) -> set[Path]:
    """The project's modules that `path` imports, at any place in it, and those that they import, and so on."""
    found, waiting = set(), [path]
    while waiting:
        current = waiting.pop()
        if current in found:
            continue
        found.add(current)
        for node in ast.walk(ast.parse(current.read_text())):
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{current}: relative imports are not followed"
                names = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            else:
                continue
            files = [ROOT.joinpath(*name.split(".")).with_suffix(".py") for name in names]
            waiting += [file for file in files if file.exists()]
    return found


def from_parameters(name: str) -> str:
    """What dvc.yaml takes from a parameter as a dependency of a stage: its source, or what training starts from."""
    return "${" + name.replace("-", ".", 1) + (".start.weights}" if name == "lgg-train" else ".source}")


def paths(stage: Any, kind: str) -> list[str]:
    """The paths of a stage's deps, outs, metrics or plots, a matrix's item written as in dvc.yaml."""
    return [next(iter(entry)) if isinstance(entry, dict) else entry for entry in stage.get(kind, [])]


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_lists_the_code_that_it_imports(name: str) -> None:
    listed = {dependency for dependency in paths(STAGES[name], "deps") if dependency.endswith(".py")}
    assert listed == {str(path.relative_to(ROOT)) for path in imported(source(name))}


def test_check_finds_nothing_that_is_not_declared() -> None:
    assert gliaflow.check(ROOT) == {}


@pytest.mark.parametrize("name", STAGES)
def test_all_but_downloads_depend_on_the_pinned_packages(name: str) -> None:
    assert ("requirements.lock" in paths(STAGES[name], "deps")) == (not name.endswith("download"))


@pytest.mark.parametrize("name", STAGES)
def test_one_name_everywhere(name: str) -> None:
    module = ".".join(module_of(name).relative_to(ROOT).parts)
    assert shlex.split(STAGES[name]["cmd"])[:3] == ["python", "-m", module]
    part, stage = name.split("-", 1)
    assert (ROOT / "tests" / "stages" / part / f"test_{stage}.py").exists()
    own, *others = STAGES[name].get("params", [f"{part}.{stage}"])
    assert own == f"{part}.{stage}"
    assert {other.replace(".", "-") for other in others} < STAGES.keys()  # sections that are other stages' own


@pytest.mark.parametrize("name", STAGES)
def test_a_command_names_every_output_and_every_input_that_is_data(name: str) -> None:
    """An output that no argument names would be written by a path that stands in the code; a parameter has a source."""
    stage = STAGES[name]
    arguments = shlex.split(stage["cmd"])[3:]
    code_or_source = (".py", ".lock", from_parameters(name))
    data = [path for path in paths(stage, "deps") if not path.endswith(code_or_source)]
    for path in [*data, *(path for kind in ("outs", "metrics", "plots") for path in paths(stage, kind))]:
        assert any(path == argument or path.startswith(f"{argument}/") for argument in arguments), path


@pytest.mark.parametrize("name", DOWNLOADS)
def test_a_download_depends_on_its_source(name: str) -> None:
    """Or another archive at the same path would not be noticed."""
    assert from_parameters(name) in paths(STAGES[name], "deps")


@pytest.mark.parametrize("name", DOWNLOADS)
def test_each_source_that_is_a_word_is_a_file_of_git(name: str) -> None:
    """DVC refuses a dependency that is not there."""
    words = {
        str(value.value)
        for node in ast.walk(ast.parse(source(name).read_text()))
        if isinstance(node, ast.Compare) and ast.unparse(node.left).endswith("source")
        for value in node.comparators
        if isinstance(value, ast.Constant)
    }
    part = name.split("-")[0]
    assert "sample" in words
    assert {"sample", *(read(profile)[part]["download"]["source"] for profile in PROFILES)} <= words | {
        "lgg-mri-segmentation.zip"
    }
    listed = subprocess.run(["git", "ls-files", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert set(listed.splitlines()) == words


@pytest.mark.parametrize(
    "made",
    ["dvc_plots/index.html", "dvc_plots/static/1.png", "site/index.html", "dist/a.whl", "gliaflow-1-py3-none-any.whl",
     "runs/lgg-train/as committed/events.1", ".state/lgg-download/a/archive.zip", "models/.partial.lgg/last.pt"],
)  # fmt: skip
def test_git_does_not_show_what_tools_write(made: str) -> None:
    """Of dvc plots, mkdocs, pip, TensorBoard, and of a stage that was killed."""
    subprocess.run(["git", "check-ignore", "--quiet", "--no-index", made], cwd=ROOT, check=True)


@pytest.mark.parametrize("name", [name for name, stage in STAGES.items() if "diff" in stage.get("meta", {})])
def test_what_compares_two_versions_of_a_stages_outputs_is_a_module_of_its_part(name: str) -> None:
    python, flag, module = shlex.split(STAGES[name]["meta"]["diff"])
    assert (python, flag) == ("python", "-m")
    assert ROOT.joinpath(*module.split(".")).with_suffix(".py").parent == module_of(name).parent
    assert ROOT.joinpath(*module.split(".")).with_suffix(".py").exists()


@pytest.mark.training
@pytest.mark.parametrize("part", ["lgg", "mnist", "regression"])
def test_every_profile_has_every_section(part: str) -> None:
    """Loaded in a process of its own, since torch and TensorFlow do not share one."""
    names = [name for name, stage in STAGES.items() if name.startswith(part) and "params" in stage]
    sections = [name.replace("-", ".", 1) for name in names]
    line = [sys.executable, "-c", LOAD, ",".join(sections), *map(str, PROFILES)]
    shown = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
    assert shown.stderr == ""
    assert len(shown.stdout.splitlines()) == len(names) * len(PROFILES) >= 2 * 3


@pytest.mark.parametrize("profile", PROFILES, ids=lambda path: path.name)
def test_no_profile_has_a_section_that_no_stage_reads(profile: Path) -> None:
    read_by_stages = {entry for stage in STAGES.values() for entry in stage.get("params", [])}
    sections = {f"{part}.{stage}" for part, stages in read(profile).items() for stage in stages}
    assert sections == read_by_stages


@pytest.mark.parametrize("profile", PROFILES, ids=lambda path: path.name)
def test_no_parameter_has_a_name_that_dvcs_run_cache_leaves_out_of_its_key(profile: Path) -> None:
    """Or `dvc repro` would restore what another value had made: issue 10296 of DVC."""

    def names(section: Any) -> set[str]:
        inside = section.items() if isinstance(section, dict) else ()
        return {str(name) for name, _ in inside}.union(*(names(value) for _, value in inside))

    assert len(names(read(profile))) > 20
    assert names(read(profile)).isdisjoint({"size", "nfiles"})


@pytest.mark.parametrize("package", sorted((ROOT / "stages").rglob("__init__.py")), ids=str)
def test_packages_hold_no_code(package: Path) -> None:
    """They are nobody's dependency."""
    assert [type(node) for node in ast.parse(package.read_text()).body] == [ast.Expr]


def named(path: Path) -> set[str]:
    """The modules that `path` imports, or imports something of."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            names |= {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return names


@pytest.mark.parametrize("path", sorted((ROOT / "stages").rglob("*.py")), ids=str)
def test_who_may_import_whom(path: Path) -> None:
    part = path.relative_to(ROOT / "stages").parts[0]
    foreign = {"lgg", "mnist", "regression"} - {part}
    names = named(path)
    roots = {name.split(".")[0] for name in names}
    assert not roots & {"dvc", "prefect", "flows"}
    assert not {name for name in names if name.startswith(tuple(f"stages.{other}" for other in foreign))}
    assert not (roots & {"tensorflow", "tf_keras", "keras"} and "torch" in roots)


ROOMS: dict[str, set[str]] = {
    "source": set(), "layouts": set(), "formats": set(), "scans": {"layouts", "formats"}, "unet": {"scans"},
    "scores": {"unet"}, "inference": {"formats", "layouts", "scans", "scores", "unet"},
    "sharing": {"inference", "scans", "scores", "unet"}, "pretrained": {"source", "scans", "unet", "scores"},
}  # fmt: skip
"""The folders of stages/lgg, and which others each may import from; the stages beside them may import from all."""


@pytest.mark.parametrize("path", sorted((ROOT / "stages/lgg").glob("*/*.py")), ids=str)
def test_which_room_may_import_which(path: Path) -> None:
    room = path.parent.name
    of_lgg = {name.split(".")[2] for name in named(path) if name.startswith("stages.lgg.")}
    assert of_lgg <= {room} | ROOMS[room]


def expanded() -> dict[str, Any]:
    """The stages of dvc.yaml as DVC sees them: a matrix as its items, a parameter as its value."""
    stages, parameters = {}, read(ROOT / "params.yaml")
    for name, stage in STAGES.items():
        [(key, items)] = stage.get("matrix", {"none": [""]}).items()
        for item in map(str, items):
            text = json.dumps(stage).replace(f"${{item.{key}}}", item)
            if name in DOWNLOADS:
                text = text.replace(from_parameters(name), parameters[name.split("-")[0]]["download"]["source"])
            text = text.replace(from_parameters("lgg-train"), parameters["lgg"]["train"]["start"]["weights"])
            stages[f"{name}@{item}" if item else name] = json.loads(text)
    return stages


def test_the_lock_file_is_of_this_graph_this_code_and_these_parameters() -> None:
    """A commit that changes a stage, but not the results that come out of it, is noticed."""
    lock, stages, parameters = read(ROOT / "dvc.lock")["stages"], expanded(), read(ROOT / "params.yaml")
    assert lock.keys() == stages.keys()
    for name, stage in stages.items():
        assert lock[name]["cmd"] == stage["cmd"]
        assert sorted(entry["path"] for entry in lock[name]["deps"]) == sorted(paths(stage, "deps"))
        for entry in lock[name]["deps"]:
            if entry["path"].endswith((".py", ".lock")):
                here = hashlib.md5((ROOT / entry["path"]).read_bytes()).hexdigest()
                assert entry["md5"] == here, f"{entry['path']} changed since {name} ran: dvc repro, and commit dvc.lock"
        for section in stage.get("params", []):
            part, verb = section.split(".")
            assert lock[name]["params"]["params.yaml"][section] == parameters[part][verb]
