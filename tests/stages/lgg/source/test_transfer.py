"""Interrupted downloads from a loopback storage: they are continued, and never from another archive."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stages.errors import TransientError
from tests.stages.lgg.downloads import BODY, KEPT, arrived, fails, kept, place, zip_of
from tests.stages.lgg.kaggle_server import Answer, Cut, Kaggle

pytestmark = pytest.mark.usefixtures("no_token_in_sight")


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
