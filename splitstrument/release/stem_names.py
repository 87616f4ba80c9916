"""Train the stem-name classifier and test it on names it has not seen.

    python -m splitstrument.release.stem_names FOLDER [--write] [--json FILE]

FOLDER holds the thesis's lists of classified stems, tracks-rockband.yaml and tracks-cambridge.yaml (8,016 names). The
test trains on one list and tests on the other, both ways; `--write` trains on both and writes the weights that ship.
"""

from __future__ import annotations

import argparse
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from sklearn.feature_extraction import DictVectorizer
from sklearn.linear_model import LogisticRegression

from splitstrument.datasets import names

SOURCES = ("rockband", "cambridge")
PLAIN = {"guitar": r"g(ui)?ta?r", "piano": r"piano|pno|keys"}
REGULARISATION = 10.0
SMALLEST_WEIGHT = 0.02

Track = list[tuple[str, str]]  # (file name, class) of each stem


def read_tracks(path: Path) -> list[Track]:
    """Tracks of one list; classes are guitar, piano or rest."""
    data = yaml.load(path.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return [
        [
            (name, stem["instrument"] if stem["instrument"] in names.LEARNED else names.REST)
            for name, stem in track.items()
        ]
        for track in (entry["stems"] for entry in data)
    ]


def train(tracks: list[Track]) -> dict:
    """Fit on all stems; a name that occurs n times weighs as much as sqrt(n) single ones."""
    stems = [(name, label) for track in tracks for name, label in track]
    counts = Counter((names.letters_of(name), label) for name, label in stems)
    weights = [counts[names.letters_of(name), label] ** -0.5 for name, label in stems]
    vectorizer = DictVectorizer()
    texts = [names.letters_of(name) for name, _ in stems]
    matrix = vectorizer.fit_transform([names.features(text, names.kinds_of(text)) for text in texts])
    model = LogisticRegression(C=REGULARISATION, max_iter=5000, tol=1e-6)
    model.fit(matrix, [names.LEARNED.index(label) for _, label in stems], sample_weight=weights)
    kept = {
        name: [round(float(value), 3) for value in column]
        for name, column in zip(vectorizer.feature_names_, model.coef_.T, strict=True)
        if np.abs(column).max() >= SMALLEST_WEIGHT
    }
    return {"bias": [round(float(value), 3) for value in model.intercept_], "features": dict(sorted(kept.items()))}


def predict(tracks: list[Track], weights: dict) -> list[str]:
    """Classes of all stems of all tracks, by the given weights."""
    names.read_weights = lambda: weights  # type: ignore[assignment]
    guesses = [guess.stem_class for track in tracks for guess in names.classify([name for name, _ in track])]
    return [guess if guess in names.LEARNED else names.REST for guess in guesses]


def f1(truth: list[str], guesses: list[str], label: str) -> float:
    """F1 of one class."""
    pairs = [(a == label, b == label) for a, b in zip(truth, guesses, strict=True)]
    hits = sum(a and b for a, b in pairs)
    return 2 * hits / max(1, 2 * hits + sum(a != b for a, b in pairs))


def without_words(tracks: list[Track], guesses: list[str], label: str) -> tuple[int, int]:
    """Stems of a class whose names hold none of its plain words: found, and all."""
    stems = [name for track in tracks for name, _ in track]
    truth = [stem_label for track in tracks for _, stem_label in track]
    rows = [
        guess == label
        for name, true, guess in zip(stems, truth, guesses, strict=True)
        if true == label and not re.search(PLAIN[label].removesuffix("|keys"), name.casefold())
    ]
    return sum(rows), len(rows)


def score(tracks: list[Track], guesses: list[str]) -> dict:
    """F1 of guitar and piano, their mean, and the recall where no word says so."""
    truth = [label for track in tracks for _, label in track]
    result: dict[str, Any] = {label: round(f1(truth, guesses, label), 4) for label in ("guitar", "piano")}
    result["macro"] = round((result["guitar"] + result["piano"]) / 2, 4)
    result["without words"] = {label: without_words(tracks, guesses, label) for label in ("guitar", "piano")}
    return {"names": len(truth), **result}


def plain_guess(name: str) -> str:
    """Return the guess of a plain regular expression."""
    return next((label for label, pattern in PLAIN.items() if re.search(pattern, name.casefold())), names.REST)


def main() -> None:
    """Train, test, print; write the weights if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--write", action="store_true", help="train on both lists and write the weights that ship")
    parser.add_argument("--json", type=Path, help="write the table as JSON")
    arguments = parser.parse_args()
    tracks = {source: read_tracks(arguments.folder / f"tracks-{source}.yaml") for source in SOURCES}
    table, all_tracks, all_guesses = {}, [], []
    for test, other in zip(SOURCES, reversed(SOURCES), strict=True):
        guesses = predict(tracks[test], train(tracks[other]))
        table[f"trained on {other}, tested on {test}"] = score(tracks[test], guesses)
        all_tracks += tracks[test]
        all_guesses += guesses
    table["both tests together"] = score(all_tracks, all_guesses)
    plain = [plain_guess(name) for track in all_tracks for name, _ in track]
    table["plain regular expression, both lists"] = score(all_tracks, plain)
    for title, row in table.items():
        print(title, json.dumps(row))
    if arguments.json:
        arguments.json.write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")
    if arguments.write:
        weights = train(all_tracks)
        names.WEIGHTS_FILE.write_text(
            json.dumps(weights, separators=(",", ":"), ensure_ascii=False) + "\n", encoding="utf-8"
        )
        print(f"wrote {names.WEIGHTS_FILE}: {len(weights['features'])} features")


if __name__ == "__main__":
    main()
