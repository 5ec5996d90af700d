"""One of several processes runs a stage; the others are told who."""

import multiprocessing
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from gliaflow.workspace.twins import Twins


def _hold(folder: Path, taken: Event, end: Event) -> None:
    assert Twins(folder, "other").take("key")
    taken.set()
    end.wait(60)


def test_what_is_taken_is_taken_for_others_until_it_is_given_back(tmp_path: Path) -> None:
    one, two = Twins(tmp_path / "twins", "one"), Twins(tmp_path / "twins", "two")
    assert one.runner("key") == two.runner("key") == ""
    assert one.take("key")
    assert one.take("key")  # again changes nothing
    assert not two.take("key")
    assert (one.runner("key"), two.runner("key")) == ("", "one")
    assert two.take("other")
    one.give_back("key")
    one.give_back("key")
    assert two.runner("key") == ""
    assert two.take("key")


def test_nothing_is_left(tmp_path: Path) -> None:
    one = Twins(tmp_path, "one")
    one.take("key")
    one.give_back("key")
    assert list(tmp_path.iterdir()) == []


def test_the_lock_of_a_process_that_is_killed_ends(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    taken, end = spawn.Event(), spawn.Event()
    process = spawn.Process(target=_hold, args=(tmp_path, taken, end))
    process.start()
    assert taken.wait(60)
    mine = Twins(tmp_path, "mine")
    assert (mine.runner("key"), mine.take("key")) == ("other", False)
    process.kill()
    process.join()
    assert mine.runner("key") == ""
    assert mine.take("key")


def test_alone_waits_for_who_was_first(tmp_path: Path) -> None:
    one, two, told = Twins(tmp_path, "one"), Twins(tmp_path, "two"), list[str]()
    assert one.take("key")

    def wait() -> None:
        told.append(two.runner("key"))
        one.give_back("key")

    with pytest.raises(RuntimeError), two.alone("key", wait):
        assert (told, one.runner("key")) == (["one"], "two")
        raise RuntimeError
    assert one.runner("key") == ""
