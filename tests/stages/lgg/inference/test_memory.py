"""Memory that ends is one line; other errors stay what they are."""

import pytest
import torch

from stages.errors import BadParameters
from stages.lgg.inference.memory import within_memory


def test_memory_of_the_host_that_ends() -> None:
    with (
        pytest.raises(BadParameters, match=r"^the memory is full: lower a or b in params\.yaml$"),
        within_memory("a or b"),
    ):
        torch.empty(2**55)
    with pytest.raises(BadParameters, match=r"^the memory is full: lower a in params\.yaml$"), within_memory("a"):
        bytearray(2**60)


def test_memory_of_a_gpu_that_ends() -> None:
    with pytest.raises(BadParameters, match=r"^the GPU's memory is full: lower a in"), within_memory("a"):
        raise torch.OutOfMemoryError("CUDA out of memory")


def test_other_errors_stay() -> None:
    with pytest.raises(RuntimeError, match="size mismatch"), within_memory("a"):
        raise RuntimeError("size mismatch")
