"""First-in first-out arrays: how a stream is cut into pieces that do not depend on how it arrived."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray


class ArrayQueue:
    """Arrays joined along one axis, taken out in pieces of any length."""

    def __init__(self, axis: int = 0) -> None:
        self.axis = axis
        self._parts: deque[NDArray] = deque()
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def push(self, array: NDArray) -> None:
        """Append `array`; it must not be changed afterwards."""
        if array.shape[self.axis]:
            self._parts.append(array)
            self._length += array.shape[self.axis]

    def peek(self, length: int) -> NDArray:
        """Return the first `length` entries (at most what there is) without taking them out."""
        if len(self._parts) > 1 and self._parts[0].shape[self.axis] < length:
            self._parts = deque([np.concatenate(self._parts, axis=self.axis)])
        return self._cut(self._parts[0], 0, length)

    def pop(self, length: int) -> NDArray:
        """Take out the first `length` entries (at most what there is)."""
        taken = self.peek(length)
        self.drop(taken.shape[self.axis])
        return taken

    def drop(self, length: int) -> None:
        """Forget the first `length` entries."""
        self._length = max(0, self._length - length)
        while length and self._parts:
            first = self._parts.popleft()
            size = first.shape[self.axis]
            if size > length:
                self._parts.appendleft(self._cut(first, length, size))
            length -= min(size, length)

    def _cut(self, array: NDArray, start: int, stop: int) -> NDArray:
        return array[(slice(None),) * (self.axis % array.ndim) + (slice(start, stop),)]
