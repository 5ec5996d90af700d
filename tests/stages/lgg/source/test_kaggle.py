"""Tokens, refusals and failures that pass, against a loopback Kaggle reached through Kaggle's real client."""

import base64
import json
import time
from pathlib import Path

import pytest
from kagglesdk import kaggle_env

from stages.errors import Refused, TransientError
from stages.lgg.source.kaggle import newest
from tests.stages.lgg.downloads import BODY, SUM, arrived, fails, place
from tests.stages.lgg.kaggle_server import PAGE, TOKEN, USER, Answer, Cut, Kaggle, serving

pytestmark = pytest.mark.usefixtures("no_token_in_sight")


@pytest.mark.usefixtures("token")
def test_the_pinned_version_arrives_and_the_storage_never_sees_the_token(kaggle: Kaggle) -> None:
    place(sha256=SUM)
    assert arrived()
    (request,) = kaggle.downloads
    assert (request["ownerSlug"], request["datasetSlug"]) == ("mateuszbuda", "lgg-mri-segmentation")
    assert request["datasetVersionNumber"] == 2
    assert kaggle.authorizations == [f"Bearer {TOKEN}"]
    assert kaggle.storage_authorizations == [None, None]


def test_a_legacy_key_will_do(kaggle: Kaggle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLE_USERNAME", USER)
    monkeypatch.setenv("KAGGLE_KEY", TOKEN)
    place()
    assert arrived()
    assert kaggle.authorizations == ["Basic " + base64.b64encode(f"{USER}:{TOKEN}".encode()).decode()]
    assert kaggle.storage_authorizations == [None, None]


def test_a_token_in_a_file_will_do(kaggle: Kaggle) -> None:
    file = Path.home() / ".kaggle" / "access_token"
    file.parent.mkdir(exist_ok=True)
    file.write_text(TOKEN + "\n")
    place()
    assert arrived()
    assert kaggle.authorizations == [f"Bearer {TOKEN}"]


def test_a_login_by_browser_will_do(kaggle: Kaggle) -> None:
    """What `kaggle auth login` leaves behind."""
    file = Path.home() / ".kaggle" / "credentials.json"
    file.parent.mkdir(exist_ok=True)
    login = {"refresh_token": "r", "access_token": TOKEN, "access_token_expiration": "2999-01-01T00:00:00+00:00"}
    file.write_text(json.dumps(login | {"username": USER}))
    place()
    assert arrived()
    assert kaggle.authorizations == [f"Bearer {TOKEN}"]


def test_without_a_token_nothing_is_asked(kaggle: Kaggle) -> None:
    fails(Refused, "no Kaggle token; make one at https://www.kaggle.com/settings")
    assert kaggle.downloads == []


def test_a_token_that_kaggle_does_not_know(kaggle: Kaggle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLE_API_TOKEN", TOKEN[::-1])
    fails(Refused, "does not know the token; make a new one")
    assert kaggle.downloads == []


@pytest.mark.parametrize("odd", [TOKEN + "\n", TOKEN + "”", TOKEN * 9], ids=["newline", "quote", "longer than a path"])
def test_an_odd_token_is_not_quoted(kaggle: Kaggle, monkeypatch: pytest.MonkeyPatch, odd: str) -> None:
    monkeypatch.setenv("KAGGLE_API_TOKEN", odd)
    fails(Refused, "cannot use the token: .*; set KAGGLE_API_TOKEN to it, or save it as ~/.kaggle/access_token")
    assert kaggle.downloads == []


def test_an_odd_legacy_key_is_not_quoted(kaggle: Kaggle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLE_USERNAME", USER)
    monkeypatch.setenv("KAGGLE_KEY", TOKEN + "”")
    fails(Refused, "cannot use the token")
    assert kaggle.downloads == []


def test_a_wrong_legacy_key(kaggle: Kaggle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLE_USERNAME", USER)
    monkeypatch.setenv("KAGGLE_KEY", TOKEN[::-1])
    fails(Refused, r"does not accept the token; .* \(401\)")
    assert len(kaggle.downloads) == 1


@pytest.mark.usefixtures("token")
@pytest.mark.parametrize(
    ("status", "words"), [(400, "refuses"), (401, "does not accept"), (403, "forbids"), (404, "no version 2")]
)
def test_a_refusal_is_not_tried_again(kaggle: Kaggle, status: int, words: str) -> None:
    kaggle.api_faults.append(Answer(status, body=TOKEN.encode()))
    fails(Refused, rf"{words}.*\({status}\)")
    assert len(kaggle.downloads) == 1


@pytest.mark.usefixtures("token")
def test_a_version_that_does_not_exist(kaggle: Kaggle) -> None:
    fails(Refused, r"no version 9 of mateuszbuda/lgg-mri-segmentation; correct lgg.download.version", version=9)
    assert len(kaggle.downloads) == 1


@pytest.mark.usefixtures("token")
@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, {"Content-Type": "text/html"}, PAGE),
        Answer(200, {"Content-Type": "application/zip"}, BODY),
        Answer(302, {"Location": "/account/login"}),
    ],
    ids=["page", "no link", "redirected to a page"],
)
def test_a_page_is_no_archive(kaggle: Kaggle, answer: Answer) -> None:
    kaggle.api_faults.append(answer)
    fails(Refused, "a page instead of the archive; sign in and look at https://www.kaggle.com/datasets/mateuszbuda/lgg")
    assert len(kaggle.downloads) == 1


@pytest.mark.usefixtures("token")
def test_retry_after_is_obeyed(kaggle: Kaggle, capfd: pytest.CaptureFixture[str]) -> None:
    kaggle.api_faults.append(Answer(429, {"Retry-After": "1"}))
    start = time.monotonic()
    place()
    assert time.monotonic() - start >= 1
    assert arrived()
    assert capfd.readouterr() == ("", "Kaggle: the answer was 429, asking for 1 s; trying again in 1 s\n")


@pytest.mark.usefixtures("token")
def test_nobody_waits_for_hours(kaggle: Kaggle) -> None:
    kaggle.api_faults.append(Answer(429, {"Retry-After": "7200"}))
    fails(TransientError, "the answer was 429, asking for 7200 s; the 0 bytes so far are kept: run again")
    assert len(kaggle.downloads) == 1


@pytest.mark.usefixtures("token")
@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_a_failure_that_stays_is_transient_after_the_last_try(kaggle: Kaggle, status: int) -> None:
    kaggle.api_faults.extend([Answer(status, {"Retry-After": "soon"}, TOKEN.encode())] * 4)
    fails(TransientError, f"the answer was {status}; the 0 bytes so far are kept: run again", waits=(0, 0, 0))
    assert len(kaggle.downloads) == 4
    place()
    assert arrived()


@pytest.mark.usefixtures("token")
def test_a_storage_failure_is_answered_by_a_fresh_link(kaggle: Kaggle) -> None:
    kaggle.range_faults.append(Answer(503))
    place()
    assert arrived()
    assert len(kaggle.downloads) == 2


@pytest.mark.usefixtures("token")
def test_nobody_listening(kaggle: Kaggle, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(Kaggle(b"")) as gone:
        pass
    monkeypatch.setitem(kaggle_env._env_to_endpoint, kaggle_env.KaggleEnv.PROD, gone.api_url)
    fails(TransientError, r"the connection failed \(ConnectionError\)")
    assert kaggle.downloads == []


@pytest.mark.usefixtures("token")
def test_waits_grow_and_vary(kaggle: Kaggle, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("stages.lgg.source.kaggle.time.sleep", pauses.append)
    kaggle.api_faults.extend([Answer(503)] * 4)
    fails(TransientError, "503", waits=(1, 2, 4))
    assert all(wait / 2 <= pause <= wait * 3 / 2 for wait, pause in zip((1, 2, 4), pauses, strict=True))
    assert pauses != [1, 2, 4]


@pytest.mark.usefixtures("token")
def test_progress_starts_the_count_of_failures_again(kaggle: Kaggle) -> None:
    kaggle.range_faults.extend([Cut(80_000)] * 4)
    place(waits=(0,))
    assert arrived()
    assert len(kaggle.asked) == 5


@pytest.mark.usefixtures("token")
def test_the_newest_version_is_what_kaggle_shows(kaggle: Kaggle, monkeypatch: pytest.MonkeyPatch) -> None:
    kaggle.version = 7
    assert newest() == 7
    kaggle.api_faults.append(Answer(503))
    with pytest.raises(TransientError, match="Kaggle: the answer was 503"):
        newest()
    monkeypatch.setenv("KAGGLE_API_TOKEN", "wrong")
    with pytest.raises(Refused, match="token"):
        newest()
