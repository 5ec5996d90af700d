"""Several pieces of work at once, each in one thread, so that no bit of what comes out depends on how many there are.

A small network has little to share between threads at each step, and they would wait for each other.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Item = TypeVar("Item")
Found = TypeVar("Found")


def side_by_side(work: Callable[[Item], Found], items: Iterable[Item], threads: int) -> Iterator[Found]:
    """What `work` makes of each item, in their order, from so many `threads`; torch has one for each of these.

    Whatever one of them raises is raised in its turn, and items that have not begun by then are left.
    """
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        begun = [pool.submit(work, item) for item in items]
        try:
            for one in begun:
                yield one.result()
        finally:
            pool.shutdown(cancel_futures=True)
