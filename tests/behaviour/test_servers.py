"""Sharing over a real S3 and a real SSH server, as over a folder in test_remote.py and test_share.py."""

import hashlib
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest

from gliaflow.cli.app import app
from gliaflow.errors import UserError
from tests.gliaflow.store.history import compute, ran, teammate
from tests.support import servers
from tests.support.repos import GLIAFLOW, Project, environment, reproduce

SECRET = "wJalrXUtnFEMI-not-a-real-key"
KEYS = {"AWS_ACCESS_KEY_ID": "AKIDTEST", "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_EC2_METADATA_DISABLED": "true"}
OF_THREE = "1\np: 3\n"  # what the last stage makes of the third parameter


@dataclass
class Place:
    """Where a remote may be: as DVC is told of it, and as it looks from behind."""

    url: str
    local: dict[str, str]  # for .dvc/config.local
    read: Callable[[str], dict[str, bytes]]  # all files below a folder, by their paths in it
    write: Callable[[str, bytes], None]
    environment: dict[str, str] = field(default_factory=dict)


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.S3]:
    with servers.s3(tmp_path_factory.mktemp("s3")) as found:
        yield found


@pytest.fixture(scope="module")
def asyncssh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.SSH]:
    with servers.ssh(tmp_path_factory.mktemp("asyncssh")) as found:
        yield found


@pytest.fixture(scope="module")
def openssh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.SSH]:
    with servers.openssh(tmp_path_factory.mktemp("openssh")) as found:
        yield found


@pytest.fixture(params=["asyncssh", "openssh"])
def ssh(request: pytest.FixtureRequest) -> servers.SSH:
    """Both SSH servers, one after the other."""
    found: servers.SSH = request.getfixturevalue(request.param)
    return found


def over_s3(found: servers.S3, endpoint: str = "") -> Place:
    """A bucket, with the keys in the environment."""
    keys = {"aws_access_key_id": KEYS["AWS_ACCESS_KEY_ID"], "aws_secret_access_key": SECRET, "region_name": "us-east-1"}
    client = boto3.client("s3", endpoint_url=found.endpoint, **keys)

    def read(folder: str) -> dict[str, bytes]:
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=found.bucket, Prefix=f"{folder}/")
        names = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
        bodies = (client.get_object(Bucket=found.bucket, Key=name)["Body"].read() for name in names)
        return {name.removeprefix(f"{folder}/"): body for name, body in zip(names, bodies, strict=True)}

    def write(path: str, content: bytes) -> None:
        client.put_object(Bucket=found.bucket, Key=path, Body=content)

    return Place(f"s3://{found.bucket}", {"endpointurl": endpoint or found.endpoint}, read, write, KEYS)


def over_ssh(found: servers.SSH, root: Path) -> Place:
    """A folder of a machine."""

    def read(folder: str) -> dict[str, bytes]:
        files = (path for path in (root / folder).rglob("*") if path.is_file())
        return {str(path.relative_to(root / folder)): path.read_bytes() for path in files}

    def write(path: str, content: bytes) -> None:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)

    url = f"ssh://{found.user}@{found.host}:{found.port}{root}"
    return Place(url, {"keyfile": str(found.keyfile)}, read, write)


@pytest.fixture(params=["s3", "asyncssh", "openssh"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """All three, one after the other."""
    found = request.getfixturevalue(request.param)
    return over_s3(found) if request.param == "s3" else over_ssh(found, tmp_path / "there")


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory, home: Path) -> Project:
    """A project that has run three times, for every test to copy."""
    root = tmp_path_factory.mktemp("once")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GLIAFLOW_SLOTS", str(root / "slots"))
        return compute(Project(root / "project", environment(home)))


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """A folder of the remote that no other test has."""
    return tmp_path.name


@pytest.fixture
def join(once: Project, tmp_path: Path, folder: str) -> Callable[[Place], Project]:
    """Make the project anew with its remote in some place."""

    def joined(place: Place) -> Project:
        made = once.copy(tmp_path / f"{folder}-first")
        made.environment = once.environment | place.environment
        config = (made.root / ".dvc/config").read_text()
        remote = f"['remote \"store\"']\n    url = {place.url}/{folder}\n"
        (made.root / ".dvc/config").write_text(config.replace("[core]\n", "[core]\n    remote = store\n") + remote)
        local = "".join(f"    {name} = {value}\n" for name, value in place.local.items())
        (made.root / ".dvc/config.local").write_text(f"['remote \"store\"']\n{local}")
        made.commit()
        return made

    return joined


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """`gliaflow` in this process, which is quicker; what it says, and of what error."""
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)

    def shared(project: Project, *line: Any, refused: bool = False, **options: Any) -> str:
        message = ""
        try:
            flags = [f"--{name}" if value is True else f"--{name}={value}" for name, value in options.items()]
            words = [*line, *flags, "--repo", str(project.root)]
            app(words, exit_on_error=False, print_error=False, result_action="return_value")
        except UserError as error:
            message = str(error)
        assert bool(message) == refused, message
        return capsys.readouterr().out + message

    return shared


def share(project: Project, *line: str, expect: int = 0) -> str:
    """What `gliaflow` tells, on either stream."""
    ended = project.gliaflow(*line, expect=expect)
    assert expect == 0 or len(ended.stderr.strip().splitlines()) >= 1
    return ended.stdout + ended.stderr


def twin(project: Project) -> Project:
    """A teammate's."""
    return teammate(project, project.root.with_name(project.root.name.replace("first", "twin")))


def oid(text: str) -> str:
    """The name of the object that holds this text."""
    return hashlib.md5(text.encode()).hexdigest()


def object_path(text: str) -> str:
    """Where it lies on a remote."""
    return f"files/md5/{oid(text)[:2]}/{oid(text)[2:]}"


def half_pushed(files: dict[str, bytes]) -> list[str]:
    """Of the files of a remote, the objects that are not whole."""
    objects = {"".join(path.split("/")[-2:]): content for path, content in files.items() if path.startswith("files/")}
    named = {name: content for name, content in objects.items() if not name.endswith(".tmp")}
    return [name for name, content in named.items() if hashlib.md5(content).hexdigest() != name.removesuffix(".dir")]


def records(files: dict[str, bytes]) -> list[str]:
    """Of the files of a remote, the records of runs."""
    return sorted(path for path in files if path.startswith("runs/") and not path.endswith(".tmp"))


def test_a_teammate_runs_nothing_even_of_old_parameters(
    place: Place, join: Callable[[Place], Project], here: Callable[..., str]
) -> None:
    first = join(place)
    assert "pushed 9 runs, 10 objects" in share(first, "push")
    assert "pushed 0 runs, 0 objects" in here(first, "push")
    other = twin(first)
    assert "3 pulled" in other.flow("--pull").stdout
    assert (other.root / "three.txt").read_text() == OF_THREE
    for value in (1, 2):
        other.write({"params.yaml": f"p: {value}\n"})
        reproduce(other.root, pull=True)
        assert (other.root / "three.txt").read_text() == f"1\np: {value}\n"
    assert ran(other) == []


@pytest.mark.usefixtures("here")
def test_with_stock_push_a_teammate_runs_it_all_again(place: Place, join: Callable[[Place], Project]) -> None:
    first = join(place)
    first.dvc("push", "--run-cache")
    other = twin(first)
    other.write({"params.yaml": "p: 1\n"})
    reproduce(other.root, pull=True)
    assert ran(other)[-2:] == ["two", "three"]


def test_what_is_damaged_is_named_never_restored_and_mended(
    place: Place, join: Callable[[Place], Project], folder: str, here: Callable[..., str]
) -> None:
    first = join(place)
    lacking, bad = object_path("1\np: 1\n"), object_path(OF_THREE)
    place.write(f"{folder}/{lacking}", b"1\n")  # as a `dvc push` over SSH leaves it that was killed
    here(first, "push")
    pushed = place.read(folder)
    assert half_pushed(pushed) == []
    cut = records(pushed)[0]
    place.write(f"{folder}/{bad}", b"1\np: 4\n")  # of the same size
    place.write(f"{folder}/{cut}", pushed[cut][:40])

    other = twin(first)
    said = here(other, "fetch", refused=True)
    assert f"object {oid(OF_THREE)} is damaged on the remote; `gliaflow push --verify` repairs it" in said
    assert f"incomplete: run {cut.split('/')[-1][:12]}: missing, damaged or not copied: {cut.split('/')[-1]}" in said
    assert "fetched 8 runs" in said
    assert not (other.root / ".dvc/cache" / cut).exists()
    assert f"object {oid(OF_THREE)} is damaged on the remote" in other.flow("--pull").stdout
    assert (other.root / "three.txt").read_text() == OF_THREE
    assert "three" in ran(other)

    assert "pushed 0 runs, 0 objects" in here(first, "push")  # what is there it does not read
    assert "pushed 1 runs, 1 objects" in here(first, "push", verify=True)
    assert place.read(folder) == pushed
    assert here(twin(first.copy(first.root.with_name("third-first"))), "fetch").count("damaged") == 0


def test_a_version_is_the_very_bytes_or_nothing(
    place: Place, join: Callable[[Place], Project], folder: str, here: Callable[..., str]
) -> None:
    first = join(place)
    assert "not on the remote: one.txt, three.txt, two" in here(first, "publish", "v1", licence="CC0", refused=True)
    here(first, "push")
    assert "v1: 3 outputs" in here(first, "publish", "v1", licence="CC0")
    other = twin(first)
    here(other, "get", "v1", out=other.root / "got")
    for path in ("one.txt", "two/a", "two/b", "three.txt"):
        assert (other.root / "got" / path).read_bytes() == (first.root / path).read_bytes()
    shutil.rmtree(other.root / ".dvc/cache")
    for path in place.read(folder):
        if path.endswith(".dir"):
            place.write(f"{folder}/{path}", b"[]")  # the listing of an empty folder
    assert "'two': the listing of its folder" in here(other, "get", "v1", out=other.root / "none", refused=True)
    assert not (other.root / "none").exists()


def test_a_push_that_is_killed_leaves_nothing_half(place: Place, join: Callable[[Place], Project], folder: str) -> None:
    first = join(place)
    big = "head -c 30000000 /dev/zero"
    first.pipeline(
        {"big": {"cmd": f"{big} > big; {big} | tr '\\0' x > more", "outs": ["big", "more"], "deps": ["seed.txt"]}}
    )
    reproduce(first.root)
    line = [*GLIAFLOW, "push"]
    with subprocess.Popen(line, cwd=first.root, env=first.environment, stdout=subprocess.DEVNULL) as push:
        while push.poll() is None and not place.read(folder):
            time.sleep(0.01)
        push.kill()
    assert half_pushed(place.read(folder)) == []
    share(first, "push")
    assert half_pushed(place.read(folder)) == []
    assert len(records(place.read(folder))) == 10


def test_an_s3_that_refuses_every_third_request_gets_all_the_same(
    s3: servers.S3, join: Callable[[Place], Project], folder: str
) -> None:
    with servers.refusing(s3.endpoint) as proxy:
        place = over_s3(s3, proxy.url)
        first = join(place)
        shutil.rmtree(first.root / ".dvc/cache/runs")
        reproduce(
            first.root, force=True
        )  # three records will do: after each refusal botocore waits, half a second on average
        assert "pushed 3 runs, 4 objects" in share(first, "push")
        pushed = proxy.refused
        there = place.read(folder)
        assert (len(records(there)), half_pushed(there)) == (3, [])
        other = twin(first)
        assert "fetched 3 runs" in share(other, "fetch")
        assert 0 < pushed < proxy.refused
    reproduce(other.root)
    assert ran(other) == []


def test_keys_stay_where_they_were_written(s3: servers.S3, join: Callable[[Place], Project], folder: str) -> None:
    place = over_s3(s3)
    place.local |= {"access_key_id": KEYS["AWS_ACCESS_KEY_ID"], "secret_access_key": SECRET}
    place.environment = {"AWS_EC2_METADATA_DISABLED": "true"}
    first = join(place)
    said = share(first, "push") + share(first, "publish", "v1", "--licence", "CC0")
    other = twin(first)
    said += other.flow("--pull").stdout
    assert SECRET not in said
    assert SECRET not in first.run("git", "log", "--all", "--patch", "--format=%B").stdout
    written = [
        path for path in first.root.parent.rglob("*") if path.is_file()
    ]  # both: git's, dvc.lock, outputs, caches
    holding = {path for path in written if SECRET.encode() in path.read_bytes()}
    assert holding == {project.root / ".dvc/config.local" for project in (first, other)}
    assert not any(SECRET.encode() in content for content in place.read(folder).values())


def refused(join: Callable[[Place], Project], cases: list[tuple[Place, dict[str, Any], int, str]]) -> None:
    """Fetch from each place, changed so, and see one line about it."""
    for number, (place, changes, code, message) in enumerate(cases):
        scheme = place.url.split("://")[0]
        for name, value in changes.items():
            setattr(place, name, value)
        project = join(place)
        said = share(project, "fetch", expect=code).splitlines()
        assert len(said) == 1
        assert said[0].startswith(f"error: remote {scheme}://")
        assert message in said[0]
        project.root.rename(project.root.with_name(str(number)))


def test_an_s3_that_cannot_be_used_is_one_line(s3: servers.S3, join: Callable[[Place], Project]) -> None:
    nobody = {"environment": {"AWS_EC2_METADATA_DISABLED": "true"}}
    cases: list[tuple[Place, dict[str, Any], int, str]] = [
        (over_s3(s3), nobody, 2, "Unable to locate credentials"),
        (over_s3(s3), {"url": "s3://nowhere"}, 2, "The specified bucket does not exist"),
    ]
    refused(join, cases)


def test_an_ssh_server_that_cannot_be_used_is_one_line(
    ssh: servers.SSH, join: Callable[[Place], Project], tmp_path: Path
) -> None:
    cases: list[tuple[Place, dict[str, Any], int, str]] = [
        (over_ssh(ssh, tmp_path), {"local": {"keyfile": str(ssh.keyfile.with_name("host"))}}, 2, "Permission denied"),
        (over_ssh(ssh, tmp_path), {"url": f"ssh://{ssh.host}:1/"}, 75, "Connect call failed"),
    ]
    refused(join, cases)
