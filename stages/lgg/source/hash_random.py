"""Random numbers for the synthetic patients: hashes of patient and purpose, so every machine makes the same ones.

All arithmetic is on integers; noise is in 1/1024.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

ONE = 1024


@dataclass(frozen=True)
class HashRandom:
    """What is random about one patient; a draw depends on its name alone, not on the draws before it."""

    patient: int

    def octets(self, name: str, count: int) -> Ints:
        """`count` integers from 0 to 255."""
        digest = hashlib.shake_128(f"{self.patient} {name}".encode()).digest(count)
        return np.frombuffer(digest, np.uint8).astype(np.int64)

    def between(self, name: str, low: int, high: int) -> int:
        """An integer from `low` to `high`, both included."""
        digest = hashlib.shake_128(f"{self.patient} {name}".encode()).digest(8)
        return low + int.from_bytes(digest, "big") % (high - low + 1)

    def smooth(self, name: str, shape: tuple[int, ...], cells: int) -> Ints:
        """Value noise (N H W) in [-ONE, ONE]: octets on a lattice of `cells` a side, drawn out to `shape`."""
        values = self.octets(name, (cells + 1) ** 3).reshape((cells + 1,) * 3) * 256
        for axis, length in enumerate(shape):
            values = _drawn_out(values, axis, length)
        return (values - 128 * 256) * ONE // (128 * 256)


def _drawn_out(values: Ints, axis: int, length: int) -> Ints:
    """`values` interpolated along `axis` to `length` samples, by a smoothstep so that no lattice shows."""
    position = (2 * np.arange(length) + 1) * (values.shape[axis] - 1) * 128 // length
    cell, t = position // 256, position % 256
    weight = (t * t * (768 - 2 * t) // 65536).reshape([-1 if other == axis else 1 for other in range(3)])
    drawn: Ints = (values.take(cell, axis) * (256 - weight) + values.take(cell + 1, axis) * weight) // 256
    return drawn
