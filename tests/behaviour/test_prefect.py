"""Whatever Prefect, its server or the environment around them do: the stages run, with the same bytes and exit code."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from gliaflow.export.keeping import LAST_SECONDS, UNTOLD
from gliaflow.export.marks import read
from gliaflow.flow.server import shared
from gliaflow.journal.folder import folder, journals
from gliaflow.journal.reader import lines, seen
from tests.support.disks import disk, fill
from tests.support.patience import PATIENCE
from tests.support.repos import GLIAFLOW, Project, soon
from tests.support.web import Answer, FakePrefect, web

STAGES: dict[str, Any] = {
    "one": {"cmd": "echo hello; cp seed.txt one.txt", "deps": ["seed.txt"], "outs": ["one.txt"]},
    "two": {"cmd": "cp one.txt two.txt", "deps": ["one.txt"], "outs": ["two.txt"]},
}
BAD = {"cmd": "echo the reason; exit 3", "deps": ["one.txt"], "outs": ["bad.txt"]}
ENDED = ["one | hello", "2 ran"]


@pytest.fixture
def plain(project: Project) -> Project:
    """A repository of which nothing has run, in whose environment no server is named."""
    project.write({"seed.txt": "1\n"})
    project.pipeline(STAGES)
    return project


def ran(project: Project, **variables: str) -> list[str]:
    """What a run prints besides the usual lines; it must leave all as it would without these variables."""
    without = project.copy(project.root.parent / f"{project.root.name}-{time.monotonic_ns()}")
    without.gliaflow("repro")
    project.environment |= variables
    ended = project.gliaflow("repro")
    assert ended.stderr == ""
    assert project.left() == without.left()
    said = ended.stdout.splitlines()
    assert [line for line in said if line in ENDED] == ENDED
    return said[said.index("2 ran") + 1 :]


def test_without_a_server_nothing_of_prefect_is_imported(plain: Project) -> None:
    places = [str(plain.root.parent / "broken"), plain.environment.get("PYTHONPATH")]
    plain.environment["PYTHONPATH"] = os.pathsep.join(filter(None, places))
    plain.write({"../broken/prefect/__init__.py": "raise SystemExit('imported')\n"})
    ended = plain.run(*GLIAFLOW, "repro")
    assert "2 ran" in ended.stdout
    (path,) = journals(folder(plain.root) or Path())
    assert seen(path).state == "completed"
    assert list(lines(path)) == [("one", "hello")]
    assert not list(plain.root.parent.glob("**/prefect.db"))


def answers(answer: Answer) -> Callable[..., Answer]:
    return lambda *_: answer


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (answers(Answer({}, 401)), "answers 401 and wants a password: set PREFECT_API_AUTH_STRING"),
        (answers(Answer({}, 500)), "answers 500"),
        (answers(Answer("<html>welcome</html>")), "answers what Prefect's server does not; is it one?"),
        (answers(Answer(hang=True)), ""),
    ],
)
def test_a_server_that_refuses_or_hangs(plain: Project, answer: Callable[..., Answer], why: str) -> None:
    with web(answer) as server:
        (line,) = ran(plain, PREFECT_API_URL=f"{server.url}/api")
    assert line.startswith(f"{UNTOLD}: {server.url}/api")
    assert why in line


def test_a_server_that_nobody_started(plain: Project) -> None:
    (line,) = ran(plain, PREFECT_API_URL="http://127.0.0.1:9/api")
    assert line.startswith(f"{UNTOLD}: nobody answers at http://127.0.0.1:9/api (PREFECT_API_URL in the environment)")


def test_a_server_that_is_slow_hears_all_in_the_end(plain: Project) -> None:
    prefect, pause = FakePrefect(), 2.0

    def answer(*request: Any) -> Answer:
        time.sleep(pause)
        return prefect.answer(*request)

    with web(answer) as server:
        url = f"{server.url}/api"
        (line,) = ran(plain, PREFECT_API_URL=url)
        assert line.startswith(f"{UNTOLD}: ")
        pause = 0.0
        for number in range(2, 10):  # what earlier runs left is told after a run, and only for some seconds
            plain.write({"seed.txt": f"{number}\n"})
            plain.gliaflow("repro")
            if soon(lambda: told_of_all(plain, url), 2 * LAST_SECONDS):
                break
        assert told_of_all(plain, url)
    assert prefect.state == "COMPLETED"


def told_of_all(project: Project, url: str) -> bool:
    """Whether a server was told all of each run that there was."""
    return all(read(path, url).done for path in journals(folder(project.root) or Path()))


def test_a_server_that_dies_in_the_middle(plain: Project) -> None:
    prefect, dead = FakePrefect(), False

    def answer(*request: Any) -> Answer:
        return Answer({}, 503) if dead else prefect.answer(*request)

    plain.pipeline(
        STAGES | {"two": STAGES["two"] | {"cmd": "while test ! -e go; do sleep 0.05; done; cp one.txt two.txt"}}
    )
    with web(answer) as server:
        plain.environment |= {"PREFECT_API_URL": f"{server.url}/api"}
        with running(plain) as flow:
            assert soon(lambda: len(prefect.events) >= 3)
            dead = True
            (plain.root / "go").touch()
            said, errors = flow.communicate(timeout=PATIENCE)
    assert (flow.returncode, errors) == (0, "")
    assert said.splitlines()[-1].startswith(f"{UNTOLD}: ")
    plain.clean()


@pytest.mark.server
def test_a_server_whose_disk_is_full(plain: Project, tmp_path: Path) -> None:
    with disk(tmp_path / "disk", "64m") as home, shared(home) as url:
        with closing(sqlite3.connect(home / "prefect.db")) as database:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # or it writes where it has written before
        filler = fill(home)
        (line,) = ran(plain, PREFECT_API_URL=url)
        assert line.startswith(f"{UNTOLD}: {url} (PREFECT_API_URL in the environment) answers 500")
        filler.unlink()
        plain.write({"seed.txt": "2\n"})
        assert UNTOLD not in plain.gliaflow("repro").stdout
        sent = [path.with_suffix(".sent") for path in journals(folder(plain.root) or Path())]
        assert len(sent) == 2
        assert soon(lambda: all('"done": true' in path.read_text() for path in sent))  # the earlier run as well


@contextmanager
def running(project: Project, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    line = [*GLIAFLOW, "repro", *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        line, cwd=project.root, env=project.environment, stdout=pipe, stderr=pipe, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_run_that_fails_does_so_with_any_server(plain: Project) -> None:
    plain.pipeline({**STAGES, "bad": BAD})
    codes = [plain.gliaflow("repro", expect=None).returncode]
    for answer in (Answer({}, 500), Answer({}, 401)):
        with web(answers(answer)) as server:
            plain.environment["PREFECT_API_URL"] = f"{server.url}/api"
            codes.append(plain.gliaflow("repro", expect=None).returncode)
    assert codes == [1, 1, 1]


PROFILE = 'active = "team"\n[profiles.team]\nPREFECT_API_URL = "{}"\n'


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"HTTP_PROXY": "http://127.0.0.1:9"}, ""),
        ({"ALL_PROXY": "socks5://127.0.0.1:9", "NO_PROXY": "[::1]"}, ""),
        ({"SSL_CERT_FILE": "/gone.pem", "REQUESTS_CA_BUNDLE": "/gone.pem"}, ""),
        ({"PREFECT_PROFILE": "gone"}, ""),
        ({"PREFECT_PROFILES_PATH": "/gone.toml"}, ""),
        ({"PREFECT_LOGGING_LEVEL": "nonsense", "PREFECT_API_REQUEST_TIMEOUT": "long"}, ""),
        ({"PREFECT_API_URL": "localhost:4200/api"}, "'localhost:4200/api' is no address of a server"),
        (
            {"PREFECT_API_URL": "http://prefect.invalid/api", "HTTP_PROXY": "http://127.0.0.1:9"},
            "proxy http://127.0.0.1:9",
        ),
        (
            {"PREFECT_API_URL": "https://127.0.0.1:9/api", "PREFECT_API_SSL_CERT_FILE": "/gone.pem"},
            "'/gone.pem', which is",
        ),
    ],
)
def test_the_environment(plain: Project, variables: dict[str, str], says: str) -> None:
    said = ran(plain, **variables)
    assert [says in line for line in said] == ([True] if says else [])


def test_a_dead_server_in_a_profile_is_named_with_its_place(plain: Project, tmp_path: Path) -> None:
    (tmp_path / "prefect").mkdir(exist_ok=True)
    (tmp_path / "prefect/profiles.toml").write_text(PROFILE.format("http://127.0.0.1:9/api"))
    (line,) = ran(plain, PREFECT_HOME=str(tmp_path / "prefect"))
    assert f"(PREFECT_API_URL of the profile 'team' in {tmp_path / 'prefect/profiles.toml'})" in line


HOSTILE = {
    "copy.py": "raise SystemExit('executed')\n",
    "types.py": "raise SystemExit('executed')\n",
    "random.py": "raise SystemExit('executed')\n",
    "httpx.py": "raise SystemExit('executed')\n",
    "sitecustomize.py": "raise SystemExit('executed')\n",
    ".env": "PREFECT_API_URL=http://127.0.0.1:9/api\nPREFECT_LOGGING_LEVEL=nonsense\n",
    "prefect.toml": "[api]\nurl = 3\n",
    "pyproject.toml": '[tool.prefect]\nprofiles_path = "/gone"\n[tool.prefect.api]\nurl = "http://127.0.0.1:9/api"\n',
}


def test_nothing_of_the_repository_is_executed_or_read(plain: Project) -> None:
    plain.write(HOSTILE)
    prefect = FakePrefect()
    with web(prefect.answer) as server:
        assert ran(plain, PREFECT_API_URL=f"{server.url}/api") == []
    assert prefect.state == "COMPLETED"


def test_nor_by_python_m(plain: Project) -> None:
    names = ("copy", "random", "httpx", "dataclasses", "json", "socket")  # of others Python itself needs some
    plain.write({f"{name}.py": "raise SystemExit('executed')\n" for name in names})
    ended = plain.run(sys.executable, "-m", "gliaflow", "repro")
    assert [line for line in ended.stdout.splitlines() if line in ENDED] == ENDED


@pytest.mark.server
def test_nor_by_the_server_of_this_machine(plain: Project, tmp_path: Path) -> None:
    plain.write(HOSTILE)
    plain.environment |= {"PREFECT_HOME": str(tmp_path / "own"), "HTTP_PROXY": "http://127.0.0.1:9"}
    plain.environment |= {"SSL_CERT_FILE": "/gone.pem", "NO_PROXY": "[::1]"}
    said = plain.gliaflow("repro", "--live").stdout.splitlines()
    assert said[0] == "starting a Prefect server to show this run"
    assert said[1].startswith("this run is shown at http://127.0.0.1:")
    assert "2 ran" in said
    (path,) = journals(folder(plain.root) or Path())
    assert '"flow_run": "' in path.with_suffix(".sent").read_text()  # a new server may be too slow for all of it


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_run_that_is_ended_is_told_as_such(plain: Project, number: int) -> None:
    prefect = FakePrefect()
    plain.pipeline({"long": {"cmd": "touch begun; sleep 1297", "deps": ["seed.txt"], "outs": ["o.txt"]}})
    with web(prefect.answer) as server:
        plain.environment |= {"PREFECT_API_URL": f"{server.url}/api"}
        with running(plain) as flow:
            assert soon(lambda: (plain.root / "begun").exists() and prefect.events)
            os.kill(flow.pid, number)
            flow.communicate(timeout=PATIENCE)
            assert soon(lambda: prefect.state in ("CANCELLED", "CRASHED"))
    assert prefect.state == ("CRASHED" if number == signal.SIGKILL else "CANCELLED")


@pytest.mark.server
def test_a_server_that_does_not_start_is_one_line_and_the_stages_run(plain: Project, tmp_path: Path) -> None:
    home = tmp_path / "own"
    home.mkdir()
    (home / "prefect.db").write_text("no database")
    plain.environment |= {"PREFECT_HOME": str(home)}
    said = plain.gliaflow("repro", "--live").stdout.splitlines()
    assert "2 ran" in said
    (line,) = (one for one in said if one.startswith("the run is not shown live: "))
    assert "Prefect's server did not start" in line
    plain.clean()
