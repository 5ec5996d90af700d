"""Memory that ends, on the host or on a GPU, in one line for the user."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from stages.errors import BadParameters

ON_THE_HOST = ("can't allocate memory", "not enough memory", "Cannot allocate memory")  # as torch's allocator says it


@contextmanager
def within_memory(lower: str, where: str = " in params.yaml") -> Iterator[None]:
    """Run the block; `lower` names what takes less memory if it is less, and `where` it stands.

    Raises:
        BadParameters: the memory of the GPU or of the host is full.
    """
    try:
        yield
    except torch.OutOfMemoryError:
        raise BadParameters(f"the GPU's memory is full: lower {lower}{where}") from None
    except MemoryError:
        raise BadParameters(f"the memory is full: lower {lower}{where}") from None
    except RuntimeError as error:
        if not any(words in str(error) for words in ON_THE_HOST):
            raise
        raise BadParameters(f"the memory is full: lower {lower}{where}") from None
