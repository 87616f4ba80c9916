"""The curve of a training as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from splitstrument.errors import missing_extra


def plot_losses(rows: list[dict[str, Any]], title: str, baselines: dict[str, float], path: Path) -> None:
    """Draw training and validation loss per epoch into a PNG file."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise missing_extra("The loss plot", "train") from None
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    epochs = [row["epoch"] for row in rows]
    for (column, label), colour in zip(
        (("loss", "training"), ("val_loss", "validation")), ("#0b6e99", "#c2410c"), strict=True
    ):
        values = [row[column] for row in rows]
        if any(value is not None for value in values):
            axes.plot(epochs, [float("nan") if v is None else v for v in values], marker=".", color=colour, label=label)
    for (name, value), style in zip(baselines.items(), ("--", ":"), strict=False):
        axes.axhline(value, color="0.4", linestyle=style, linewidth=1, label=f"validation, {name}")
    axes.set(xlabel="epoch", ylabel="loss", title=title)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)
