"""`gliaflow deploy`, `pool` and `worker`: what is wrong with what was asked, and what is told; no server is asked."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from gliaflow.cli import team
from gliaflow.errors import BadInput, UserError
from gliaflow.team import setup
from gliaflow.team import worker as workers
from tests.support.repos import Project, copies


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What the server would have been asked for; it has the pool "cpu" already."""
    asked: list[tuple[Any, ...]] = []

    def make_pool(name: str, limit: int | None, secrets: Mapping[str, str], kind: str) -> bool:
        asked.append((name, limit, dict(secrets), kind))
        return name != "cpu"

    def deploy(root: Path, repository: str) -> list[str]:
        asked.append((root, repository))
        return ["nightly/nightly"]

    monkeypatch.setattr(setup, "make_pool", make_pool)
    monkeypatch.setattr(setup, "deploy", deploy)
    return asked


def test_a_pool_is_made_with_its_limit_and_secrets(
    made: list[tuple[Any, ...]], capsys: pytest.CaptureFixture[str]
) -> None:
    team.pool("gpu", limit=4, secret=("AWS_SECRET_ACCESS_KEY=team-key", "TOKEN=other"), kind="kubernetes")
    assert made == [("gpu", 4, {"AWS_SECRET_ACCESS_KEY": "team-key", "TOKEN": "other"}, "kubernetes")]
    assert capsys.readouterr().out == "made pool gpu\ndeployed stage/gpu\n"
    team.pool("cpu")
    assert capsys.readouterr().out == "deployed stage/cpu\n"


def test_the_type_of_a_pool_may_be_somebody_elses(made: list[tuple[Any, ...]]) -> None:
    team.pool("x", kind="our-own-batch-system")
    assert made[0][-1] == "our-own-batch-system"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"limit": 0}, "--limit is 0; at least one run must be possible"),
        ({"secret": ("TOKEN",)}, "--secret is TOKEN; it must be NAME=BLOCK"),
        ({"secret": ("2=x",)}, "--secret is 2=x; it must be NAME=BLOCK"),
        ({"kind": "kuberntes"}, "--type is 'kuberntes', which Prefect does not know; did you mean kubernetes?"),
        ({"kind": "Process"}, "did you mean process?"),
    ],
)
def test_what_is_wrong_is_told_before_a_server_is_asked(
    made: list[tuple[Any, ...]], given: dict[str, Any], said: str
) -> None:
    with pytest.raises(UserError, match=said.replace("?", r"\?")):
        team.pool("gpu", **given)
    assert made == []


@pytest.fixture
def deployable(project: Project) -> Project:
    """A repository whose prefect.yaml names one pool, and a stage of it another."""
    project.write({"prefect.yaml": "deployments: [{name: nightly, work_pool: {name: cpu}}]\n", "seed.txt": "1\n"})
    project.pipeline({"s": copies("seed.txt", "o.txt", meta={"pool": "gpu"}), "t": copies("o.txt", "p.txt")})
    return project


def test_deploy_makes_the_pools_of_prefect_yaml_and_of_stages(
    deployable: Project, made: list[tuple[Any, ...]], capsys: pytest.CaptureFixture[str]
) -> None:
    team.deploy(repository="https://git.example.org/x.git", repo=deployable.root)
    assert [one[0] for one in made] == ["cpu", "gpu", deployable.root]
    assert made[-1][1] == "https://git.example.org/x.git"
    assert capsys.readouterr().out.splitlines() == [
        "deployed stage/cpu",
        "made pool gpu",
        "deployed stage/gpu",
        "deployed nightly/nightly",
        "on each host, in a clone of it: gliaflow worker POOL",
    ]


def test_deploy_takes_the_git_remote(deployable: Project, made: list[tuple[Any, ...]]) -> None:
    deployable.run("git", "remote", "add", "origin", "https://git.example.org/y.git")
    team.deploy(repo=deployable.root)
    assert made[-1][1] == "https://git.example.org/y.git"


def test_deploy_needs_no_dvc_repository(tmp_path: Path, deployable: Project, made: list[tuple[Any, ...]]) -> None:
    plain = tmp_path / "plain"
    plain.mkdir()
    deployable.run("git", "init", "-q", str(plain))
    (plain / "prefect.yaml").write_text((deployable.root / "prefect.yaml").read_text())
    team.deploy(repository="x", repo=plain)
    assert [one[0] for one in made] == ["cpu", plain]


def test_deploy_tells_what_is_wrong_with_a_stage(deployable: Project, made: list[tuple[Any, ...]]) -> None:
    deployable.pipeline({"s": copies("seed.txt", "o.txt", meta={"pol": "gpu"})})
    with pytest.raises(BadInput, match=r"stage 's': meta.pol is not known; did you mean pool\?"):
        team.deploy(repository="x", repo=deployable.root)
    assert made == []


def test_a_worker_serves_a_pool(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(workers, "work", lambda *given: asked.append(given))
    team.worker("gpu", limit=2, repo=project.root)
    assert asked == [("gpu", project.root, 2)]
    with pytest.raises(UserError, match=r"of which pool\?"):
        team.worker("", repo=project.root)
    with pytest.raises(UserError, match="--limit is -1"):
        team.worker("gpu", limit=-1, repo=project.root)
    assert len(asked) == 1
