"""Text tables: numbers, aligned Markdown, and cells that spreadsheets do not run."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")  # OWASP: CSV injection


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


def markdown(header: Sequence[str], rows: Iterable[Iterable[Any]]) -> str:
    """Return an aligned Markdown table that ends in a line break; all columns but the first go to the right."""
    cells = [[str(cell).replace("|", "\\|") for cell in row] for row in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    first, *others = ((row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])) for row in cells)
    rule = "|".join("-" * (width + 1) + ("-" if column == 0 else ":") for column, width in enumerate(widths))
    lines = [f"| {' | '.join(row)} |" for row in (first, *others)]
    return "\n".join([lines[0], f"|{rule}|", *lines[1:]]) + "\n"


def csv_cell(value: Any) -> Any:
    """A value for a CSV file: a text that a spreadsheet would run as a formula gets a quotation mark before it."""
    if isinstance(value, str) and value.lstrip(" ").startswith(FORMULA_STARTS) and not _is_number(value):
        return f"'{value}"
    return value


def csv_text_of(cell: Any) -> Any:
    """The value that `csv_cell` made a cell of."""
    return cell[1:] if isinstance(cell, str) and cell[:1] == "'" and csv_cell(cell[1:]) == cell else cell


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
