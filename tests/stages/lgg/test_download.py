"""Stage lgg-download against a loopback Kaggle, reached through Kaggle's real client, and against files at hand."""

import base64
import hashlib
import io
import json
import os
import random
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kagglesdk import kaggle_env

from stages.errors import BadInput, BadParameters, GliaflowError, Refused, TransientError
from stages.lgg.download import DownloadParams, place_archive
from stages.lgg.source.kaggle import newest
from stages.params import load
from tests.stages.lgg.kaggle_server import PAGE, SIGNATURE, TOKEN, USER, Answer, Cut, Kaggle, serving

ROOT = Path(__file__).parents[3]
STATE = Path(".state/lgg-download")
KEPT = STATE / "mateuszbuda-lgg-mri-segmentation-2"
ARCHIVE = Path("data/lgg/archive.zip")
ANOTHER_SUM = "0" * 64
RUNNER = """
import sys
from kagglesdk import kaggle_env
kaggle_env._env_to_endpoint[kaggle_env.KaggleEnv.PROD] = sys.argv.pop(1)
from stages.command import run
from stages.lgg.download import main
run(main)
"""


def zip_of(seed: int, size: int = 300_000) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("kaggle_3m/README.md", random.Random(seed).randbytes(size))
    return buffer.getvalue()


BODY = zip_of(1)
SUM = hashlib.sha256(BODY).hexdigest()


def params(source: str = "kaggle", version: int = 2, sha256: str | None = None) -> DownloadParams:
    return DownloadParams(source=source, version=version, sha256=sha256)


def place(*, waits: Sequence[float] = (0, 0), sha256: str | None = None, version: int = 2) -> None:
    place_archive(params(version=version, sha256=sha256), ARCHIVE, state=STATE, waits=waits)


@pytest.fixture(autouse=True)
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
def kaggle(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kaggle]:
    with serving(Kaggle(BODY)) as server:
        monkeypatch.setitem(kaggle_env._env_to_endpoint, kaggle_env.KaggleEnv.PROD, server.api_url)
        yield server


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLE_API_TOKEN", TOKEN)


def fails(error: type[GliaflowError], words: str, **arguments: object) -> None:
    """The download fails with one line that holds `words`, drags no foreign exception along, and writes no archive."""
    with pytest.raises(error, match=words) as caught:
        place(**arguments)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    assert TOKEN not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    assert not ARCHIVE.exists()


def kept() -> bytes:
    part = KEPT / "archive.zip"
    return part.read_bytes() if part.exists() else b""


def arrived() -> bool:
    """The archive stands in whole and no state is left."""
    return ARCHIVE.read_bytes() == BODY and list(STATE.iterdir()) == [] and list(ARCHIVE.parent.iterdir()) == [ARCHIVE]


# Kaggle: tokens


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


# Kaggle: refusals


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
def test_a_body_that_is_no_zip_is_thrown_away(kaggle: Kaggle) -> None:
    kaggle.body = BODY[:-30]
    fails(Refused, "something else than a zip archive")
    assert list(STATE.iterdir()) == []


@pytest.mark.usefixtures("token")
def test_another_checksum_keeps_the_download_and_names_both(kaggle: Kaggle) -> None:
    fails(BadInput, f"{SUM}, but lgg.download.sha256 is {ANOTHER_SUM}; correct it, or delete", sha256=ANOTHER_SUM)
    place()
    assert arrived()
    assert kaggle.asked == ["bytes=0-"]


# Kaggle: failures that pass


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


# Kaggle: resuming


@pytest.mark.usefixtures("token")
def test_a_cut_body_is_continued(kaggle: Kaggle) -> None:
    kaggle.range_faults.append(Cut(200_000))
    place()
    assert arrived()
    first, second = (int(asked.removeprefix("bytes=").removesuffix("-")) for asked in kaggle.asked)
    assert first == 0
    assert 100_000 < second <= 200_000


@pytest.mark.usefixtures("token")
def test_the_next_run_continues_too(kaggle: Kaggle) -> None:
    kaggle.range_faults.append(Cut(200_000))
    fails(TransientError, "bytes so far are kept: run again", waits=())
    part = kept()
    assert BODY.startswith(part)
    place()
    assert arrived()
    assert kaggle.asked == ["bytes=0-", f"bytes={len(part)}-"]


@pytest.mark.usefixtures("token")
def test_progress_starts_the_count_of_failures_again(kaggle: Kaggle) -> None:
    kaggle.range_faults.extend([Cut(80_000)] * 4)
    place(waits=(0,))
    assert arrived()
    assert len(kaggle.asked) == 5


@pytest.mark.usefixtures("token", "kaggle")
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(0, 400_000), max_size=4), ranges=st.booleans())
def test_the_bytes_are_equal_wherever_it_was_cut(kaggle: Kaggle, cuts: list[int], ranges: bool) -> None:
    kaggle.ranges = ranges
    kaggle.range_faults.clear()
    kaggle.range_faults.extend(Cut(cut) for cut in cuts)
    place(waits=(0,) * 5)
    assert arrived()


@pytest.mark.usefixtures("token")
@pytest.mark.parametrize("change", ["etag", "modified", "length", "weak etag", "no validator"])
def test_an_archive_that_changed_is_not_spliced(kaggle: Kaggle, change: str, capfd: pytest.CaptureFixture[str]) -> None:
    kaggle.body, kaggle.etag = zip_of(2, 300_100 if change == "length" else 300_000), kaggle.etag
    if change in {"weak etag", "no validator"}:
        kaggle.etag, kaggle.modified = ('W/"first"' if change == "weak etag" else None), None
    kaggle.range_faults.append(Cut(200_000))
    fails(TransientError, "run again", waits=())
    assert kept()
    kaggle.body = BODY
    if change == "etag":
        kaggle.etag = '"second"'
    if change == "modified":
        kaggle.modified = "Tue, 14 May 2019 07:28:00 GMT"
    place()
    assert arrived()
    assert kaggle.asked == ["bytes=0-", "bytes=0-"]
    assert "bytes kept cannot be shown to be of this archive; starting again" in capfd.readouterr().err


@pytest.mark.usefixtures("token")
def test_an_archive_that_changes_between_link_and_body(kaggle: Kaggle) -> None:
    changed = {"ETag": '"second"', "Content-Range": f"bytes 0-{len(BODY) - 1}/{len(BODY)}"}
    kaggle.range_faults.append(Answer(206, changed, zip_of(2)))
    place()
    assert arrived()
    assert len(kaggle.asked) == 2


@pytest.mark.usefixtures("token")
def test_other_bytes_than_those_asked_for(kaggle: Kaggle) -> None:
    headers = {"ETag": kaggle.etag or "", "Last-Modified": kaggle.modified or ""}
    shifted = headers | {"Content-Range": f"bytes 9-{len(BODY) - 1}/{len(BODY)}"}
    kaggle.range_faults.append(Answer(206, shifted, BODY[9:]))
    fails(TransientError, "other bytes than those asked for", waits=())


@pytest.mark.usefixtures("token")
def test_a_part_longer_than_the_archive_starts_again(kaggle: Kaggle) -> None:
    kaggle.range_faults.append(Cut(200_000))
    fails(TransientError, "run again", waits=())
    with (KEPT / "archive.zip").open("ab") as part:
        part.write(bytes(400_000))
    place()
    assert arrived()


@pytest.mark.usefixtures("token")
def test_a_storage_that_tells_no_length(kaggle: Kaggle) -> None:
    kaggle.sized, kaggle.ranges = False, False
    place()
    assert arrived()


# An archive at hand


def test_an_archive_at_hand_is_copied(tmp_path: Path) -> None:
    mine = tmp_path / "mine.zip"
    mine.write_bytes(BODY)
    place_archive(params(str(mine), sha256=SUM), ARCHIVE)
    assert ARCHIVE.read_bytes() == BODY
    assert not ARCHIVE.samefile(mine)
    assert not STATE.exists()


def test_archives_at_hand_that_will_not_do(tmp_path: Path) -> None:
    missing, text, mine = tmp_path / "missing.zip", tmp_path / "text.zip", tmp_path / "mine.zip"
    text.write_text("no zip")
    mine.write_bytes(BODY)
    bad: list[tuple[Path, str | None, str]] = [
        (missing, None, "missing.zip: no such file; set lgg.download.source to sample, kaggle or"),
        (tmp_path, None, "no such file"),
        (text, None, "text.zip: not a zip archive"),
        (mine, ANOTHER_SUM, f"its sha256 is {SUM}, but lgg.download.sha256 is {ANOTHER_SUM}"),
    ]
    for source, sha256, words in bad:
        with pytest.raises(BadInput, match=words):
            place_archive(params(str(source), sha256=sha256), ARCHIVE)
        assert not ARCHIVE.parent.exists() or list(ARCHIVE.parent.iterdir()) == []


def test_the_output_cannot_be_its_own_source() -> None:
    ARCHIVE.parent.mkdir(parents=True)
    ARCHIVE.write_bytes(BODY)
    with pytest.raises(BadInput, match="the output itself"):
        place_archive(params(str(ARCHIVE)), ARCHIVE)
    assert ARCHIVE.read_bytes() == BODY


# Parameters


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{source: '', version: 2, sha256: null}", "lgg.download.source is ''"),
        ("{source: kaggle, version: 0, sha256: null}", "lgg.download.version is 0"),
        ("{source: kaggle, version: 2, sha256: ABC}", "lgg.download.sha256 is 'ABC'"),
        ("{source: kaggle, version: 2}", "lgg.download.sha256 is missing"),
        ("{source: kaggle, version: 2, sha256: null, size: 3}", "lgg.download.size is not a known parameter"),
    ],
)
def test_bad_parameters_are_named(line: str, words: str) -> None:
    Path("params.yaml").write_text(f"lgg:\n  download: {line}\n")
    with pytest.raises(BadParameters, match=words):
        load(DownloadParams, "lgg.download")


# As a command


def command(*arguments: str, source: str = "kaggle") -> list[str]:
    Path("params.yaml").write_text(f"lgg:\n  download: {{source: '{source}', version: 2, sha256: null}}\n")
    return [sys.executable, *arguments, "--archive", str(ARCHIVE)]


def environment(**variables: str) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT)} | variables


def test_the_sample_as_a_command() -> None:
    done = subprocess.run(
        command("-m", "stages.lgg.download", source="sample"), env=environment(), capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert zipfile.is_zipfile(ARCHIVE)


def test_no_token_as_a_command() -> None:
    done = subprocess.run(
        command("-m", "stages.lgg.download"), env=environment(), capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: no Kaggle token; ")
    assert done.stderr.count("\n") == 1


def test_a_key_file_as_a_command_whatever_kaggle_would_print(kaggle: Kaggle, tmp_path: Path) -> None:
    """VERBOSE has Kaggle's client print each request's headers, KAGGLE_API_ENVIRONMENT would send them elsewhere."""
    config = tmp_path / "config"
    config.mkdir()
    (config / "kaggle.json").write_text(f'{{"username": "{USER}", "key": "{TOKEN}"}}')
    unsafe = {"VERBOSE": "1", "KAGGLE_API_ENVIRONMENT": "LOCALHOST"}
    done = subprocess.run(
        command("-W", "error", "-c", RUNNER, kaggle.api_url),
        env=environment(KAGGLE_CONFIG_DIR=str(config), **unsafe), capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert arrived()
    assert len(kaggle.authorizations) == 1


@pytest.mark.usefixtures("token")
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_a_part_survives_the_end_of_the_process(kaggle: Kaggle, end: signal.Signals) -> None:
    kaggle.range_faults.append(Cut(200_000, hold=True))
    process = subprocess.Popen(
        command("-c", RUNNER, kaggle.api_url),
        env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while len(kept()) < 100_000 and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(end)
        written, errors = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    interrupted = 130, "error: interrupted; nothing half-written was left\n"
    assert (process.returncode, errors) == ((-signal.SIGKILL, "") if end is signal.SIGKILL else interrupted)
    assert TOKEN not in written + errors
    part = kept()
    assert len(part) >= 100_000
    assert BODY.startswith(part)
    assert not ARCHIVE.exists()
    place()
    assert arrived()
    assert kaggle.asked == ["bytes=0-", f"bytes={len(part)}-"]


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
