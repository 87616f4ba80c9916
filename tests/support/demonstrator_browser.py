"""What the demonstrator's browser tests do on every page: open a song, and wait until something is so."""

from __future__ import annotations

import contextlib

READY = "#player[data-ready=true]"
WAIT_MS = 60_000


def open_song(page, url: str) -> None:
    """Open the page of a finished song, and wait until its player is ready."""
    page.goto(url)
    page.wait_for_selector(READY)


def until(page, expression: str) -> None:
    """Wait until JavaScript is true; Playwright's own wait is stopped by our content security policy."""
    for _ in range(WAIT_MS // 50):
        with contextlib.suppress(Exception):  # a page on its way to the next one cannot answer
            if page.evaluate(expression):
                return
        page.wait_for_timeout(50)
    raise AssertionError(f"never true: {expression}")
