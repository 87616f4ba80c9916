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

from splitstrument.files import write_text
from splitstrument.model_folder import find_model
from splitstrument.tables import markdown, number

SETS = {
    "rendered": "rendered, held-out songs and sounds",
    "real": "real: Frets on Fire, four rock and metal songs",
    "sample": "real excerpts that ship",
}
KEPT = ("rendered", "real")  # evaluations with every song; those of the excerpts are in CI
INTRODUCTION = """## Held-out scores

Medians of the instrument over tracks, SI-SDR in dB (`make scores`, then `splitstrument.release.card`); the fixed EQ was
fitted on the songs of the development corpus.

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
        ["set", "tracks", "mixture", "fixed EQ", "model", "ideal ratio mask", "share of EQ to mask",
         "gain over mixture, worst to best", "mixture SDR (v3)", "model SDR (v3)"],
        [_cells(row) for row in rows],
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


def _cells(row: dict[str, Any]) -> list[str]:
    scores = [number(row[f"{system}_si_sdr"], digits=1) for system in ("mixture", "eq", "estimate", "irm")]
    scores[2] = f"**{scores[2]}**"
    share = "–" if row["share_from_eq"] is None else f"{100 * row['share_from_eq']:.0f} %"
    gains = row["gain_over_mixture"]
    ends = f"{number(gains[0], digits=1)} to {number(gains[-1], digits=1)}"
    sdr = [number(row[f"{system}_sdr"], digits=1) for system in ("mixture", "estimate")]
    return [SETS[row["set"]], str(row["tracks"]), *scores, share, ends, *sdr]


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
