"""Stages on other hosts, over a real Prefect server on PostgreSQL: what they leave, and what they survive."""

import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import psutil
import pytest
from prefect.blocks.system import Secret

from gliaflow.team.setup import make_pool
from tests.support.patience import PATIENCE
from tests.support.repos import GLIAFLOW, Project, copies, soon
from tests.support.servers import postgres, refusing, s3
from tests.support.team import Team, team, unique

FEW_FILES = 8
FILES = 3000  # so many that sending them takes a while
SERVER_AWAY_SECONDS = 20
GPU = {"pool": "gpu", "gpus": 1}


@pytest.fixture(scope="module")
def crew(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    """A team with one host of two GPUs."""
    folder = tmp_path_factory.mktemp("team")
    with postgres(folder) as database, team(folder, database) as made:
        made.join("b")
        yield made


@pytest.fixture
def project(crew: Team, tmp_path: Path) -> Project:
    """A repository that the hosts can reach."""
    return crew.project(tmp_path / "project")


def line(*arguments: str) -> list[str]:
    """`gliaflow repro --pools`."""
    return [*GLIAFLOW, "repro", "--pools", *arguments]


@contextmanager
def started(project: Project) -> Iterator["subprocess.Popen[str]"]:
    """The same, and it runs; not longer than the block."""
    out = subprocess.PIPE
    with subprocess.Popen(
        line(), cwd=project.root, env=project.environment, stdout=out, stderr=subprocess.STDOUT, text=True
    ) as caller:
        try:
            yield caller
        finally:
            caller.kill()


def terminate(caller: "subprocess.Popen[str]") -> None:
    """SIGTERM, and until it has ended."""
    caller.send_signal(signal.SIGTERM)
    caller.communicate(timeout=PATIENCE)


def waiting(folder: Path, name: str, then: str) -> dict[str, Any]:
    """A stage that runs until the file `go` is there, and says so in `begun`: both outside of any workspace."""
    command = f"echo begun; echo x >> {folder}/begun; while ! test -e {folder}/go; do sleep 0.1; done; {then}"
    return {"cmd": command, "deps": ["seed.txt"], "outs": [f"{name}.txt"], "meta": GPU}


def test_stages_on_another_host_leave_what_a_local_run_leaves(project: Project, tmp_path: Path) -> None:
    project.write({"seed.txt": "1\n", "params.yaml": "p: 1\n", "code/tool.py": "print(1)\n", "sub/seed.txt": "2\n"})
    train = "python code/tool.py > model.txt; echo '{\"dice\": 0.5}' > m.json; mkdir -p curves; cp a/x curves/y"
    stages: dict[str, Any] = {
        "local": {"cmd": "mkdir a; cp seed.txt a/x; echo 1 > a/z; chmod +x a/z", "deps": ["seed.txt"], "outs": ["a"]},
        "score": {"cmd": "echo '{\"s\": 1}' > s.json", "deps": ["seed.txt"], "metrics": [{"s.json": {"cache": False}}]},
        "train": {
            "cmd": train,
            "deps": ["a/x", "code", "s.json"],
            "params": ["p"],
            "outs": ["model.txt"],
            "metrics": [{"m.json": {"cache": False}}],
            "plots": ["curves"],
            "meta": GPU,
        },
        "after": {"cmd": "cat model.txt a/x > b.txt; test -x a/z", "deps": ["model.txt", "a"], "outs": ["b.txt"]},
        "again": {**copies("b.txt", "again.txt"), "meta": GPU},
    }  # fmt: skip
    project.pipeline(stages)
    project.pipeline({"inner": {**copies("seed.txt", "inner.txt"), "meta": {"pool": "gpu"}}}, "sub/dvc.yaml")
    project.commit()
    project.write({"code/tool.py": "print('changed and not committed')\n", "params.yaml": "p: 2\n"})
    twin = project.copy(tmp_path / "other" / "twin")
    twin.flow("-P")
    ended = project.run(*line("-P"))
    assert project.left() == twin.left()
    assert (project.root / "model.txt").read_text() == "changed and not committed\n"
    assert (project.root / "m.json").read_bytes() == (twin.root / "m.json").read_bytes()
    assert "train > in pool gpu" in ended.stdout
    project.clean()
    assert project.run("git", "for-each-ref", "--format=%(refname)").stdout.split() == ["refs/heads/master"]
    refs = project.run("git", "ls-remote", "origin").stdout
    assert "refs/gliaflow" not in refs
    project.write({"params.yaml": "p: 3\n"})
    project.commit()
    ended = project.run(*line("--dry"))
    assert "train: to run: p 2 → 3" in ended.stdout


def test_lines_come_here_and_retries_gpus_and_secrets_are_those_of_the_host(project: Project, crew: Team) -> None:
    name, secret = unique("retry"), uuid.uuid4().hex
    with crew.client():
        Secret(value=secret).save("team-key", overwrite=True)
        make_pool("gpu", secrets={"TEAM_KEY": "team-key"})
    device = "echo device $CUDA_VISIBLE_DEVICES; test -e tried || { touch tried; exit 75; }"
    flaky = f"{device}; printf %s $TEAM_KEY | sha256sum | cut -c1-64 > o.txt"
    meta = GPU | {"retries": 1, "retry_delay": 0.1}
    project.write({"seed.txt": "1\n"})
    project.pipeline({
        name: {"cmd": flaky, "deps": ["seed.txt"], "outs": ["o.txt"], "meta": meta},
        "bad": {"cmd": "echo the reason; exit 3", "deps": ["seed.txt"], "outs": ["bad.txt"], "meta": GPU},
    })  # fmt: skip
    project.commit()
    ended = project.run(*line("-k"), expect=1)
    shown = ended.stdout.splitlines()
    assert shown.count(f"{name} | device 0") + shown.count(f"{name} | device 1") == 2
    assert "bad | the reason" in shown
    assert "bad: failed: in pool 'gpu': on " in ended.stdout
    assert "exited with 3" in ended.stderr
    assert (project.root / "o.txt").read_text() == sha256(secret.encode()).hexdigest() + "\n"
    (run,) = crew.runs(name)
    assert run.state_name == "Completed"
    with crew.client() as client:
        shown = [str(run), str(client.read_work_pool("gpu")), str(client.read_deployment_by_name("stage/gpu"))]
        shown += [log.message for log in client.read_logs()]
    said = [*shown, ended.stdout, ended.stderr, crew.hosts["b"].log()]
    assert secret not in "".join([*said, (project.root / "dvc.lock").read_text()])


def test_a_host_takes_as_many_stages_as_it_has_gpus_each_on_its_own(project: Project, tmp_path: Path) -> None:
    project.write({"seed.txt": "1\n"})
    both = f"while test $(wc -l < {tmp_path}/begun) -lt 2; do sleep 0.1; done; echo $CUDA_VISIBLE_DEVICES"
    (tmp_path / "go").touch()
    project.pipeline({name: waiting(tmp_path, name, f"{both} > {name}.txt") for name in ("one", "two")})
    project.commit()
    project.run(*line())
    assert {(project.root / f"{name}.txt").read_text() for name in ("one", "two")} == {"0\n", "1\n"}


def test_a_remote_that_refuses_every_third_request_is_asked_again(project: Project, tmp_path: Path) -> None:
    with s3(tmp_path) as store, refusing(store.endpoint, every=3) as proxy:
        project.dvc("remote", "add", "--default", "bucket", f"s3://{store.bucket}/refusing")
        project.dvc("remote", "modify", "bucket", "endpointurl", proxy.url)
        project.write({"seed.txt": "1\n"})
        many = f"mkdir many; for i in $(seq {FEW_FILES}); do cat one.txt > many/$i; echo $i >> many/$i; done"
        project.pipeline({
            "one": copies("seed.txt", "one.txt"),
            "many": {"cmd": many, "deps": ["one.txt"], "outs": ["many"], "meta": GPU},
            "last": {"cmd": "cat many/* > last.txt", "deps": ["many"], "outs": ["last.txt"]},
        })  # fmt: skip
        project.commit()
        twin = project.copy(tmp_path / "other" / "twin")
        project.run(*line())
        assert proxy.refused > 10
    twin.flow()
    assert project.left() == twin.left()


def test_cancelling_the_caller_ends_what_runs_there(project: Project, crew: Team, tmp_path: Path) -> None:
    name = unique("long")
    project.write({"seed.txt": "1\n"})
    talks = f"seq 1 {10**9} & "  # faster than anybody reads
    project.pipeline({name: {**(stage := waiting(tmp_path, name, "true")), "cmd": talks + stage["cmd"]}})
    project.commit()
    with started(project) as caller:
        assert soon((tmp_path / "begun").exists)
        time.sleep(2)
        terminate(caller)
    assert soon(lambda: [run.state_name for run in crew.runs(name)] == ["Cancelled"])
    assert soon(lambda: not there(tmp_path))
    assert "refs/gliaflow" not in project.run("git", "ls-remote", "origin").stdout


def test_a_git_remote_that_hangs_keeps_nobody_who_leaves(project: Project, tmp_path: Path) -> None:
    project.write({"seed.txt": "1\n"})
    project.pipeline({"s": copies("seed.txt", "o.txt", meta=GPU)})
    project.commit()
    project.run("git", "remote", "set-url", "origin", "ssh://nowhere/x.git")
    project.environment["GIT_SSH_COMMAND"] = f"echo x >> {tmp_path}/begun; exec tail -f {tmp_path}/begun; "
    with started(project) as caller:
        assert soon((tmp_path / "begun").exists)
        terminate(caller)
    ours = f"tail -f {tmp_path}/begun"
    assert not [p for p in psutil.process_iter(["cmdline"]) if ours in " ".join(p.info["cmdline"] or [])]


def test_what_no_host_has_taken_is_cancelled_at_once(project: Project, crew: Team) -> None:
    name = unique("nobody")
    project.write({"seed.txt": "1\n"})
    project.pipeline({name: {**copies("seed.txt", "o.txt"), "meta": {"pool": "cpu"}}})
    project.commit()
    with started(project) as caller:
        assert soon(lambda: crew.runs(name))
        terminate(caller)
    assert [run.state_name for run in crew.runs(name)] == ["Cancelled"]


def test_a_cancelled_stage_whose_worker_is_gone_ends_too(project: Project, crew: Team, tmp_path: Path) -> None:
    name = unique("orphan")
    project.write({"seed.txt": "1\n"})
    project.pipeline({name: waiting(tmp_path, name, "true")})
    project.commit()
    try:
        with started(project) as caller:
            assert soon((tmp_path / "begun").exists)
            for host in crew.hosts.values():
                host.kill_worker()
            terminate(caller)
        assert soon(lambda: not there(tmp_path))
        assert soon(lambda: [run.state_name for run in crew.runs(name)] == ["Cancelled"])
    finally:
        crew.join("b")


def test_a_stage_for_a_pool_waits_for_no_cpu_here_and_goes_past_hooks(project: Project, tmp_path: Path) -> None:
    project.write({"seed.txt": "1\n"})
    late = {"cmd": f"touch {tmp_path}/go; sleep 1; echo 'a\\0b'; cp seed.txt c.txt", "meta": GPU}
    project.pipeline({
        "a": {"cmd": f"while ! test -e {tmp_path}/go; do sleep 0.1; done; cp seed.txt a.txt", "outs": ["a.txt"]},
        "b": copies("seed.txt", "b.txt"),
        "c": {**copies("seed.txt", "c.txt"), **late},
    })  # fmt: skip
    project.commit()
    hook = project.root / ".git/hooks/pre-push"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    ended = project.run(*line("--jobs", "1"))
    assert "c | ab" in ended.stdout
    assert (project.root / "a.txt").exists()


def objects(store: Path) -> list[Path]:
    """What a remote holds."""
    return list(store.glob("files/md5/*/*"))


def there(folder: Path) -> list[psutil.Process]:
    """The processes of stages that wait in that folder."""
    return [p for p in psutil.process_iter(["cmdline"]) if f"{folder}/begun" in " ".join(p.info["cmdline"] or [])]


def test_a_host_that_is_lost_is_noticed_and_another_takes_the_stage(
    project: Project, crew: Team, tmp_path: Path
) -> None:
    """Once in the middle of its stage, and once while it sends the outputs."""
    name, store = unique("lost"), tmp_path / "project-store"
    project.write({"seed.txt": "1\n"})
    many = f"mkdir {name}.txt; for i in $(seq {FILES}); do echo {name} $i > {name}.txt/$i; done"
    project.pipeline({name: waiting(tmp_path, name, many)})
    project.commit()
    twin = project.copy(tmp_path / "other" / "twin")
    with started(project) as caller:
        assert soon((tmp_path / "begun").exists)
        crew.hosts["b"].kill()
        assert soon(lambda: not there(tmp_path))
        crew.join("c")
        assert soon(lambda: (tmp_path / "begun").read_text() == "x\nx\n")
        (tmp_path / "go").touch()
        assert soon(lambda: len(objects(store)) > FILES // 20, pause=0.01)
        crew.hosts["c"].kill()
        assert len(objects(store)) < FILES, "it was done before it was killed"
        assert not list(store.glob("runs/*/*/*"))
        crew.join("d")
        shown, _ = caller.communicate(timeout=PATIENCE)
    assert caller.returncode == 0, shown
    assert [run.state_name for run in crew.runs(name)] == ["Crashed", "Crashed", "Completed"]
    twin.flow()
    assert project.left() == twin.left()


def test_a_worker_or_the_server_killed_in_the_middle_costs_nothing(
    project: Project, crew: Team, tmp_path: Path
) -> None:
    name = unique("steady")
    project.write({"seed.txt": "1\n"})
    project.pipeline({name: waiting(tmp_path, name, f"cp seed.txt {name}.txt"), "last": copies(f"{name}.txt", "l.txt")})
    project.commit()
    twin = project.copy(tmp_path / "other" / "twin")
    with started(project) as caller:
        assert soon((tmp_path / "begun").exists)
        for host in crew.hosts.values():
            host.kill_worker()
        crew.server.kill()
        time.sleep(SERVER_AWAY_SECONDS / 2)
        (tmp_path / "go").touch()
        time.sleep(SERVER_AWAY_SECONDS / 2)
        crew.server.start()
        crew.join("e")  # for the stage, should its end have been lost with the server
        shown, _ = caller.communicate(timeout=PATIENCE)
    assert caller.returncode == 0, shown
    twin.flow()
    assert project.left() == twin.left()


REFUSALS: dict[str, tuple[dict[str, Any], str]] = {
    "new": ({"deps": ["seed.txt", "new.py"]}, "'new.py' is new, and only what git knows travels"),
    "ignored": ({"deps": ["seed.txt", "ignored.txt"]}, "'ignored.txt' is ignored by git and no output of a stage"),
    "always": ({"always_changed": True}, "what it makes could not come back from another host"),
    "nowhere": ({"meta": {"pool": "moon"}}, "there is no deployment stage/moon on http://127.0.0.1:"),
}


@pytest.mark.parametrize("why", REFUSALS)
def test_what_cannot_travel_is_refused_by_name(project: Project, why: str) -> None:
    changed, words = REFUSALS[why]
    project.write({"seed.txt": "1\n", ".gitignore": "ignored.txt\n", "dvc.yaml": ""})
    project.commit()
    project.write({"new.py": "", "ignored.txt": ""})
    project.pipeline({"s": {**copies("seed.txt", "o.txt"), "meta": GPU, **changed}})
    project.write({"o.txt": "of before\n"})
    ended = project.run(*line(), expect=2)
    assert (project.root / "o.txt").read_text() == "of before\n"
    assert words in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_pools_need_a_git_remote_and_commits(project: Project) -> None:
    project.write({"seed.txt": "1\n"})
    project.pipeline({"s": {**copies("seed.txt", "o.txt"), "meta": GPU}})
    project.run("git", "remote", "remove", "origin")
    assert "git remote add origin ADDRESS" in project.run(*line(), expect=2).stderr
    assert "--pools does not go with" in project.run(*line("--no-commit"), expect=2).stderr
