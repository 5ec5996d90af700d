"""`gliaflow sweep` beside `dvc exp run`: the same commits; shared work done once; killed at any moment it goes on.

`GLIAFLOW_SWEEP_KILLS` says how many kills, 6 by default.
"""

import json
import os
import random
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.behaviour.test_kills import mine
from tests.support.patience import COMMAND_SECONDS
from tests.support.repos import GLIAFLOW, Project, soon

KILLS = int(os.environ.get("GLIAFLOW_SWEEP_KILLS", "6"))
SETS = ("-S", "a=1,2,3", "-S", "b=5,6")
REFS = "refs/exps"


def logged(name: str, log: Path, command: str, seconds: float = 0) -> str:
    """A command that notes that it has run to its end."""
    return f"sleep {seconds}; {command}; echo {name} $(tr '\\n' ' ' < params.yaml) >> {log}"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Where the stages note that they ran."""
    return tmp_path / "ran.log"


@pytest.fixture
def graph(project: Project, log: Path) -> Project:
    """A stage that all share, one that those with the same `a` share, and one for each set; a metric git keeps."""
    project.write({"params.yaml": "a: 1\nb: 5  # kept\nc: 9\n", "seed.txt": "seed\n"})
    metric = "echo \"{'acc': $(sed -n 's/a: //p' params.yaml)}\" | tr \"'\" '\"' > m.json"
    stages: dict[str, dict[str, Any]] = {
        "shared": {"cmd": logged("shared", log, "cp seed.txt s.txt", 1), "deps": ["seed.txt"], "outs": ["s.txt"]},
        "half": {
            "cmd": logged("half", log, "{ cat s.txt; sed -n 1p params.yaml; } > h.txt"),
            "deps": ["s.txt"],
            "params": ["a"],
            "outs": ["h.txt"],
        },
        "last": {
            "cmd": logged("last", log, f"cat h.txt params.yaml > l.txt; {metric}"),
            "deps": ["h.txt"],
            "params": ["a", "b"],
            "outs": ["l.txt"],
            "metrics": [{"m.json": {"cache": False}}],
        },
    }
    project.pipeline(stages)
    project.commit()
    return project


def refs(project: Project) -> dict[str, str]:
    """The commit of each experiment, by name."""
    lines = project.run("git", "for-each-ref", "--format=%(refname) %(objectname)", REFS).stdout.splitlines()
    pairs = (line.split() for line in lines if len(line.split()[0].split("/")) == 5)
    return {ref.split("/")[-1]: rev for ref, rev in pairs}


def content(project: Project, rev: str) -> tuple[str, str, str]:
    """All that a commit holds, but for when it was made: tree, parent and message."""
    return tuple(project.run("git", "show", "-s", "--format=%T%n%P%n%B", rev).stdout.split("\n", 2))  # type: ignore[return-value]


def swept(project: Project, *flags: str, expect: int | None = 0) -> dict[str, Any]:
    """What `gliaflow sweep --json` answers."""
    text = project.gliaflow("sweep", "--no-prefect", "--json", *flags, expect=expect).stdout
    return json.loads(text)  # type: ignore[no-any-return]


def runs(log: Path) -> Counter[str]:
    """How often each stage ran, by its name."""
    return Counter(line.split()[0] for line in log.read_text().splitlines())


def shown(project: Project) -> dict[str, Any]:
    """What `dvc exp show` lists of each experiment, by name, but for commit and time."""
    [head] = (one for one in json.loads(project.dvc("exp", "show", "--json").stdout) if one["rev"] != "workspace")
    [*revs] = (rev for one in head["experiments"] for rev in one["revs"])
    return {rev["name"]: {**rev, "rev": "", "data": {**rev["data"], "rev": "", "timestamp": ""}} for rev in revs}


def test_experiments_are_those_of_dvc_byte_for_byte_and_shared_work_is_done_once(graph: Project, log: Path) -> None:
    theirs = graph.copy(graph.root.parent / "theirs" / "project")
    before = {path: path.read_bytes() for path in graph.root.iterdir() if path.is_file()}
    told = swept(graph, *SETS, "-n", "x", "-j", "2")
    assert [one["fate"] for one in told["experiments"]] == ["done"] * 6
    assert runs(log) == {"shared": 1, "half": 3, "last": 6}
    assert {path: path.read_bytes() for path in graph.root.iterdir() if path.is_file()} == before
    assert graph.run("git", "status", "--short").stdout == ""
    sets = ((a, b) for a in (1, 2, 3) for b in (5, 6))
    for number, (a, b) in enumerate(sets, 1):
        theirs.dvc("exp", "run", "--temp", "-S", f"a={a}", "-S", f"b={b}", "-n", f"x-{number}")
    ours, expected = refs(graph), refs(theirs)
    assert ours.keys() == expected.keys() == {f"x-{number}" for number in range(1, 7)}
    assert [content(graph, ours[name]) for name in ours] == [content(theirs, expected[name]) for name in ours]
    assert shown(graph) == shown(theirs)
    assert [one["metrics"]["m.json"]["acc"] for one in told["experiments"]] == [1, 1, 2, 2, 3, 3]


def test_what_is_there_is_not_made_again_and_what_is_known_not_computed(graph: Project, log: Path) -> None:
    first = swept(graph, *SETS)
    log.unlink()
    again = swept(graph, "-S", "a=1,2,3,4", "-S", "b=5,6")
    assert Counter(one["fate"] for one in again["experiments"]) == {"known": 6, "done": 2}
    assert runs(log) == {"half": 1, "last": 2}
    names = {one["name"] for one in first["experiments"]}
    graph.dvc("exp", "remove", *names)
    log.unlink()
    log.touch()
    assert {one["fate"] for one in swept(graph, *SETS)["experiments"]} == {"done"}
    assert runs(log) == {}  # the run-cache knows them


def test_dvc_works_on_them(graph: Project) -> None:
    told = swept(graph, *SETS, "--metric", "acc")
    assert told["best"] == told["experiments"][4]["name"]
    graph.dvc("exp", "apply", told["best"])
    assert (graph.root / "params.yaml").read_text() == "a: 3\nb: 5  # kept\nc: 9\n"
    assert (graph.root / "l.txt").read_text() == "seed\na: 3\na: 3\nb: 5  # kept\nc: 9\n"
    assert "didn't change" in graph.dvc("repro").stdout
    graph.dvc("exp", "branch", told["best"], "winner")
    assert "winner" in graph.run("git", "branch").stdout
    remote = graph.root.parent / "remote.git"
    graph.run("git", "init", "-q", "--bare", str(remote))
    graph.run("git", "remote", "add", "origin", str(remote))
    graph.dvc("exp", "push", "origin", told["best"], "--no-cache")
    assert told["best"] in graph.dvc("exp", "list", "origin", "--all-commits").stdout


def test_changes_of_the_user_are_part_of_each_and_stay(project: Project) -> None:
    project.write({"params.yaml": "a: 1\n", "code.sh": "echo old\n", "data.txt": "old\n", "loose.txt": "loose\n"})
    project.dvc("add", "data.txt")
    stage = {"cmd": "{ sh code.sh; cat data.txt loose.txt; } > o.txt", "deps": ["code.sh", "data.txt"], "params": ["a"]}
    project.pipeline({"one": {**stage, "outs": [{"o.txt": {"cache": False}}]}})
    project.write({".gitignore": "/loose.txt\n/data.txt\n"})
    project.commit()
    project.write({"code.sh": "echo new\n", "data.txt": "new\n"})
    status = project.run("git", "status", "--short").stdout
    told = swept(project, "-S", "a=1,2", "-C", "loose.txt", "-n", "x")
    assert [one["fate"] for one in told["experiments"]] == ["done"] * 2
    assert project.run("git", "show", f"{refs(project)['x-2']}:o.txt").stdout == "new\nnew\nloose\n"
    assert project.run("git", "status", "--short").stdout == status
    project.dvc("exp", "run", "--temp", "-S", "a=2", "-C", "loose.txt", "-n", "theirs")
    ours, theirs = (project.run("git", "rev-parse", f"{refs(project)[name]}^{{tree}}") for name in ("x-2", "theirs"))
    assert ours.stdout == theirs.stdout


def test_failed_ones_are_listed_with_their_last_lines(project: Project) -> None:
    project.write({"params.yaml": "a: 1\n", "seed.txt": ""})
    cmd = "echo about to; grep 'a: 1' params.yaml && touch o.txt"
    project.pipeline({"one": {"cmd": cmd, "deps": ["seed.txt"], "params": ["a"], "outs": ["o.txt"]}})
    project.commit()
    ended = project.gliaflow("sweep", "--no-prefect", "-S", "a=1,2", "-n", "x", expect=1)
    assert "x-2 (a=2) failed: stage 'one': exited with 1: about to\n    about to\n" in ended.stdout
    assert ended.stderr == "error: 1 of 2 experiments failed; the same command tries these again\n"
    assert refs(project).keys() == {"x-1"}
    assert [one["fate"] for one in swept(project, "-S", "a=1,2", "-n", "x", expect=1)["experiments"]] == [
        "known",
        "failed",
    ]


def test_in_a_folder_below_and_a_repository_below_git(new_project: Any) -> None:
    project = new_project()
    below = project.root / "sub"
    project.run("git", "init", "-q", "-b", "main", str(project.root))
    project.run("mkdir", "sub")
    (project.root / ".dvc").rename(below / ".dvc")
    project.write({"sub/deep/params.yaml": "a: 1\n"})
    stage = {"cmd": "cp params.yaml o.txt", "params": ["a"], "outs": [{"o.txt": {"cache": False}}]}
    project.pipeline({"one": stage}, "sub/deep/dvc.yaml")
    project.commit()
    told = swept(project, "--repo", "sub/deep", "-S", "a=2,3", "-n", "x")
    assert [one["fate"] for one in told["experiments"]] == ["done"] * 2
    assert project.run("git", "show", f"{refs(project)['x-1']}:sub/deep/o.txt").stdout == "a: 2\n"
    assert len(list((below / ".dvc/tmp/gliaflow/experiments/ledger.jsonl").read_text().splitlines())) == 4


def test_two_sweeps_at_once_make_each_experiment_once(graph: Project, log: Path) -> None:
    line = [*GLIAFLOW, "sweep", "--no-prefect", "--json", *SETS, "-n", "x"]
    both = [
        subprocess.Popen(line, cwd=graph.root, env=graph.environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    told = [json.loads(one.communicate(timeout=COMMAND_SECONDS)[0]) for one in both]
    assert [len(one["experiments"]) for one in told] == [6, 6]
    assert len({one["rev"] for answer in told for one in answer["experiments"]}) == 6
    assert runs(log) == {"shared": 1, "half": 3, "last": 6}
    assert len(refs(graph)) == 6


def test_another_sweep_of_the_same_name_at_the_same_time(graph: Project) -> None:
    lines = [[*GLIAFLOW, "sweep", "--no-prefect", "--json", "-S", f"c={c}", "-n", "same"] for c in (1, 2)]
    both = [
        subprocess.Popen(line, cwd=graph.root, env=graph.environment, stdout=subprocess.PIPE, text=True)
        for line in lines
    ]
    found = [json.loads(one.communicate(timeout=COMMAND_SECONDS)[0])["experiments"][0] for one in both]
    done = [one for one in found if one["fate"] == "done"]  # one of them fails if it chose the name at the same moment
    assert done
    assert refs(graph) == {one["name"]: one["rev"] for one in done}
    lost = "experiment 'same' is there already, of other parameters: take another --name"
    assert [one["error"] for one in found if one["fate"] == "failed"] == [lost] * (2 - len(done))


def test_force_runs_all_again_and_replaces_the_experiment(graph: Project, log: Path) -> None:
    first = swept(graph, "-S", "a=2", "-n", "x")
    again = swept(graph, "-S", "a=2", "-n", "x", "--force")
    assert [one["experiments"][0]["fate"] for one in (first, again)] == ["done", "done"]
    assert runs(log) == {"shared": 2, "half": 2, "last": 2}
    assert refs(graph) == {"x": again["experiments"][0]["rev"]}


def left_over(project: Project) -> list[str]:
    """What lies about of experiments that are made."""
    folder = project.root / ".dvc/tmp/gliaflow/experiments"
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.name != "ledger.jsonl")


def test_killed_at_any_moment_it_goes_on(graph: Project, log: Path) -> None:
    undisturbed = graph.copy(graph.root.parent / "undisturbed" / "project")
    swept(undisturbed, *SETS, "-n", "x")
    log.unlink()
    generator = random.Random(11)
    line = [*GLIAFLOW, "sweep", "--no-prefect", *SETS, "-n", "x", "-j", "2"]
    for _ in range(KILLS):
        started = subprocess.Popen(
            line, cwd=graph.root, env=graph.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(generator.uniform(0.5, 2.5))
        victims = [psutil.Process(started.pid)]
        if generator.random() < 0.5:  # a runner, which is replaced, before the whole sweep
            victims = [*victims[0].children(), *victims][:1] + victims
        for victim in victims:
            victim.send_signal(signal.SIGKILL)
        started.wait()
        assert soon(lambda: not mine(graph)), "processes are left"
    told = swept(graph, *SETS, "-n", "x")
    ours, expected = refs(graph), refs(undisturbed)
    assert {name: content(graph, rev) for name, rev in ours.items()} == {
        name: content(undisturbed, rev) for name, rev in expected.items()
    }
    assert {one["fate"] for one in told["experiments"]} <= {"known", "done"}
    times = runs(log)
    extra = sum(times.values()) - (1 + 3 + 6)
    assert times.keys() == {"shared", "half", "last"}
    assert extra <= KILLS // 3, times  # a kill between the end of a command and the record of it costs a run
    assert left_over(graph) == ["guard", "locks", "twins"]


def test_interrupted_it_says_what_to_do_and_leaves_no_process(graph: Project) -> None:
    started = subprocess.Popen(
        [*GLIAFLOW, "sweep", "--no-prefect", *SETS],
        cwd=graph.root,
        env=graph.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert soon(lambda: psutil.Process(started.pid).children()), "no runner was started"
    time.sleep(0.5)
    started.send_signal(signal.SIGINT)
    _, errors = started.communicate(timeout=COMMAND_SECONDS)
    assert started.returncode == 130
    assert errors == "error: interrupted; the same command goes on where this one ended\n"
    assert soon(lambda: not mine(graph)), "processes are left"


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("-S", "a=1", "nowhere"), "error: 'nowhere' does not exist as an output or a stage name in 'dvc.yaml'"),
        (("-S", "/tmp/params.yaml:a=1"), "error: -S /tmp/params.yaml:…: name a file of parameters in this repository"),
        (("-S", "zz=1"), "error: -S zz=1: params.yaml: Could not override 'zz'. To append to your config use +zz=1"),
        (("-S", "p.yaml:a=1"), "error: -S a=1: there is no 'p.yaml'"),
        (("-S", "a"), "error: -S a: no value; write NAME=VALUE, or NAME=VALUE,VALUE for several"),
        (("-S", "seed.txt:a=1"), "error: -S a=1: seed.txt: Could not override 'a'"),
        (("-S", "a=1", "-C", "nowhere"), "error: --copy-paths nowhere: there is no such file or folder"),
        (("-S", "a=1", "-n", "no/name"), "error: Invalid exp name no/name"),
        (("-S", "a=1", "--minimize"), "error: --minimize needs a metric: --metric NAME"),
        (("-S", "a=1", "-j", "0"), "error: jobs is 0; at least one stage must be able to run"),
        (("-S", "a=1", "--at-once", "0"), "error: at_once is 0; at least one experiment must be in work"),
    ],
)
def test_bad_input_is_one_line(graph: Project, flags: tuple[str, ...], said: str) -> None:
    ended = graph.gliaflow("sweep", "--no-prefect", *flags, expect=2)
    assert ended.stderr.startswith(said)
    assert ended.stderr.count("\n") == 1
    assert ended.stdout == ""
    assert refs(graph) == {}


def test_where_nothing_is_committed(project: Project) -> None:
    project.write({"params.yaml": "a: 1\n"})
    ended = project.gliaflow("sweep", "-S", "a=1", expect=2)
    assert ended.stderr == "error: experiments begin at a commit, and nothing is committed yet: git commit first\n"
