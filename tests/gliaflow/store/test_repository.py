"""Opening a repository: quietly, in its folder, with one line for what is wrong, and with all that comes hashed."""

import logging
import shutil
from pathlib import Path

import pytest
from dvc.exceptions import DvcException

from gliaflow.errors import UserError
from gliaflow.store.remote import Remote
from gliaflow.store.repository import REPAIR, dvc_silent, in_shell, opened, verify
from tests.gliaflow.store import history
from tests.gliaflow.store.history import change, holding
from tests.support.repos import Project


def test_the_working_directory_is_in_it_and_then_as_before(computed: Project) -> None:
    before = Path.cwd()
    folder = computed.root / "two"
    with opened(folder) as repo:
        assert (Path.cwd(), repo.root_dir) == (folder, str(computed.root))
    with pytest.raises(UserError, match=r"^what DVC says on two lines$"), opened(computed.root):
        raise DvcException("what DVC says\non two lines")
    assert Path.cwd() == before


def test_what_is_no_repository_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="you are not inside of a DVC repository"), opened(tmp_path):
        pass
    (tmp_path / "file").touch()
    for name in ("none", "file"):
        with pytest.raises(UserError, match=f"{name}' is no folder: name one that lies in a DVC repo"):
            opened(tmp_path / name).__enter__()


def test_dvc_logs_nothing_inside_the_block() -> None:
    logger = logging.getLogger("dvc")
    before = logger.level
    with dvc_silent():
        assert not logger.isEnabledFor(logging.ERROR)
    assert logger.level == before


@pytest.mark.parametrize(("shell", "flags"), [("/bin/bash", ["--noprofile", "--norc"]), ("/bin/sh", []), ("", None)])
def test_the_users_shell_runs_a_command_line(
    shell: str, flags: list[str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHELL", shell)
    assert in_shell("echo 1; false") == [shell or "/bin/sh", *(flags or []), "-c", "echo 1; false"]


def test_all_is_hashed_still_when_dvc_has_read_its_configuration_again(computed: Project) -> None:
    """dvc.repo.Repo._reset, which DVC calls whenever it looks at a stage."""
    with history.opened(computed) as repo:
        verify(repo)
        repo._reset()
        assert repo.cloud.get_remote_odb().verify
        assert all(info.remote.odb.verify for info in repo.index.data["repo"].storage_map.values())


def test_an_object_that_comes_damaged_is_told_once_and_not_kept(computed: Project, tmp_path: Path) -> None:
    told: list[str] = []
    with history.opened(computed) as repo:
        Remote(repo).push()
    damaged = change(holding("1\np: 3\n", tmp_path / "store/files/md5"), "1\np: 4\n", 0o444)  # so DVC sends it
    cache = computed.root / ".dvc/cache"
    shutil.rmtree(cache)
    with history.opened(computed) as repo:
        verify(repo, told.append)
        verify(repo, told.append)  # which changes nothing
        for _ in range(2):
            repo.cloud.pull({one for objects in repo.used_objs().values() for one in objects})
    assert told == [f"object {damaged} is damaged on the remote; {REPAIR}"]
    assert not (cache / "files/md5" / damaged[:2] / damaged[2:]).exists()
    assert holding("p: 3\n", cache).exists()
