"""First-in first-out: arrays cut into pieces that do not depend on how they came, and work done ahead in a thread."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from splitstrument.audio import Audio

Item = TypeVar("Item")
POLL_S = 0.2


class ArrayQueue:
    """Arrays joined along one axis, taken out in pieces of any length; one thread may fill it and another empty it."""

    def __init__(self, axis: int = 0) -> None:
        self.axis = axis
        self._parts: deque[NDArray] = deque()
        self._last: NDArray = np.zeros(0)  # tells the shape when there is nothing left
        self._length = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return self._length

    def push(self, array: NDArray) -> None:
        """Append `array`; it must not be changed afterwards."""
        if array.shape[self.axis]:
            with self._lock:
                self._parts.append(array)
                self._last = self._cut(array, 0, 0).copy()
                self._length += array.shape[self.axis]

    def peek(self, length: int) -> NDArray:
        """Return the first `length` entries (at most what there is) without taking them out."""
        with self._lock:
            if not self._parts:
                return self._last
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
        with self._lock:
            self._length = max(0, self._length - length)
            while length and self._parts:
                first = self._parts.popleft()
                size = first.shape[self.axis]
                if size > length:
                    self._parts.appendleft(self._cut(first, length, size))
                length -= min(size, length)

    def _cut(self, array: NDArray, start: int, stop: int) -> NDArray:
        return array[(slice(None),) * (self.axis % array.ndim) + (slice(start, stop),)]


def ahead(items: Iterator[Item], depth: int = 2) -> Generator[Item, None, None]:
    """Run an iterator in a thread of its own, at most `depth` items ahead.

    An error in the thread is raised here. When this generator is closed or fails, so is `items`, and the thread ends
    before that returns; close it (`contextlib.closing`) before what `items` reads from is closed.
    """
    waiting: queue.Queue[tuple[str, Any]] = queue.Queue(depth)
    stop = threading.Event()

    def put(kind: str, value: Any) -> None:
        while not stop.is_set():
            with contextlib.suppress(queue.Full):
                waiting.put((kind, value), timeout=POLL_S)
                return

    def work() -> None:
        try:
            for item in items:
                put("item", item)
                if stop.is_set():
                    return
            put("end", None)
        except BaseException as error:
            put("error", error)
        finally:
            if isinstance(items, Generator):
                items.close()

    thread = threading.Thread(target=work, name="splitstrument-ahead", daemon=True)
    thread.start()
    try:
        while True:
            kind, value = waiting.get()
            if kind == "error":
                raise value
            if kind == "end":
                return
            yield value
    finally:
        stop.set()
        thread.join()


def to_channels(block: Audio, n_channels: int) -> Audio:
    """Mono is copied to all channels; anything else is averaged to mono first."""
    if block.shape[1] == n_channels:
        return block
    return np.repeat(block.mean(axis=1, keepdims=True), n_channels, axis=1)


def reblock(blocks: Iterator[Audio], size: int) -> Iterator[Audio]:
    """Cut a stream into blocks of exactly `size` samples; the last may be shorter."""
    held: list[Audio] = []
    n_held = 0
    for block in blocks:
        held.append(block)
        n_held += len(block)
        if n_held < size:
            continue
        joined = np.concatenate(held)
        whole = n_held - n_held % size
        yield from np.split(joined[:whole], whole // size)
        held, n_held = [joined[whole:]], n_held - whole
    if n_held:
        yield np.concatenate(held)


def aligned(*streams: Iterable[NDArray]) -> Iterator[list[NDArray]]:
    """Cut streams (n_samples, n_channels) of one length at the same places."""
    iterators = [(block for block in stream if len(block)) for stream in streams]
    held = [next(iterator, None) for iterator in iterators]
    while True:
        blocks = [block for block in held if block is not None]
        if len(blocks) < len(held):
            return
        n_samples = min(len(block) for block in blocks)
        yield [block[:n_samples] for block in blocks]
        held = [
            block[n_samples:] if len(block) > n_samples else next(iterator, None)
            for block, iterator in zip(blocks, iterators, strict=True)
        ]
