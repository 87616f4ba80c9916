"""Level, silence and balance of rendered pairs beside real ones: the table and the plots of docs/corpus.md.

python benchmarks/corpus_survey.py real=data/frets_on_fire train=data/corpus/guitar -o docs/images/corpus
"""

from __future__ import annotations

import argparse
from pathlib import Path

from splitstrument.pairs import find_pairs
from splitstrument.stems.rendering import survey


def main() -> None:
    """Measure each NAME=FOLDER of pairs, print a Markdown table, write PNGs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", metavar="NAME=FOLDER", help="folders of instrument/rest pairs")
    parser.add_argument("--limit", type=int, default=40, help="tracks of each folder (default 40)")
    parser.add_argument("-o", "--output", type=Path, help="begin of the PNG names")
    arguments = parser.parse_args()
    folders = dict(item.split("=", 1) for item in arguments.folders)
    pairs = {name: find_pairs(folder)[: arguments.limit] for name, folder in folders.items()}
    groups = {name: [survey.survey_pair(pair) for pair in group] for name, group in pairs.items()}
    columns = {name: survey.summary(group) for name, group in groups.items()}
    print("| median (quartiles) |", " | ".join(columns), "|")
    print("|---" * (len(columns) + 1) + "|")
    for row in next(iter(columns.values())):
        print(f"| {row} |", " | ".join(column[row] for column in columns.values()), "|")
    if arguments.output:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        survey.plot(groups, f"{arguments.output}_survey.png")
        survey.plot_spectrograms({n: group[0] for n, group in pairs.items()}, f"{arguments.output}_spectrograms.png")


if __name__ == "__main__":
    main()
