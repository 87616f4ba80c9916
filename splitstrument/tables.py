"""Text tables: numbers and aligned Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any


def number(value: float | None, signed: bool = False, digits: int = 2) -> str:
    """A value for a table; an undefined one is a dash."""
    if value is None:
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return f"{value:{'+' if signed else ''}.{digits}f}".replace("-", "−")


def percent(share: float | None) -> str:
    """A share for a table."""
    return "–" if share is None else f"{100 * share:.0f} %".replace("-", "−")


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """An aligned Markdown table; all columns but the first to the right."""
    rows = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    line = lambda cells: "| " + " | ".join(_pad(*pair) for pair in zip(cells, widths, range(99))) + " |"  # noqa: E731, B905
    rule = "|" + "|".join("-" * (width + 1) + ("-" if i == 0 else ":") for i, width in enumerate(widths)) + "|"
    return "\n".join([line(header), rule, *map(line, rows)]) + "\n"


def _pad(cell: str, width: int, column: int) -> str:
    return cell.ljust(width) if column == 0 else cell.rjust(width)


def markdown_table(header: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(list(header))]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows])
