"""The histograms of Appendix A as a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from splitstrument.errors import missing_extra
from splitstrument.files import atomic_path


def plot_histograms(before: list[int], after: list[int], path: str | Path) -> None:
    """Draw the numbers of tracks per tenth of silent share, before and after, as bars side by side."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise missing_extra("A plot", "train") from None
    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axes = figure.add_subplot()
    position = np.arange(len(before))
    for offset, counts, label, colour in ((-0.2, before, "before", "#888888"), (0.2, after, "after", "#1b6ca8")):
        axes.bar_label(axes.bar(position + offset, counts, 0.4, label=label, color=colour), fontsize=7)
    axes.set_xticks(position, [f"< {10 * bucket + 10} %" for bucket in position], fontsize=8)
    axes.set_xlabel("silent share of the instrument")
    axes.set_ylabel("tracks")
    axes.locator_params(axis="y", integer=True)
    axes.legend()
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=130)
