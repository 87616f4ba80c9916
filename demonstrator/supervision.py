"""Threads that do not end because a step of theirs failed, and that say how they are."""

from __future__ import annotations

import threading
from collections.abc import Callable

from demonstrator.log import log

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0


class Supervised:
    """A thread that repeats a step, every `every_s` seconds, until `stopping` is set.

    What a step raises is logged; the next try comes after a pause that doubles up to half a minute.

    Attributes
    ----------
    trouble
        Type of what the last step raised; None if it went well.
    """

    def __init__(self, name: str, step: Callable[[], object], stopping: threading.Event, every_s: float = 0.0) -> None:
        self.name, self.step, self.stopping, self.every_s = name, step, stopping, every_s
        self.trouble: str | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def join(self, timeout_s: float) -> None:
        """Wait for the end, which `stopping` brings."""
        if self._thread.ident is not None:
            self._thread.join(timeout_s)

    @property
    def state(self) -> str:
        """``ok``, ``dead``, or what it has trouble with."""
        return (self.trouble or "ok") if self._thread.is_alive() else "dead"

    def _run(self) -> None:
        pause = FIRST_PAUSE_S
        while not self.stopping.is_set():
            try:
                self.step()
                self.trouble, pause = None, FIRST_PAUSE_S
                if self.every_s:
                    self.stopping.wait(self.every_s)
            except Exception as error:
                self.trouble = type(error).__name__
                log("thread_failed", thread=self.name, error=self.trouble, reason=str(error)[:200], pause_s=pause)
                self.stopping.wait(pause)
                pause = min(LONGEST_PAUSE_S, 2 * pause)
