"""The servers of the tests on a machine without PostgreSQL and OpenSSH: pytest skips only what needs OpenSSH itself."""

import asyncio
import os
import shutil
from pathlib import Path

import asyncssh
import psutil
import pytest
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

from tests.support import servers
from tests.support.programs import installed, listens


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for a server's files, on a machine that has no program on its PATH."""
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    (tmp_path / "server").mkdir()
    return tmp_path / "server"


async def asked(url: str, *lines: str) -> list[str]:
    """What PostgreSQL answers to each of the lines."""
    engine = create_async_engine(url)
    async with engine.connect() as connection:
        answers = [str(await connection.scalar(text(line))) for line in lines]
    await engine.dispose()
    return answers


def test_postgresql_comes_as_a_wheel(bare: Path) -> None:
    with servers.postgres(bare) as url:
        trigrams = "SELECT count(*) FROM pg_available_extensions WHERE name = 'pg_trgm'"  # which Prefect needs
        data, client, found = asyncio.run(asked(url, "SHOW data_directory", "SELECT pg_backend_pid()", trigrams))
        assert found == "1"
        server = psutil.Process(int((Path(data) / "postmaster.pid").read_text().split()[0]))
        assert server.username() == ("nobody" if os.geteuid() == 0 else psutil.Process().username())
        assert listens(make_url(url).port or 0)
    assert not server.is_running()
    assert not psutil.pid_exists(int(client))
    assert not Path(data).exists()


def test_ssh_needs_no_openssh(bare: Path) -> None:
    async def log_in(found: servers.SSH, key: str) -> list[str]:
        line = {"port": found.port, "username": found.user, "client_keys": [str(bare / key)], "known_hosts": None}
        async with asyncssh.connect(found.host, **line) as there, there.start_sftp_client() as files:
            for name in ("old", "new"):
                await files.mkdir(bare / name)
                (bare / name / "file").write_text(name)
            await files.posix_rename(bare / "new/file", bare / "old/file")
            return [str(name) for name in await files.listdir(bare / "new")]

    with servers.ssh(bare) as found:
        assert sorted(asyncio.run(log_in(found, "user"))) == [".", ".."]
        assert (bare / "old/file").read_text() == "new"
        with pytest.raises(asyncssh.PermissionDenied):
            asyncio.run(log_in(found, "host"))
    assert not listens(found.port)


def test_without_openssh_its_tests_are_skipped_but_fail_in_ci(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    monkeypatch.delenv("CI", raising=False)
    with (
        pytest.raises(pytest.skip.Exception, match="sshd is missing: `make servers` installs it"),
        servers.openssh(bare),
    ):
        pass
    monkeypatch.setenv("CI", "true")
    with (
        pytest.raises(pytest.fail.Exception, match="sshd is missing: `make servers` installs it"),
        servers.openssh(bare),
    ):
        pass
    assert not any(bare.iterdir())


def test_a_program_is_found_in_the_folders_that_are_named(bare: Path) -> None:
    (bare / "sshd").touch(mode=0o755)
    assert installed("sshd", str(bare)) == str(bare / "sshd")


def test_without_the_wheel_a_test_fails(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "POSTGRES_PACKAGE", "no_such_package")
    with (
        pytest.raises(pytest.fail.Exception, match="PostgreSQL is missing: `make install` brings it"),
        servers.postgres(bare),
    ):
        pass
