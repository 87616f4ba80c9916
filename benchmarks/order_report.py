"""Table and curves of `benchmarks/order_experiment.py`: which arms ended on pass-through, in weights or in statistics.

    python benchmarks/order_report.py results/order --plot docs/images/order.png

A run counts as passed through if its mean mask on the held-out songs, weighted by the mixture, is over 0.9.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from splitstrument.tables import markdown_table

PASSED = 0.9
ARMS = {"pure_last": "pure last", "pure_first": "pure first", "shuffled": "shuffled"}
STATISTICS = ("moving statistics", "re-estimated statistics")
HEADER = (
    "order",
    "limit",
    "batch normalisation",
    "passed through",
    "mean mask, each seed",
    "rest SDR median (dB)",
    "each seed",
    "instrument SDR median (dB)",
    "each seed",
    "instrument uSDR median (dB)",
)


def main() -> None:
    """Print the table and draw the plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--plot", type=Path)
    arguments = parser.parse_args()
    records = [json.loads(path.read_text()) for path in sorted(arguments.folder.glob("*.json"))]
    print(markdown_table(HEADER, rows(records)))
    print()
    print(facts(records))
    if arguments.plot:
        draw(records, arguments.plot)


def rows(records: list[dict[str, Any]]) -> list[list[Any]]:
    """One row per arm, limit and kind of statistics."""
    table = []
    for arm, name in ARMS.items():
        for limit in sorted({record["limit"] for record in records}):
            runs = sorted((r for r in records if (r["arm"], r["limit"]) == (arm, limit)), key=lambda r: r["seed"])
            table += [_row(name, limit, kind, [run["scores"][kind] for run in runs]) for kind in STATISTICS if runs]
    return table


def _row(name: str, limit: int, kind: str, scores: list[dict[str, Any]]) -> list[Any]:
    masks = [score["mean_mask"] for score in scores]
    rest, instrument, usdr = (
        [score["median"][key] for score in scores] for key in ("rest_sdr", "instrument_sdr", "instrument_usdr")
    )
    passed = f"{sum(mask > PASSED for mask in masks)} of {len(masks)}"
    return [
        name,
        limit,
        kind.partition(" ")[0],
        passed,
        _list(masks, 2),
        f"{np.median(rest):.1f}",
        _list(rest, 1),
        f"{np.median(instrument):.1f}",
        _list(instrument, 1),
        f"{np.median(usdr):.1f}",
    ]


def _list(values: list[float], digits: int) -> str:
    return ", ".join(f"{value:.{digits}f}" for value in values)


def facts(records: list[dict[str, Any]]) -> str:
    """Steps, pure batches in a row and time of the runs."""
    return "\n".join(_fact(record) for record in records)


def _fact(record: dict[str, Any]) -> str:
    run = f"{record['arm']}, limit {record['limit']}, seed {record['seed']}"
    steps = f"{record['steps']} steps in epochs of {record['steps_per_epoch']}"
    pure = f"{record['longest_pure_run']} pure batches in a row, {record['pure_share']:.0%} pure"
    return f"{run}: {record['tracks']} training tracks, {steps}, {pure}, {record['cpu_seconds']:.0f} s of CPU"


def draw(records: list[dict[str, Any]], path: Path) -> None:
    """Mean mask and loss on mixtures of validation tracks, through training, with either statistics."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, len(ARMS), figsize=(13, 6.5), sharex=True, sharey="row", layout="constrained")
    for column, (arm, name) in enumerate(ARMS.items()):
        for record in (r for r in records if r["arm"] == arm):
            _draw_run(axes[:, column], record)
        axes[0, column].set_title(f"{name} ({sum(r['arm'] == arm for r in records)} runs)")
        axes[1, column].set_xlabel("step")
    axes[0, 0].set_ylabel("mean mask on mixtures")
    axes[1, 0].set_ylabel("L1 loss on mixtures, mask of 1 = 1")
    axes[1, 0].set_yscale("log")
    for axis in axes[0]:
        axis.axhline(1, color="0.7", linewidth=0.8)
        axis.set_ylim(0, 1.05)
    for axis in axes[1]:
        axis.axhline(1, color="0.7", linewidth=0.8)
        axis.grid(alpha=0.2, which="both")
    handles = [plt.Line2D([], [], color=color, linestyle=style) for _, color, style in LINES]
    figure.legend(handles, [label for label, _, _ in LINES], loc="outside lower center", ncols=len(LINES))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


LINES = (
    ("moving statistics, as the network would be used", "tab:red", "-"),
    ("statistics of the probe itself: what the weights can do", "tab:blue", "--"),
)


def _draw_run(axes: Any, record: dict[str, Any]) -> None:
    steps = [probe["step"] for probe in record["probes"]]
    for key, (_, color, style) in zip(("moving", "own"), LINES, strict=True):
        for axis, measure in zip(axes, ("mean_mask", "loss"), strict=True):
            values = [probe[key][measure] for probe in record["probes"]]
            axis.plot(steps, values, color=color, linestyle=style, linewidth=1, alpha=0.7)
    for axis in axes:
        for epoch in range(1, record["steps"] // record["steps_per_epoch"] + 1):
            axis.axvline(epoch * record["steps_per_epoch"], color="0.85", linewidth=0.6, zorder=0)


if __name__ == "__main__":
    main()
