"""Options and output shared by the commands."""

from __future__ import annotations

import contextlib
import json
import math
import re
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click

json_option = click.option("--json", "as_json", is_flag=True, help="Print machine-readable JSON.")
quiet_option = click.option("--quiet", is_flag=True, help="Show no progress.")
dry_run_option = click.option("--dry-run", is_flag=True, help="Say what would be done and do nothing.")
jobs_option = click.option(
    "--jobs", type=click.IntRange(min=0), default=1, show_default=True, help="Worker processes; 0 is one per core."
)
scheduler_option = click.option(
    "--scheduler", metavar="ADDRESS", help="Send the work to this dask.distributed scheduler (extra: cluster)."
)


def options(*decorators: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Apply several option decorators in the order given."""

    def apply(function: Any) -> Any:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return apply


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """Let a termination signal end the work as Ctrl-C does, so that it, too, leaves nothing half-written."""

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:  # not in the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class FiniteRange(click.FloatRange):
    """A number within limits that is neither infinite nor NaN, which `click.FloatRange` lets through."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Convert as `click.FloatRange` does, then refuse what is not finite."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is no finite number.", param, ctx)
        return number


class Seconds(FiniteRange):
    """A time in seconds, also as ``minutes:seconds`` or ``hours:minutes:seconds``."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Convert ``90``, ``1:30`` or ``0:01:30.0`` to 90.0."""
        parts = str(value).split(":")
        if len(parts) == 1:
            return super().convert(value, param, ctx)
        numbers = [part.strip() for part in parts]
        whole = all(number.isascii() and number.isdigit() for number in numbers[:-1])
        last = re.fullmatch(r"\d{1,2}(\.\d*)?", numbers[-1], re.ASCII)
        if not (whole and last and len(parts) <= 3 and all(float(number) < 60 for number in numbers[1:])):
            self.fail(f"{value!r} is no time: write 90, 1:30 or 0:01:30.", param, ctx)
        return super().convert(sum(float(n) * 60**power for power, n in enumerate(reversed(numbers))), param, ctx)


class PicturePath(click.Path):
    """Path of a picture to write, whose suffix is known before any work is done for it."""

    suffixes = (".png", ".svg", ".pdf")

    def __init__(self) -> None:
        super().__init__(dir_okay=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Convert as `click.Path` does, then refuse what no picture is named."""
        path = Path(str(super().convert(value, param, ctx)))
        if path.suffix.lower() not in self.suffixes:
            self.fail(f"{str(path)!r} names no picture: end it in {' or '.join(self.suffixes)}.", param, ctx)
        return path


def print_json(data: Any) -> None:
    """Print JSON to standard output, escaped where that is not UTF-8; values that JSON lacks (NaN) become null."""
    plain = not (getattr(sys.stdout, "encoding", None) or "utf-8").lower().startswith("utf")
    click.echo(json.dumps(_finite(data), indent=2, ensure_ascii=plain, default=str))


def print_table(header: Sequence[str], rows: Sequence[Sequence[Any]], title: str | None = None) -> None:
    """Print an aligned table; numbers to the right, and names as they are, also where they look like rich's markup."""
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title and Text(title, style="table.title"), box=SIMPLE, title_justify="left")
    for index, name in enumerate(header):
        numeric = bool(rows) and all(isinstance(row[index], int | float | None) for row in rows)
        table.add_column(Text(name), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(_cell(value)) for value in row))
    Console(width=None if _is_terminal() else 160).print(table)


def _is_terminal() -> bool:
    return sys.stdout.isatty()


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def _finite(data: Any) -> Any:
    if isinstance(data, dict):
        return {str(key): _finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_finite(value) for value in data]
    if isinstance(data, float) and not (abs(data) < float("inf")):
        return None
    return data
