"""Work side by side: in order, each piece in a thread of its own, and nothing more once one has failed."""

import time
from threading import Barrier, Event

import pytest
import torch

from stages.lgg.inference.threads import side_by_side


def test_what_comes_out_keeps_the_order_of_what_went_in() -> None:
    second_is_done = Event()

    def work(number: int) -> int:
        if number == 1:
            assert second_is_done.wait(10)
        if number == 2:
            second_is_done.set()
        return number * number

    assert [*side_by_side(work, [1, 2, 3], 2)] == [1, 4, 9]


def test_so_many_work_at_once_and_torch_has_one_thread_for_each() -> None:
    together = Barrier(3, timeout=10)

    def work(_: int) -> int:
        together.wait()
        return torch.get_num_threads()

    assert [*side_by_side(work, range(3), 3)] == [1, 1, 1]


def test_after_a_fault_nothing_more_begins() -> None:
    begun = list[int]()

    def work(number: int) -> int:
        begun.append(number)
        if number == 1:
            raise ValueError(number)
        if number > 1:
            time.sleep(0.01)  # all of them would take ten seconds
        return number

    found = side_by_side(work, range(1000), 1)
    assert next(found) == 0
    with pytest.raises(ValueError, match="1"):
        next(found)
    assert len(begun) < 1000
    assert begun == sorted(begun)
