"""Ctrl-C and termination: inside a block, and as a wish that the training loop grants after the step at hand."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any


@contextlib.contextmanager
def signals_to(handler: Callable[[int, Any], None]) -> Iterator[None]:
    """Let `handler` take SIGINT and SIGTERM inside the block.

    Off the main thread, where signals cannot be caught, nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


class StopSignals:
    """Inside ``with``, the first SIGINT or SIGTERM sets `asked`; the second ends the program at once."""

    def __init__(self) -> None:
        self.asked = False
        self._handled = contextlib.ExitStack()

    def __enter__(self) -> StopSignals:
        self._handled.enter_context(signals_to(self._ask))
        return self

    def _ask(self, number: int, frame: Any) -> None:
        self.asked = True
        signal.signal(number, signal.default_int_handler)

    def __exit__(self, *exception: Any) -> None:
        self._handled.close()
