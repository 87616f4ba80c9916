"""How well swapped names are found: stems of held-out banks, some of them called something else.

    python -m splitstrument.curation.checks.swaps data/score_sonivox --parts data/recognise/parts_sonivox

Lists all stems by how much they sound like something else than their name, as `splitstrument dataset check` does, and
counts how many of those that were swapped are among the first. Prints Markdown.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from splitstrument.curation.checks.settings import DEFAULTS
from splitstrument.recognition.classes import classes_of_name
from splitstrument.recognition.content import disagreement
from splitstrument.recognition.learning.pool import LISTING
from splitstrument.recognition.listen import recognise_file
from splitstrument.recognition.timeline import Timeline
from splitstrument.settings import read_yaml
from splitstrument.stem_set import read_set

SWAPS, LISTED, DRAWS = 20, 25, 20
REPORTED = DEFAULTS.mislabelled_score
NAMES = ("guitar", "piano", "bass", "drums", "voice")


@dataclass(frozen=True)
class Named:
    """A stem, what it is called, and what the recogniser heard in it."""

    path: Path
    name: str
    timeline: Timeline
    swapped: bool = False

    @property
    def score(self) -> float:
        """How much it sounds like something else; -1 where nothing was heard."""
        found = disagreement(self.timeline, self.name)
        return -1.0 if found is None else found.score


def main() -> None:
    """Plant swaps and count those that are found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="+", type=Path, help="stem sets of banks that no training had")
    parser.add_argument("--parts", nargs="*", type=Path, default=[], help="folders of solo parts")
    parser.add_argument("--seed", type=int, default=24)
    parser.add_argument("--list", action="store_true", help="print the list of the first draw")
    options = parser.parse_args()
    stems = [*stems_of(options.sets), *parts_of(options.parts)]
    rng = np.random.default_rng(options.seed)
    draws = [planted(stems, rng) for _ in range(DRAWS)]
    found = [sum(stem.swapped for stem in ranked(draw)[:LISTED]) for draw in draws]
    over = [[stem.swapped for stem in draw if stem.score >= REPORTED] for draw in draws]
    print(f"{len(stems)} stems, {SWAPS} swapped, {DRAWS} draws of the swaps.\n")
    print("| | mean | worst | best |\n|---|---|---|---|")
    print(f"| swaps among the first {LISTED} | {np.mean(found):.1f} | {min(found)} | {max(found)} |")
    recall, precision = [sum(one) / SWAPS for one in over], [sum(one) / max(1, len(one)) for one in over]
    for title, values in ((f"recall at {REPORTED:g}", recall), (f"precision at {REPORTED:g}", precision)):
        print(f"| {title} | {np.mean(values):.2f} | {min(values):.2f} | {max(values):.2f} |")
    untouched = sorted(stems, key=lambda stem: -stem.score)
    print(f"\nUntouched: {sum(stem.score >= REPORTED for stem in stems)} of {len(stems)} are reported.")
    for stem in ranked(draws[0])[:LISTED] if options.list else untouched[:5]:
        other = disagreement(stem.timeline, stem.name)
        print(f"- {stem.path.name}{' (swapped)' if stem.swapped else ''}: {other.message if other else 'nothing'}")


def stems_of(sets: list[Path]) -> Iterator[Named]:
    """Stems of sets whose names are classes."""
    for root in sets:
        stems = read_set(root)
        for track in stems.tracks.values():
            for stem in track.stems:
                if stem != "other" and stem in track.known:
                    yield Named(stems.path(track, stem), stem, recognise_file(stems.path(track, stem)))


def parts_of(folders: list[Path]) -> Iterator[Named]:
    """Solo parts whose class is a name."""
    for folder in folders:
        for name, entry in read_yaml(folder / LISTING)["parts"].items():
            if classes_of_name(entry["class"]):
                yield Named(folder / f"{name}.flac", entry["class"], recognise_file(folder / f"{name}.flac"))


def planted(stems: list[Named], rng: np.random.Generator) -> list[Named]:
    """The same stems, `SWAPS` of them called by the name of another class."""
    chosen = set(rng.choice(len(stems), SWAPS, replace=False).tolist())
    names = [name for name in NAMES if any(stem.name == name for stem in stems)]
    return [
        replace(stem, name=str(rng.choice([name for name in names if name != stem.name])), swapped=True)
        if index in chosen
        else stem
        for index, stem in enumerate(stems)
    ]


def ranked(stems: list[Named]) -> list[Named]:
    """Stems by their scores, highest first."""
    return sorted(stems, key=lambda stem: -stem.score)


if __name__ == "__main__":
    main()
