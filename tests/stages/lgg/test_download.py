"""Stage lgg-download against a loopback Kaggle, reached through Kaggle's real client, and against files at hand."""

import hashlib
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from stages.errors import BadInput, BadParameters, Refused
from stages.lgg.download import DownloadParams, place_archive
from stages.lgg.layouts.pictures import DUPLICATE
from stages.lgg.layouts.recognise import recognise
from stages.lgg.scans.archive import open_archive
from stages.params import load
from tests.stages.lgg import archives, folders
from tests.stages.lgg.downloads import ARCHIVE, BODY, STATE, SUM, arrived, fails, kept, params, place
from tests.stages.lgg.kaggle_server import TOKEN, USER, Cut, Kaggle
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.usefixtures("no_token_in_sight")

ROOT = Path(__file__).parents[3]
ANOTHER_SUM = "0" * 64
RUNNER = """
import sys
from kagglesdk import kaggle_env
kaggle_env._env_to_endpoint[kaggle_env.KaggleEnv.PROD] = sys.argv.pop(1)
from stages.command import run
from stages.lgg.download import main
run(main)
"""


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
    (tmp_path / "empty").mkdir()
    text.write_text("no zip")
    mine.write_bytes(BODY)
    bad: list[tuple[Path, str | None, str]] = [
        (missing, None, "missing.zip: no such file; set lgg.download.source to sample, kaggle or"),
        (tmp_path / "empty", None, r"empty \(lgg.download.source\): no slice of any patient"),
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


# A folder at hand


@pytest.mark.parametrize(
    "files", [folders.bids(), folders.nnunet(), archives.sound(), archives.doubled(archives.sound())], ids=list("bnkd")
)
def test_a_folder_at_hand_is_an_archive(tmp_path: Path, files: dict[str, bytes]) -> None:
    mine = folders.write(tmp_path / "mine", files)
    place_archive(params(str(mine)), ARCHIVE)
    first = ARCHIVE.read_bytes()
    with open_archive(ARCHIVE) as archive:
        once = {name: content for name, content in files.items() if not name.startswith(DUPLICATE)}
        assert archive.patients == recognise(once, once.__getitem__).patients
        names = {name for patient in archive.patients for name in patient.files}
        assert {name: archive.read(name) for name in names} == {name: (mine / name).read_bytes() for name in names}
    place_archive(
        params(str(folders.write(tmp_path / "copy", files)), sha256=hashlib.sha256(first).hexdigest()), ARCHIVE
    )
    assert ARCHIVE.read_bytes() == first


def test_what_is_left_out_is_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    place_archive(params(str(folders.write(tmp_path / "mine", folders.nnunet()))), ARCHIVE)
    assert capfd.readouterr().out == (
        "left out 2 of 11 files, which are no sequence or mask, such as imagesTr/BRATS_001_0003.nii.gz\n"
    )


def test_folders_at_hand_that_will_not_do(tmp_path: Path) -> None:
    files = folders.bids()
    del files["sub-002/anat/sub-002_FLAIR.nii.gz"], files["sub-003/anat/sub-003_FLAIR.nii.gz"]
    mine = folders.write(tmp_path / "mine", files)
    with pytest.raises(BadInput) as caught:
        place_archive(params(str(mine)), ARCHIVE)
    assert str(caught.value).splitlines() == [
        f"{mine} (lgg.download.source): 2 problems",
        "  - sub-002 has no FLAIR",
        "  - sub-003 has no FLAIR",
    ]
    sound = folders.write(tmp_path / "sound", folders.bids())
    with pytest.raises(
        BadInput, match=f"{sound} as an archive: its sha256 is .*, but lgg.download.sha256 is {ANOTHER_SUM}"
    ):
        place_archive(params(str(sound), sha256=ANOTHER_SUM), ARCHIVE)
    assert list(ARCHIVE.parent.iterdir()) == []


def test_the_output_cannot_lie_in_its_source() -> None:
    folders.write(Path("data"), folders.bids())
    with pytest.raises(BadInput, match=r"the output data/lgg/archive\.zip would lie in it"):
        place_archive(params("data"), ARCHIVE)


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
        command("-m", "stages.lgg.download"), env=environment(), capture_output=True, text=True, timeout=PATIENCE
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
        env=environment(KAGGLE_CONFIG_DIR=str(config), **unsafe), capture_output=True, text=True, timeout=PATIENCE,
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
        deadline = time.monotonic() + PATIENCE
        while len(kept()) < 100_000 and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(end)
        written, errors = process.communicate(timeout=PATIENCE)
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
