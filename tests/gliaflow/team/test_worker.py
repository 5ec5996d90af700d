"""A worker's start."""

import os
import re
import sys
from pathlib import Path

import pytest

from gliaflow.errors import UserError
from gliaflow.team.worker import up_to_date


def test_no_worker_starts_with_packages_older_than_the_lock_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, made, stamp = tmp_path / "requirements.lock", tmp_path / "venv", tmp_path / "venv/.ready"
    made.mkdir()
    lock.touch()
    up_to_date(made, lock)  # not make's
    stamp.touch()
    os.utime(lock, (stamp.stat().st_mtime + 1,) * 2)
    up_to_date(made, lock)  # make's, and not the one that this runs in
    monkeypatch.setattr(sys, "prefix", str(made))
    with pytest.raises(UserError, match=re.escape("requirements.lock is newer than the packages that are installed")):
        up_to_date(made, lock)
    (tmp_path / "link").symlink_to(made)
    up_to_date(tmp_path / "link", lock)
    os.utime(stamp, (lock.stat().st_mtime,) * 2)
    up_to_date(made, lock)
