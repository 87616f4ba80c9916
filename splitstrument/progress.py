"""Progress with time left, on the terminal's error stream; plain lines where there is no terminal."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

Advance = Callable[..., None]
PLAIN_INTERVAL_S = 10.0


@contextlib.contextmanager
def progress(description: str, total: float | None, unit: str = "", quiet: bool = False) -> Iterator[Advance]:
    """Show progress of one piece of work.

    Yields a function ``advance(amount=1, note="")``. On a terminal this is a bar with time left; elsewhere (a log
    file, CI) one line at most every ten seconds, and nothing at all for work that ends before.
    """
    if quiet:
        yield lambda amount=1, note="": None
    elif sys.stderr.isatty():
        with _bar(description, total, unit) as advance:
            yield advance
    else:
        yield _plain(description, total, unit)


@contextlib.contextmanager
def _bar(description: str, total: float | None, unit: str) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),  # names of tracks are no markup
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %" if total else "{task.completed:g} " + unit),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True), transient=False) as bar:
        task = bar.add_task(description, total=total, note="")
        yield lambda amount=1, note="": bar.update(task, advance=amount, note=note)


def _plain(description: str, total: float | None, unit: str) -> Advance:
    started = last = time.monotonic()
    done = 0.0

    def advance(amount: float = 1, note: str = "") -> None:
        nonlocal done, last
        done += amount
        now = time.monotonic()
        if now - last < PLAIN_INTERVAL_S:
            return
        last = now
        left = f", {(now - started) * (total - done) / done:.0f} s left" if total and done else ""
        of = f"{100 * done / total:.0f} %" if total else f"{done:g} {unit}"
        print(f"{description}: {of}{left} {note}".rstrip(), file=sys.stderr, flush=True)

    return advance
