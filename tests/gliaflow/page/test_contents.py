"""What stages made, by hashes; what is gone, changed or no picture is told."""

import os
from pathlib import Path

from gliaflow.core.report import Output, Recorded
from gliaflow.page.contents import GONE, NO_PICTURE, UNKNOWN, files, picture_type, read
from gliaflow.page.facts import RunFacts
from tests.support.runs import PNG, cached, cached_folder, ended, md5, told


def made(tmp_path: Path, *outputs: Output) -> RunFacts:
    run = told(tmp_path, [ended("a", 1, recorded=Recorded(outputs=outputs))], {"a": []}, cache=str(tmp_path / "cache"))
    run.first["root"] = str(tmp_path)
    return run


def test_from_the_cache_or_where_it_lay(tmp_path: Path) -> None:
    (tmp_path / "here.txt").write_bytes(b"here")
    (tmp_path / "other.txt").write_bytes(b"changed")
    outputs = [Output("in.txt", cached(tmp_path / "cache", b"in")), Output("here.txt", md5(b"here"))]
    os.mkfifo(tmp_path / "pipe.txt")
    run = made(tmp_path, *outputs, Output("other.txt", md5(b"other")), Output("pipe.txt", md5(b"")))
    assert [read(run, one, 99) for one in files(run)] == [b"in", b"here", GONE, GONE]
    assert read(run, next(files(run)), 1) == "it is too large for this page"


def test_what_is_damaged_in_the_cache_is_not_shown(tmp_path: Path) -> None:
    hash = cached(tmp_path / "cache", b"in")
    (tmp_path / "cache" / hash[:2] / hash[2:]).write_bytes(b"no")
    run = made(tmp_path, Output("in.txt", hash))
    assert read(run, next(files(run)), 99) == GONE


def test_the_files_of_a_folder(tmp_path: Path) -> None:
    hash = cached_folder(tmp_path / "cache", {"x.png": PNG, "deep/y.txt": b"y"})
    run = made(tmp_path, Output("out", hash), Output("gone", f"{'4' * 32}.dir"))
    found = list(files(run))
    assert [one.path for one in found] == ["out/x.png", "out/deep/y.txt", "gone"]
    assert [read(run, one, 999) for one in found] == [PNG, b"y", UNKNOWN]


def test_a_picture_is_one_by_its_bytes(tmp_path: Path) -> None:
    svg = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>'
    names = {"a.png": PNG, "b.png": b"<html>", "c.svg": svg, "d.svg": b"x", "e.JPG": b"\xff\xd8\xff\xe0", "f.jpeg": PNG}
    run = made(tmp_path, *(Output(name, cached(tmp_path / "cache", data)) for name, data in names.items()))
    types = [picture_type(one, names[one.path]) for one in files(run)]
    assert types == ["image/png", "", "image/svg+xml", "", "image/jpeg", ""]
    assert NO_PICTURE
