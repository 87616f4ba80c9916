"""Charts as inline SVG: small, sharp in print, readable without scripts, coloured by the page's style sheet.

Each function returns one ``<svg>`` element with a title for screen readers. Text takes the page's colour.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape

import numpy as np

WIDTH = 720
TICKS = 6


def box_plot(groups: Sequence[tuple[str, Sequence[float | None]]], title: str, unit: str = "dB") -> str:
    """Horizontal boxes (quartiles, median; whiskers to the extremes) with a point per track."""
    rows = [(label, finite) for label, values in groups if len(finite := _finite(values))]
    if not rows:
        return ""
    left, row, top = 250, 34, 10
    low, high = _range(np.concatenate([values for _, values in rows]))
    x = _scale(low, high, left, WIDTH - 20)
    bottom = top + row * len(rows)
    parts = _x_axis(low, high, x, top, bottom, unit)
    for index, (label, values) in enumerate(rows):
        y = top + row * (index + 0.5)
        q1, median, q3 = np.quantile(values, [0.25, 0.5, 0.75])
        parts += [
            _text(left - 10, y + 4, label, "end"),
            _line(x(values.min()), y, x(values.max()), y, "whisker"),
            f'<rect class="box" x="{x(q1):.1f}" y="{y - 9:.1f}" width="{max(1, x(q3) - x(q1)):.1f}" height="18"/>',
            _line(x(median), y - 10, x(median), y + 10, "median"),
        ]
        jitter = np.random.default_rng(index).uniform(-6, 6, len(values))
        parts += [
            f'<circle class="dot" cx="{x(v):.1f}" cy="{y + j:.1f}" r="2"/>' for v, j in zip(values, jitter, strict=True)
        ]
    return _svg(parts, WIDTH, bottom + 40, title)


def scatter(points: Sequence[tuple[float, float, str]], title: str, x_label: str, y_label: str) -> str:
    """A point per track, with the line on which y equals x."""
    points = [point for point in points if math.isfinite(point[0]) and math.isfinite(point[1])]
    if not points:
        return ""
    height, left, top = 420, 70, 10
    low, high = _range(np.array([value for point in points for value in point[:2]]))
    x, y = _scale(low, high, left, WIDTH - 200), _scale(low, high, height - 50, top)
    parts = _x_axis(low, high, x, top, height - 50, x_label) + _y_axis(low, high, y, left, WIDTH - 200, y_label)
    parts.append(_line(x(low), y(low), x(high), y(high), "diagonal"))
    for a, b, label in points:
        name = escape(f"{label}: {a:.1f} to {b:.1f} dB")
        parts.append(f'<circle class="point" cx="{x(a):.1f}" cy="{y(b):.1f}" r="5"><title>{name}</title></circle>')
    return _svg(parts, WIDTH, height, title)


def line_chart(
    series: Sequence[tuple[str, Sequence[tuple[float, float]]]], title: str, x_label: str, y_label: str
) -> str:
    """Curves over a common x; the legend names them."""
    series = [(name, [p for p in points if math.isfinite(p[1])]) for name, points in series]
    series = [(name, points) for name, points in series if points]
    if not series:
        return ""
    height, left, top, right = 320, 80, 10, WIDTH - 190
    everything = np.array([point for _, points in series for point in points], float)
    x_low, x_high = _range(everything[:, 0], 0)
    y_low, y_high = _range(everything[:, 1])
    x, y = _scale(x_low, x_high, left, right), _scale(y_low, y_high, height - 50, top)
    parts = _x_axis(x_low, x_high, x, top, height - 50, x_label) + _y_axis(y_low, y_high, y, left, right, y_label)
    for index, (name, points) in enumerate(series):
        path = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in points)
        parts.append(f'<polyline class="curve c{index % 6}" points="{path}"/>')
        parts += [f'<circle class="fill c{index % 6}" cx="{x(a):.1f}" cy="{y(b):.1f}" r="2.5"/>' for a, b in points]
        row = top + 14 + 20 * index
        parts += [_line(right + 12, row - 4, right + 32, row - 4, f"curve c{index % 6}"), _text(right + 38, row, name)]
    return _svg(parts, WIDTH, height, title)


def bar_chart(counts: Sequence[int], labels: Sequence[str], title: str, x_label: str) -> str:
    """Upright bars with their counts written above."""
    height, left, top = 220, 40, 24
    most = max([1, *counts])
    width = (WIDTH - 2 * left) / len(counts)
    parts = []
    for index, (count, label) in enumerate(zip(counts, labels, strict=True)):
        tall = (height - 70) * count / most
        x, y = left + width * index, height - 46 - tall
        parts += [
            f'<rect class="bar" x="{x + 4:.1f}" y="{y:.1f}" width="{width - 8:.1f}" height="{tall:.1f}"/>',
            _text(x + width / 2, y - 5, str(count), "middle"),
            _text(x + width / 2, height - 30, label, "middle"),
        ]
    parts += [
        _line(left, height - 46, WIDTH - left, height - 46, "axis"),
        _text(WIDTH / 2, height - 8, x_label, "middle"),
    ]
    return _svg([*parts, _line(left, top, left, top, "axis")], WIDTH, height, title)


def _svg(parts: Sequence[str], width: float, height: float, title: str) -> str:
    return (
        f'<svg class="chart" role="img" aria-label="{escape(title)}" viewBox="0 0 {width:.0f} {height:.0f}">'
        f"<title>{escape(title)}</title>{''.join(parts)}</svg>"
    )


def _x_axis(low: float, high: float, x: Callable, top: float, bottom: float, label: str) -> list[str]:
    parts = [_line(x(low), bottom, x(high), bottom, "axis")]
    for tick in _ticks(low, high):
        parts += [_line(x(tick), top, x(tick), bottom, "grid"), _text(x(tick), bottom + 16, _number(tick), "middle")]
    return [*parts, _text((x(low) + x(high)) / 2, bottom + 34, label, "middle")]


def _y_axis(low: float, high: float, y: Callable, left: float, right: float, label: str) -> list[str]:
    parts = [_line(left, y(low), left, y(high), "axis")]
    for tick in _ticks(low, high):
        parts += [_line(left, y(tick), right, y(tick), "grid"), _text(left - 8, y(tick) + 4, _number(tick), "end")]
    middle = (y(low) + y(high)) / 2
    turn = f'text-anchor="middle" transform="rotate(-90 16 {middle:.1f})"'
    turned = f'<text x="16" y="{middle:.1f}" {turn}>{escape(label)}</text>'
    return [*parts, turned]


def _ticks(low: float, high: float) -> list[float]:
    """Round values inside [low, high]."""
    step = 10 ** math.floor(math.log10((high - low) / TICKS))
    step *= next((factor for factor in (1, 2, 5, 10) if (high - low) / (step * factor) <= TICKS), 10)
    first = math.ceil(low / step)
    return [step * index for index in range(first, math.floor(high / step) + 1)]


def _range(values: np.ndarray, margin: float = 0.06) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    extra = (high - low) * margin if high > low else 0.5
    return low - extra, high + extra


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    return lambda value: start + (value - low) / (high - low) * (end - start)


def _finite(values: Sequence[float | None]) -> np.ndarray:
    return np.array([value for value in values if value is not None and math.isfinite(value)], float)


def _number(value: float) -> str:
    return f"{round(value, 10):g}".replace("-", "−")


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'
