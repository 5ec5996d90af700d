"""Bad input: one clear line, the exit code of a user error, and the repository as it was."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gliaflow.errors import UserError
from gliaflow.hosts.heartbeat import lease_seconds
from tests.support.disks import disk
from tests.support.repos import Project

GOOD: dict[str, Any] = {"split": {"cmd": "cp seed.txt split.txt", "deps": ["seed.txt"], "outs": ["split.txt"]}}


@pytest.fixture
def done(project: Project) -> Project:
    """A repository in which one stage has run."""
    project.write({"seed.txt": "1\n"})
    project.pipeline(GOOD)
    project.dvc("repro")
    project.commit()
    return project


def refused(project: Project, *arguments: str) -> str:
    """The one line of the error; all files are as they were."""
    before = {
        path: path.read_bytes() for path in project.root.rglob("*") if path.is_file() and ".dvc/tmp" not in str(path)
    }
    ended = project.flow(*arguments, expect=2)
    after = {
        path: path.read_bytes() for path in project.root.rglob("*") if path.is_file() and ".dvc/tmp" not in str(path)
    }
    assert after == before
    lines = ended.stderr.splitlines()
    assert len(lines) == 1, ended.stderr
    assert lines[0].startswith("error: ")
    return lines[0]


def test_no_dvc_repository(done: Project, tmp_path: Path) -> None:
    said = refused(done, "--repo", str(tmp_path))
    assert "not inside of a DVC repository" in said
    assert "run `dvc init` there" in said
    assert "nowhere" in refused(done, "--repo", "nowhere")


def test_an_unknown_target_has_the_nearest_names(done: Project) -> None:
    assert refused(done, "spilt") == (
        "error: Stage 'spilt' not found inside 'dvc.yaml' file; the nearest names are 'split'"
    )
    assert "other/dvc.yaml' does not exist" in refused(done, "other/dvc.yaml:split")


def test_an_unknown_flag(done: Project) -> None:
    assert "--forze" in refused(done, "--forze")


def test_a_cycle(done: Project) -> None:
    stages = GOOD | {
        "x": {"cmd": "cp z x", "deps": ["z"], "outs": ["x"]},
        "y": {"cmd": "cp x y", "deps": ["x"], "outs": ["y"]},
        "z": {"cmd": "cp y z", "deps": ["y"], "outs": ["z"]},
    }
    done.pipeline(stages)
    said = refused(done)
    assert "the stages are a cycle: Same item(s) are defined as both a dependency and an output in stages: " in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("stages: [", "unable to read: 'dvc.yaml', YAML file structure is corrupted; did not find expected"),
        ("stages:\n  a: b: c\n", "corrupted; mapping values are not allowed in this context, line 2, column 7"),
        ("<<<<<<< HEAD\nstages:\n", "(possible merge conflicts)"),
        (
            "stages:\n  a:\n    deps: [x]\n",
            "'./dvc.yaml' validation failed; required key not provided in stages -> a -> cmd, line 3",
        ),
        (
            "stages:\n  a:\n    cmd: x\n    outz: [o]\n  b:\n    cmd: x\n    dep: [o]\n",
            "failed: 2 errors; extra keys not allowed in stages -> a -> outz, line 4; extra keys not allowed in stages "
            "-> b -> dep, line 7",
        ),
        ("- 1\n", "'./dvc.yaml' validation failed; expected a dictionary"),
        ("stages:\n  a: {cmd: 'echo ${nothing}'}\n", "Could not find 'nothing'"),
        ("stages:\n  a: {cmd: x, outs: [o]}\n  b: {cmd: x, outs: [o]}\n", "output 'o' is specified in"),
    ],
)
def test_a_broken_dvc_yaml_has_dvcs_own_message(done: Project, text: str, said: str) -> None:
    done.write({"dvc.yaml": text})
    assert said in refused(done)


@pytest.mark.parametrize(
    ("meta", "said"),
    [
        ({"retrys": 3}, "meta.retrys is not known; did you mean retries?"),
        ({"gpu": 1}, "meta.gpu is not known; did you mean gpus?"),
        ({"retries": "many"}, "meta.retries is 'many'"),
        ({"cpus": 0}, "meta.cpus is 0"),
        ({"timeout": -1}, "meta.timeout is -1"),
        ({"gpus": True}, "meta.gpus is True"),
    ],
)
def test_wrong_meta(done: Project, meta: Any, said: str) -> None:
    done.pipeline({"split": GOOD["split"] | {"meta": meta}})
    assert said in refused(done)
    assert "stage 'split'" in refused(done)


def test_a_lease_that_nobody_can_wait_for(done: Project) -> None:
    assert lease_seconds({"GLIAFLOW_LEASE_SECONDS": "0.5"}) == 0.5
    for text in ("0", "-1", "nan", "inf", "1e300", "1 min"):
        with pytest.raises(UserError, match=f"GLIAFLOW_LEASE_SECONDS is '{text}'; it must be a number of seconds"):
            lease_seconds({"GLIAFLOW_LEASE_SECONDS": text})
    done.environment |= {"GLIAFLOW_LEASE_SECONDS": "abc"}
    assert "GLIAFLOW_LEASE_SECONDS is 'abc'" in refused(done, "--pools")


def test_a_command_that_is_not_there(done: Project) -> None:
    done.pipeline({"split": GOOD["split"] | {"cmd": "nosuchprogram --now seed.txt > split.txt"}})
    assert "there is no command 'nosuchprogram'" in refused(done)


def test_a_missing_dependency(done: Project) -> None:
    (done.root / "seed.txt").unlink()
    assert "reads 'seed.txt', which is not there" in refused(done)


def test_a_missing_parameter(done: Project) -> None:
    done.pipeline({"split": GOOD["split"] | {"params": ["learning.rate"]}})
    said = refused(done)
    assert said == "error: failed to reproduce 'split': Parameters 'learning.rate' are missing from 'params.yaml'"


def test_what_is_pulled_from_nowhere(done: Project) -> None:
    shutil.rmtree(done.root / ".dvc/cache")
    (done.root / "split.txt").unlink()
    assert "no remote specified" in refused(done, "--pull")


def test_a_command_that_only_the_shell_misses(done: Project) -> None:
    done.pipeline({"split": GOOD["split"] | {"cmd": "true && nosuchprogram"}})
    ended = done.flow(expect=2)
    assert "there is no command 'nosuchprogram'; install it or change `cmd:`" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB."""
    with disk(tmp_path / "small", "2m") as folder:
        yield folder


@pytest.mark.parametrize("where", ["cache", "cache of copies", "output"])
def test_a_full_disk(done: Project, small: Path, where: str) -> None:
    lock = (done.root / "dvc.lock").read_bytes()
    if where != "output":
        done.dvc("config", "cache.dir", str(small / "cache"))
        done.dvc("config", "cache.type", "copy" if where == "cache of copies" else "reflink,copy")
        command = "head -c 3000000 /dev/urandom > split.txt"
    else:
        (done.root / "full").symlink_to(small)
        command = "head -c 3000000 /dev/urandom > full/x && cp full/x split.txt"
    done.pipeline({"split": GOOD["split"] | {"cmd": command}})
    ended = done.flow(expect=None)
    assert "No space left on device" in ended.stdout + ended.stderr
    assert ended.returncode == (1 if where == "output" else 2)
    assert "Traceback" not in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert (done.root / "dvc.lock").read_bytes() == lock
    (small / "cache").rename(small / "gone") if (small / "cache").exists() else None
    done.pipeline(GOOD)
    done.dvc("config", "--unset", "cache.dir", expect=None)
    done.flow()
    assert (done.root / "dvc.lock").read_bytes() == lock
