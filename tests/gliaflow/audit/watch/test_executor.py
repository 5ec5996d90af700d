"""Stages that are looked at: what is named, that nothing else changes, and that a stage ends as it would have."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gliaflow import api
from gliaflow.audit.watch import executor, trace
from gliaflow.core.options import Options
from gliaflow.core.ports import Lease, Task
from gliaflow.core.report import Message, Outcome, Undeclared
from gliaflow.errors import UserError
from gliaflow.machine.local import LocalExecutor, LocalRun
from tests.support.fakes import Ear
from tests.support.repos import Project, copies

needs_strace = pytest.mark.skipif(not trace.prefix(), reason="no strace that may follow processes")
NOTHING = Undeclared()
CODE = {
    "pkg/__init__.py": "",
    "pkg/train.py": "from pkg import helper\nfrom pathlib import Path\n"
    "Path('model').write_text(Path('in.csv').read_text() + Path('more.csv').read_text() + helper.X)\n"
    "Path('logs').mkdir(exist_ok=True)\nPath('logs/train.txt').write_text('x')\n"
    "Path('gone').write_text('x')\nPath('gone').unlink()\n",
    "pkg/helper.py": "X = 'x'\n",
    "in.csv": "1\n",
    "more.csv": "2\n",
}
TRAIN = {"cmd": "python -m pkg.train", "deps": ["pkg/train.py", "in.csv"], "outs": ["model"]}


def looked(project: Project, *targets: str, **options: Any) -> tuple[dict[str, Undeclared | None], list[str]]:
    """What was found of each stage, and what was told."""
    ear = Ear()
    report = api.reproduce(
        project.root, targets, options=Options(**options), listener=ear, prefect=False, audit=True, jobs=2
    )
    assert [result.address for result in report.failed] == []
    told = [event.text for event in ear.events if isinstance(event, Message)]
    return {result.address: result.undeclared for result in report.results}, told


def test_an_import_a_data_file_and_a_file_beside_the_outputs_are_named(project: Project) -> None:
    project.write(CODE)
    project.pipeline({"train": TRAIN})
    found, told = looked(project)
    assert found == {"train": Undeclared(("more.csv", "pkg/helper.py"), ("logs/train.txt",))}
    assert told == [
        "train read more.csv, pkg/helper.py, which are none of its deps",
        "train wrote logs/train.txt, which is none of its outputs",
    ]
    assert list((project.root / ".dvc/tmp/gliaflow/audit").iterdir()) == []


def test_a_stage_that_declares_all_is_silent(project: Project) -> None:
    project.write(
        {**CODE, "params.yaml": "a: 1\n", "pkg/train.py": f"open('params.yaml').close()\n{CODE['pkg/train.py']}"}
    )
    (project.root / ".dvcignore").write_text("__pycache__\n")  # which importing makes in a folder that is a dependency
    stage = {**TRAIN, "deps": ["pkg", "in.csv", "more.csv"], "outs": ["model", "logs"], "params": ["a"]}
    project.pipeline({"train": stage})
    assert looked(project) == ({"train": NOTHING}, [])


def test_a_module_that_was_compiled_before_is_named(project: Project) -> None:
    project.write(CODE)
    project.pipeline({"train": TRAIN})
    looked(project)
    found, _ = looked(project, force=True)
    assert found["train"] == Undeclared(("more.csv", "pkg/helper.py"), ("logs/train.txt",))


def test_what_is_recorded_is_the_same_bytes_with_and_without(new_project: Any) -> None:
    one, two = new_project("one"), new_project("two")
    for project in (one, two):
        project.write(CODE)
        project.pipeline(
            {"train": TRAIN, "copy": copies("model", "copied"), "env": {"cmd": "wc -c in.csv > n", "outs": ["n"]}}
        )
    api.reproduce(one.root, prefect=False)
    looked(two)
    assert one.left() == two.left()
    assert len(one.left()) > 3
    assert api.reproduce(two.root, prefect=False).reproduced == []


def test_a_stage_that_does_not_run_is_not_looked_at(project: Project) -> None:
    project.write(CODE)
    project.pipeline({"train": TRAIN})
    looked(project)
    project.write({"new": ""})
    project.pipeline({"train": TRAIN, "other": copies("in.csv", "o")})
    found, _ = looked(project)
    assert found["train"] is None


def test_each_stage_is_looked_at_in_its_own_folder(project: Project) -> None:
    project.write(
        {"sub/run.py": "open('../top.csv'); open('near.csv'); open('o', 'w')", "sub/near.csv": "", "top.csv": ""}
    )
    project.pipeline({"s": {"wdir": "sub", "cmd": "python -W ignore run.py", "deps": ["run.py"], "outs": ["o"]}})
    assert looked(project)[0] == {"s": Undeclared(("sub/near.csv", "top.csv"))}


def test_what_the_shell_redirects_is_named(project: Project) -> None:
    project.write({"run.py": "print(input())", "in.txt": "1\n"})
    project.pipeline(
        {"s": {"cmd": "python run.py < in.txt > log.txt; python -c '' > o", "deps": ["run.py"], "outs": ["o"]}}
    )
    assert looked(project)[0] == {"s": Undeclared(("in.txt",), ("log.txt",))}


@needs_strace
def test_other_programs_are_looked_at_by_strace(project: Project) -> None:
    project.write({"a.csv": "1\n", "b.csv": "2\n", "run.sh": "cat b.csv\n", **CODE})
    lines = ["sh run.sh | cat a.csv - > o", "cp o beside", "PYTHONPATH=. python -m pkg.train"]
    project.pipeline({"s": {"cmd": lines, "deps": ["a.csv", "pkg/train.py", "in.csv"], "outs": ["o", "model"]}})
    found, told = looked(project)
    read, wrote = ("b.csv", "more.csv", "pkg/helper.py", "run.sh"), ("beside", "logs/train.txt")
    assert found == {"s": Undeclared(read, wrote)}
    assert len(told) == 2


def test_without_strace_one_line_tells_what_was_not_looked_at(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trace, "prefix", tuple)
    project.write(CODE)
    project.pipeline({"s": {**TRAIN, "cmd": "python -m pkg.train && cat more.csv"}})
    found, told = looked(project)
    assert found == {"s": Undeclared(("more.csv", "pkg/helper.py"), ("logs/train.txt",))}
    assert told[0] == executor.BLIND.format("s")


def test_a_python_that_takes_no_notice_is_told(project: Project) -> None:
    project.write(
        {"bin/python": '#!/bin/sh\nunset PYTHONPATH\nexec python3 -W ignore "$@"\n', "run.py": "open('o', 'w')"}
    )
    (project.root / "bin/python").chmod(0o755)
    project.pipeline({"s": {"cmd": "bin/python run.py", "deps": ["run.py", "bin"], "outs": ["o"]}})
    found, told = looked(project)
    assert found == {"s": None}
    assert told[0] == executor.DEAF.format("s")


@pytest.mark.parametrize("line", ["python -m pkg.train; exit 3", "exit 3"])
def test_a_stage_that_fails_fails_as_without(project: Project, line: str) -> None:
    project.write(CODE)
    project.pipeline({"s": {**TRAIN, "cmd": line}})
    both = [api.reproduce(project.root, prefect=False, audit=audit).failed[0] for audit in (False, True)]
    assert both[0].why == both[1].why
    assert str(both[0].error) == str(both[1].error)
    assert both[0].undeclared is None
    assert both[1].undeclared is not None


@pytest.mark.parametrize("line", ["no-such-program x", "python no.py", "cp no o", "sh -c 'kill -9 $$'"])
def test_why_a_stage_failed_is_told_in_the_same_words(project: Project, line: str) -> None:
    project.pipeline({"s": {"cmd": line, "outs": ["o"]}})
    both = [api.reproduce(project.root, prefect=False, audit=audit).failed[0] for audit in (False, True)]
    assert both[0].why == both[1].why


def test_the_exit_code_stays_and_a_program_reads_what_was_found(project: Project) -> None:
    project.write(CODE)
    project.pipeline({"train": TRAIN})
    ran = project.flow("--audit", "--json")
    (stage,) = json.loads(ran.stdout)["stages"]
    assert stage["undeclared"] == {"read": ["more.csv", "pkg/helper.py"], "wrote": ["logs/train.txt"]}
    shutil.rmtree(project.root / "logs")
    lines = project.flow("--audit", "--force").stdout.splitlines()
    assert lines[-3:] == [
        "1 ran",
        "train read more.csv, pkg/helper.py, which are none of its deps",
        "train wrote logs/train.txt, which is none of its outputs",
    ]


def test_the_fallback_cannot_look(project: Project) -> None:
    with pytest.raises(UserError, match="--audit does not go with --fallback"):
        api.reproduce(project.root, audit=True, fallback=True)


def test_what_goes_wrong_with_looking_fails_no_stage(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise OSError("the disk is gone")

    monkeypatch.setattr(executor, "undeclared", broken)
    project.write(CODE)
    project.pipeline({"train": TRAIN})
    found, told = looked(project)
    assert found == {"train": None}
    assert told == ["what stage 'train' opened is not known: the disk is gone"]


def test_data_that_is_opened_through_a_link_is_that_of_its_place(project: Project) -> None:
    project.write({"data/v1/x": "", "run.py": "open('data/now/x'); open('o', 'w')"})
    (project.root / "data/now").symlink_to("v1")
    project.pipeline({"s": {"cmd": "python -W ignore run.py", "deps": ["run.py", "data/v1"], "outs": ["o"]}})
    assert looked(project)[0] == {"s": NOTHING}


def test_many_stages_side_by_side_each_have_their_own(project: Project) -> None:
    project.write({f"{number}.txt": "" for number in range(6)})
    code = "open('{n}.txt'); open('o{n}', 'w')"
    stages = {f"s{n}": {"cmd": f'python -W ignore -c "{code.format(n=n)}"', "outs": [f"o{n}"]} for n in range(6)}
    project.pipeline(stages)
    assert looked(project)[0] == {f"s{n}": Undeclared((f"{n}.txt",)) for n in range(6)}


def test_the_outcome_is_that_of_the_stage(project: Project) -> None:
    project.write(CODE)
    project.pipeline({"train": TRAIN})
    (result,) = api.reproduce(project.root, prefect=False, audit=True).results
    assert (result.outcome, Path(project.root, "model").read_text()) == (Outcome.RUN, "1\n2\nx")


class Earlier(LocalExecutor):
    """Runs stages as if a killed run had begun them, without any notes."""

    def keeps(self, task: Task) -> bool:
        return bool(task)

    def launch(self, task: Task, lease: Lease) -> LocalRun:
        commands = task.prepared.commands
        assert commands
        bare = replace(commands, env={**commands.env, "PYTHONPATH": ""})
        return super().launch(replace(task, prepared=replace(task.prepared, commands=bare)), lease)


def test_a_stage_that_an_earlier_run_has_begun_is_not_looked_at(project: Project) -> None:
    project.write(CODE)
    project.pipeline({"train": TRAIN})
    ear = Ear()
    report = api.reproduce(project.root, executors=[Earlier()], listener=ear, prefect=False, audit=True)
    assert [one.undeclared for one in report.results] == [None]
    told = [event.text for event in ear.events if isinstance(event, Message)]
    assert told == ["train was not looked at: an earlier run had begun it"]
