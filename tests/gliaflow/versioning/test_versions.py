"""Data versions: one name, the very bytes, whoever asks and however."""

import shutil
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import dvc.api
import pytest
from ruamel.yaml import YAML

from gliaflow.errors import UserError
from gliaflow.versioning.versions import Facts, Version, get, read, versions
from tests.gliaflow.store.history import change, holding, opened, shared, teammate
from tests.gliaflow.versioning import published
from tests.gliaflow.versioning.published import publish, push
from tests.support.repos import Project, stock

VERSION = Version(
    name="v1",
    commit="a" * 40,
    parents=("v0",),
    licence=("CC0", "MIT"),
    files=3,
    bytes=1234,
    outputs={"d": Facts("b" * 32 + ".dir", 1234, 3)},
    metrics={"m.json": {"dice": 0.9}},
)


def test_a_version_is_the_very_bytes_for_all_who_ask(whole: Project, tmp_path: Path) -> None:
    push(whole)
    assert publish(whole, "v1")[0].startswith("v1: 4 outputs")
    expected = {path: (whole.root / path).read_bytes() for path in ("one.txt", "two/a", "two/b", "three.txt", "m.json")}
    whole.write({"params.yaml": "p: 8\n"})
    stock(whole.root)
    whole.commit()
    whole.run("git", "branch", "v1")  # which is another commit
    other = teammate(whole, tmp_path / "other" / "twin")
    assert published.get(other, "v1", other.root / "deep/got") == [f"v1: 4 outputs in {other.root}/deep/got"]
    assert {path: (other.root / "deep/got" / path).read_bytes() for path in expected} == expected
    assert [path.name for path in (other.root / "deep").iterdir()] == ["got"]
    shutil.rmtree(other.root / ".dvc/cache")
    for path, text in expected.items():
        assert dvc.api.read(path, repo=str(other.root), rev="v1", mode="rb") == text
    other.dvc("get", ".", "two", "--rev", "v1", "--out", "plain")
    assert (other.root / "plain/b").read_bytes() == expected["two/b"]
    third = Project(tmp_path / "third", whole.environment)
    third.dvc("import", str(other.root), "two", "--rev", "v1")
    assert (third.root / "two/a").read_bytes() == expected["two/a"]


def test_a_version_is_plain_data_and_text() -> None:
    assert str(VERSION) == "v1: aaaaaaaaa, 1 outputs, 1,234 bytes"
    assert VERSION.plain()["licence"] == ["CC0", "MIT"]
    assert list(VERSION.plain()) == ["name", *VERSION.card()]
    assert YAML(typ="safe", pure=True).load(VERSION.text()) == VERSION.card()


def test_all_versions_the_newest_first_and_which_hold_no_card(whole: Project) -> None:
    push(whole)
    publish(whole, "v1")
    whole.commit()
    publish(whole, "v2", "MIT")
    whole.run("git", "tag", "--message=Data version v0", "v0")
    whole.run("git", "tag", "--message=Data version v3\n\ncommit: 1\nparents: []\n", "v3")
    told: list[str] = []
    with opened(whole) as repo:
        found = versions(repo, told.append)
        assert [version.name for version in found] == ["v2", "v1"]
        assert versions(repo) == found
        assert found[0] == read(repo, "v2")
        assert (found[0].parents, found[0].licence, found[0].bytes) == (("v1",), "MIT", 30)
        assert sorted(line[:4] for line in told) == ["v0: ", "v3: "]
        for name in ("v0", "v3"):
            with pytest.raises(UserError, match=f"the tag '{name}' is called a data version and holds no card of one"):
                read(repo, name)


def test_a_version_that_is_not_there_or_a_folder_that_is(whole: Project, tmp_path: Path) -> None:
    push(whole)
    publish(whole, "v1")
    with opened(whole) as repo:
        with pytest.raises(UserError, match=r"'v9' is no data version .* there are: v1"):
            get(repo, "v9", tmp_path / "got")
        (tmp_path / "taken").touch()
        with pytest.raises(UserError, match="taken is there already: name another folder with --out"):
            get(repo, "v1", tmp_path / "taken")


def test_what_a_kill_left_of_it_is_removed(whole: Project, tmp_path: Path) -> None:
    push(whole)
    publish(whole, "v1")
    (tmp_path / ".partial.got/two").mkdir(parents=True)
    (tmp_path / ".partial.got/other").touch()
    published.get(whole, "v1", tmp_path / "got")
    assert sorted(path.name for path in (tmp_path / "got").iterdir()) == ["m.json", "one.txt", "three.txt", "two"]
    assert not (tmp_path / ".partial.got").exists()


def test_bytes_of_a_damaged_cache_are_never_given(whole: Project, tmp_path: Path) -> None:
    """And neither HTTP nor a remote that has moved since is in the way."""
    push(whole)
    publish(whole, "v1")
    cache, store = whole.root / ".dvc/cache/files/md5", tmp_path / "store"
    for mode, text in ((0o644, "1\n"), (0o444, "1\np: 3\n")):  # DVC trusts what is write-protected
        change(holding(text, cache), "4\n", mode)
    store.rename(tmp_path / "moved")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(tmp_path / "moved")))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    (whole.root / ".dvc/config.local").write_text(f"['remote \"web\"']\n    url = {url}\n")
    published.get(whole, "v1", tmp_path / "got", "web")
    assert (tmp_path / "got/one.txt").read_text() == "1\n"
    assert (tmp_path / "got/three.txt").read_text() == "1\np: 3\n"
    server.shutdown()
    server.server_close()
    shared(whole, tmp_path / "moved")
    shutil.rmtree(cache)
    published.get(whole, "v1", tmp_path / "again")
    assert (tmp_path / "again/two/b").read_text() == "p: 3\n"
