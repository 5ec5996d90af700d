"""A folder without a token, a loopback Kaggle, and a token that it knows."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from kagglesdk import kaggle_env

from tests.stages.lgg.downloads import BODY
from tests.stages.lgg.kaggle_server import SIGNATURE, TOKEN, Kaggle, serving


@pytest.fixture
def no_token_in_sight(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[None]:
    """Work in an empty folder with no token; afterwards neither token nor signature is in any output or file."""
    work, home = tmp_path / "work", tmp_path / "home"
    work.mkdir()
    home.mkdir()
    monkeypatch.chdir(work)
    for name in [name for name in os.environ if name.startswith("KAGGLE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("NO_PROXY", "*")
    yield
    written = [path.read_bytes().decode(errors="replace") for path in work.rglob("*") if path.is_file()]
    for text in [*capfd.readouterr(), *written]:
        assert TOKEN not in text
        assert SIGNATURE not in text


@pytest.fixture
def kaggle(no_token_in_sight: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kaggle]:  # noqa: ARG001
    with serving(Kaggle(BODY)) as server:
        monkeypatch.setitem(kaggle_env._env_to_endpoint, kaggle_env.KaggleEnv.PROD, server.api_url)
        yield server


@pytest.fixture
def token(no_token_in_sight: None, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001
    monkeypatch.setenv("KAGGLE_API_TOKEN", TOKEN)
