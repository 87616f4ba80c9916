"""Wait for what another process or thread does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

LOOK_EVERY_S = 0.02


def wait_until(condition: Callable[[], bool], timeout_s: float = 300.0) -> None:
    """Return once `condition` holds; fail after `timeout_s`. What must hold meanwhile is asserted in `condition`."""
    deadline, pause = time.monotonic() + timeout_s, threading.Event()
    while not condition():
        assert time.monotonic() < deadline, f"{condition} did not come true in {timeout_s:g} s"
        pause.wait(LOOK_EVERY_S)
