"""`splitstrument compare`: what differs between runs."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from splitstrument.cli.common import json_option, print_json
from splitstrument.tables import markdown, number

if TYPE_CHECKING:
    from splitstrument.evaluation.compare import Comparison


@click.command()
@click.argument("runs", type=click.Path(path_type=Path), nargs=-1, required=True)
@json_option
def compare(runs: tuple[Path, ...], as_json: bool) -> None:
    """Print in what RUNS differ: settings, versions, tracks, course of training, and scores on the same data.

    RUNS are run folders, or folders of `evaluate` and `score`. What is the same is left out, but for training and
    scores; each later run is compared with the first, track by track.

    \b
    splitstrument compare runs/guitar runs/guitar_wide
    splitstrument compare runs/seed0 runs/seed1 runs/seed2 --json
    splitstrument compare results/guitar/sample results/scores/htdemucs_6s
    """
    from splitstrument.evaluation.compare import compare_runs

    found = compare_runs(runs)
    if as_json:
        print_json(asdict(found))
    else:
        click.echo(text_of(found))


def text_of(found: Comparison) -> str:
    """The tables of a comparison."""
    from splitstrument.evaluation.compare import shown_value

    parts = []
    for name, rows in found.parts.items():
        cells = [[row.name, *map(shown_value, row.values)] for row in rows]
        parts.append(f"{name.capitalize()}\n\n" + markdown(["", *found.runs], cells))
    if "settings" not in found.parts and found.have_settings:
        parts.insert(0, "All settings are the same.\n")
    if found.pairs:
        header = [f"SI-SDR over {found.runs[0]}", "data", "what", "tracks", "median", "better on", "p, corrected"]
        parts.append("Track by track, dB (sign-flip test, corrected after Holm)\n\n" + markdown(header, _rows(found)))
    return "\n".join(parts)


def _rows(found: Comparison) -> list[list[str]]:
    return [
        [
            test["run"],
            test["data"],
            test["source"],
            str(test["n"]),
            number(test["median_difference"], signed=True),
            f"{test['wins']} of {test['n']}",
            "–" if test["p_corrected"] is None else f"{test['p_corrected']:.3g}",
        ]
        for test in found.pairs
    ]
