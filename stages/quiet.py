"""Import TensorFlow without its chatter on the terminal: `with silence(): import tensorflow as tf`."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def silence() -> Iterator[None]:
    """Drop what is written to file descriptor 2 while the block runs; exceptions still come through.

    TensorFlow's libraries log while they load, before they heed a level (tensorflow/tensorflow#100442). After
    that the level holds, 3 unless the user set one: at 2 a machine without a GPU is told of it as an error, and
    what is truly wrong comes as an exception.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(nowhere)
        os.close(kept)
