"""Put what `make scores` measured on the cards of the shipped models, and the evaluations themselves beside them.

    python -m splitstrument.release.held_out -o results/scores
    python -m splitstrument.release.card results/scores

Writes the section "Held-out scores" of each card anew, and evaluation_<set>.yaml; the rest of a card is written by
hand.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
from pathlib import Path
from typing import Any

from splitstrument.evaluation.schema import ESTIMATE
from splitstrument.evaluation.statistics import share_of_distance
from splitstrument.files import write_text
from splitstrument.model_folder import find_model
from splitstrument.release.held_out import SYSTEMS
from splitstrument.tables import markdown, number, percent

SETS = {
    "rendered": "rendered, held-out songs and sounds",
    "real": "real: Frets on Fire, four rock and metal songs",
    "sample": "real excerpts that ship",
}
KEPT = ("rendered", "real")  # evaluations with every song; those of the excerpts are in CI
INTRODUCTION = """## Held-out scores

Medians over tracks of the instrument and of the rest, SI-SDR in dB (`make scores`, then `splitstrument.release.card`).
The fixed EQs, one for all channels and one of mid and side, were fitted on the songs of the development corpus; the
masks are ideal ratio masks of the mono average, of each channel, and of mid and side.

"""
THESIS = """
The thesis's {target} model has a median SDR (v3) of {sdr} dB, on other songs (recorded, never published): the
numbers do not compare.
"""
SECTION = re.compile(r"## Held-out scores\n.*?(?=\n## )", re.DOTALL)


def main() -> None:
    """Write the cards of all models that were scored."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scores", type=Path, help="output folder of splitstrument.release.held_out")
    arguments = parser.parse_args()
    measured = json.loads((arguments.scores / "scores.json").read_text())
    for target in dict.fromkeys(row["target"] for row in measured["scores"]):
        folder = find_model(target).path
        mine = {table: [row for row in rows if row["target"] == target] for table, rows in measured.items()}
        card = folder / "card.md"
        written = section(mine).replace("\\", r"\\")
        text, sections = SECTION.subn(written, card.read_text())
        if sections != 1:
            raise SystemExit(f'{card} has no section "Held-out scores" before another one.')
        write_text(card, text)
        for name in KEPT:
            if (record := arguments.scores / target / name / "evaluation.yaml").is_file():
                shutil.copyfile(record, folder / f"evaluation_{name}.yaml")
        print(f"wrote {card}")


def section(measured: dict[str, list[dict[str, Any]]]) -> str:
    """The section of one model."""
    rows = measured["scores"]
    text = INTRODUCTION + markdown(
        ["set", "tracks", "what", "mixture", "fixed EQ", "EQ mid/side", "model", "mask mono", "mask per channel",
         "mask mid/side", "share of EQ to mask", "over mixture, worst to best", "worse than mixture",
         "mixture SDR (v3)", "model SDR (v3)"],
        [_cells(row, prefix) for row in rows for prefix in ("", "rest_")],
    )  # fmt: skip
    text += THESIS.format(target=rows[0]["target"], sdr=rows[0]["thesis_sdr"])
    for row in measured["limits"]:
        text += "\n" + markdown(["limit", "median", "worst", "goal"], _limits(row))
    if measured["precision"]:
        text += "\nAt other precisions, on the held-out songs (the exact engine is the default):\n\n" + markdown(
            ["engine", "SI-SDR against float32, median", "worst song"],
            [
                [row["engine"], number(row["change"], digits=3), number(row["worst"], digits=3)]
                for row in measured["precision"]
            ],
        )
    return text


def _cells(row: dict[str, Any], prefix: str) -> list[str]:
    """One line of the table: the instrument's or, with the prefix ``rest_``, that of the rest."""
    scores = {system: row[f"{prefix}{system}_si_sdr"] for system in SYSTEMS}
    cells = [number(value, digits=1) for value in scores.values()]
    cells[SYSTEMS.index(ESTIMATE)] = f"**{cells[SYSTEMS.index(ESTIMATE)]}**"
    share = percent(share_of_distance(scores[ESTIMATE], scores["eq"], scores["irm"]))
    gains = row[f"{prefix}gain_over_mixture"]
    ends = f"{number(gains[0], digits=1)} to {number(gains[-1], digits=1)}" if gains else "–"
    worse = f"{sum(gain < 0 for gain in gains)} of {len(gains)}"
    sdr = [number(row[f"{prefix}{system}_sdr"], digits=1) for system in ("mixture", ESTIMATE)]
    what = "rest" if prefix else row["target"]
    return [SETS[row["set"]], str(row["tracks"]), what, *cells, share, ends, worse, *sdr]


def _limits(row: dict[str, Any]) -> list[list[str]]:
    solo, absent = (
        [number(row[f"{name}{which}_db"], digits=1) for which in ("", "_worst")] for name in ("solo", "absent")
    )
    silent = "silence" if row["silence_db"] <= -200 else f"{row['silence_db']:.0f} dB"
    return [
        ["the instrument alone, dB of level kept", *solo, "within 1 dB"],
        ["a song without it, dB of the answer against the song", *absent, "below −20 dB"],
        ["digital silence", silent, "", "silence"],
    ]


if __name__ == "__main__":
    main()
