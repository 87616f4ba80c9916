"""Weights files at half the size: kernels are kept as float16, which Keras reads back as float32.

`rounded` rounds a network's kernels once; `halve_weights` then rewrites its file and loses nothing more, since it
touches only tensors whose every number is a float16. Statistics and biases, which are few, stay. The ONNX file cannot
be halved so: its kernels are already multiplied by the statistics of batch normalization.
Needs the extra ``train``.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from splitstrument.files import atomic_path

MIN_SIZE = 256  # numbers in a tensor: below it there is nothing to gain


def rounded(weights: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
    """The same weights; tensors of two or more axes rounded to what float16 can hold (11 bits, -66 dB)."""
    return [weight.astype(np.float16).astype(np.float32) if weight.ndim > 1 else weight for weight in weights]


def fits_half(values: NDArray) -> bool:
    """Whether `values` is large, float32, and the same after a round trip through float16."""
    if values.dtype != np.float32 or values.size < MIN_SIZE:
        return False
    with np.errstate(over="ignore"):
        return np.array_equal(values.astype(np.float16).astype(np.float32), values)


def halve_weights(path: Path) -> None:
    """Rewrite a Keras weights file (HDF5) in place: float16 where nothing is lost."""
    import h5py

    memory = io.BytesIO()  # see `save_weights`
    with h5py.File(path) as source, h5py.File(memory, "w") as target:
        for key, value in source.attrs.items():
            target.attrs[key] = value

        def copy(name: str, item: h5py.Group | h5py.Dataset) -> None:
            """Groups are made with their attributes, data copied or halved."""
            if isinstance(item, h5py.Group):
                made: h5py.Group | h5py.Dataset = target.require_group(name)
            else:
                values = item[()]
                made = target.create_dataset(name, data=values.astype(np.float16) if _halvable(values) else values)
            for key, value in item.attrs.items():
                made.attrs[key] = value

        source.visititems(copy)
    with atomic_path(path) as temporary:
        temporary.write_bytes(memory.getvalue())


def _halvable(values: object) -> bool:
    return isinstance(values, np.ndarray) and fits_half(values)
