"""Which server is configured, by the environment, by profiles, or by a block of a caller's program."""

import subprocess
import sys
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

from gliaflow.export import configured as module
from gliaflow.export.configured import Server, configured

PROFILES = """
active = "team"
[profiles.team]
PREFECT_API_URL = "https://team.example.org/api/"
PREFECT_API_AUTH_STRING = "ann:secret"
PREFECT_API_TLS_INSECURE_SKIP_VERIFY = "true"
PREFECT_API_SSL_CERT_FILE = "/certificates"
[profiles.alone]
PREFECT_SERVER_EPHEMERAL_ENABLED = "true"
"""


@pytest.fixture(autouse=True)
def nothing_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process that has not imported Prefect."""
    monkeypatch.setattr(module, "_imported", lambda: False)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "profiles.toml").write_text(PROFILES)
    return tmp_path


def test_none() -> None:
    assert configured({"PREFECT_HOME": "/nowhere"}) is None


def test_the_environment() -> None:
    found = configured({"PREFECT_HOME": "/nowhere", "PREFECT_API_URL": "http://host:4200/api", "PREFECT_API_KEY": "k"})
    assert found == Server(
        "http://host:4200/api",
        "PREFECT_API_URL in the environment",
        {"Authorization": "Bearer k"},
        pages="http://host:4200",
    )


def test_the_active_profile(home: Path) -> None:
    found = configured({"PREFECT_HOME": str(home)})
    assert found == Server(
        "https://team.example.org/api",
        f"PREFECT_API_URL of the profile 'team' in {home / 'profiles.toml'}",
        {"Authorization": "Basic YW5uOnNlY3JldA=="},
        verify=False,
        certificates="/certificates",
        pages="https://team.example.org",
    )
    assert "secret" not in repr(found)


def test_another_profile_and_other_files(home: Path, tmp_path: Path) -> None:
    assert configured({"PREFECT_HOME": str(home), "PREFECT_PROFILE": "alone"}) is None
    local = configured({"PREFECT_HOME": "/nowhere", "PREFECT_PROFILE": "local"})
    assert local
    assert local.url == "http://127.0.0.1:4200/api"
    elsewhere = tmp_path / "elsewhere.toml"
    elsewhere.write_text('active = "a"\n[profiles.a]\nPREFECT_API_URL = "http://a/api"\n')
    found = configured({"PREFECT_HOME": str(home), "PREFECT_PROFILES_PATH": str(elsewhere)})
    assert found
    assert found.url == "http://a/api"


@pytest.mark.parametrize("text", ["", "active = ", 'active = "gone"', "profiles = 3", "active = 1", "\xff"])
def test_a_broken_file_names_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "profiles.toml").write_bytes(text.encode("latin-1"))
    assert configured({"PREFECT_HOME": str(tmp_path)}) is None


def test_files_of_the_working_directory_are_nobodys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path(".env").write_text("PREFECT_API_URL=http://evil/api\n")
    Path("prefect.toml").write_text('[api]\nurl = "http://evil/api"\n')
    Path("pyproject.toml").write_text('[tool.prefect.api]\nurl = "http://evil/api"\n')
    assert configured({"PREFECT_HOME": str(tmp_path / "home")}) is None


def test_where_prefect_is_imported_its_settings_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_imported", lambda: True)
    with temporary_settings({PREFECT_API_URL: "http://host:1/api", PREFECT_API_AUTH_STRING: "ann:secret"}):
        found = configured({"PREFECT_API_URL": "http://other/api"})
    assert found
    assert found.url == "http://host:1/api"
    assert found.headers == {"Authorization": "Basic YW5uOnNlY3JldA=="}
    with temporary_settings({PREFECT_API_URL: None}):
        assert configured({"PREFECT_API_URL": "http://other/api"}) is None


def test_it_imports_no_prefect() -> None:
    line = (
        "import sys; from gliaflow.export.configured import configured; print(configured({}), 'prefect' in sys.modules)"
    )
    assert subprocess.check_output([sys.executable, "-c", line]).endswith(b" False\n")


@pytest.mark.parametrize(
    "url", ["localhost:4200/api", "host", "http://", "ftp://host/api", "http://host:x/api", "//host"]
)
def test_what_is_no_address(url: str) -> None:
    assert Server(url).wrong == f"'{url}' is no address of a server: it must begin with http:// or https://"
    assert not Server("https://host/api").wrong


def test_what_is_on_this_machine() -> None:
    assert Server("http://127.0.0.1:4200/api").local
    assert Server("http://[::1]:4200/api").local
    assert not Server("http://host/api").local
