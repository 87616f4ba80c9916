"""Ctrl-C and termination as a wish that the training loop grants after the step at hand."""

from __future__ import annotations

import signal
import threading
from typing import Any


class StopSignals:
    """Inside ``with``, the first SIGINT or SIGTERM sets `asked`; the second ends the program at once.

    Off the main thread, where signals cannot be caught, nothing is changed.
    """

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._ask) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def _ask(self, number: int, frame: Any) -> None:
        self.asked = True
        signal.signal(number, signal.default_int_handler)

    def __exit__(self, *exception: Any) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
