"""The same estimates under every measure, on excerpts of real pairs: how the numbers of different papers relate.

    python -m splitstrument.reproduction.rosetta data/frets_on_fire --seconds 90

Prints medians over the tracks for the instrument: trivial estimates, oracle masks, and one oracle mask spoiled in ways
that separate nothing better or worse (half the level, a constant delay, a filter), so that each measure shows what it
forgives. Then BSS Eval v4 once more with white noise 60 dB under the references.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np

from splitstrument import audio
from splitstrument.evaluation.metrics.registry import metrics
from splitstrument.evaluation.metrics.score import score_pair
from splitstrument.evaluation.report.rosetta import ROSETTA_MEASURES, field_table
from splitstrument.evaluation.statistics import summarise
from splitstrument.evaluation.systems import DESCRIPTIONS, EqFit, estimates_of
from splitstrument.pairs import find_pairs
from splitstrument.tables import markdown, number

RATE, N_FFT = 22050, 1536
ESTIMATES = ("mixture", "eq", "ibm", "irm", "wiener", "mpo")
SPOILED: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "ratio mask at half level": lambda e: 0.5 * e,
    "ratio mask, 100 samples late": lambda e: np.roll(e, 100, axis=1),
    "ratio mask, low-passed (mean of 3)": lambda e: (np.roll(e, -1, axis=1) + e + np.roll(e, 1, axis=1)) / 3,
}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", type=Path, help="folder of instrument/rest pairs")
    parser.add_argument("--seconds", type=float, default=90.0, help="length of the excerpts, from 20 s on")
    parser.add_argument("--source", choices=["instrument", "rest"], default="instrument")
    options = parser.parse_args()
    tracks = {pair.name: load(pair, options.seconds) for pair in find_pairs(options.pairs, RATE)}
    scores = {name: score_all(name, tracks) for name in tracks}
    print(f"{options.source}, medians over {len(tracks)} excerpts of {options.seconds:g} s, dB\n")
    print_medians(scores, options.source, ROSETTA_MEASURES)
    rng = np.random.default_rng(0)
    noisy = {name: references + noise_under(references, rng) for name, references in tracks.items()}
    print("\nThe same with white noise 60 dB under the references\n")
    print_medians({name: score_all(name, noisy) for name in noisy}, options.source, ("sdr_v4", "sir_v4", "sar_v4"))
    table = field_table()
    print(f"\n{table.caption}\n\n{markdown(table.header, table.rows)}")


def load(pair, seconds: float) -> np.ndarray:
    """(2, n_samples, 1)."""
    n_samples, start = round(seconds * RATE), 20 * RATE
    sources = (audio.read(path, start=start, n_samples=n_samples)[0] for path in (pair.instrument, pair.rest))
    return np.stack([source.mean(axis=1, keepdims=True) for source in sources])


def score_all(name: str, tracks: dict[str, np.ndarray]) -> dict[str, dict]:
    """Scores of every estimate of one track; its EQ is fitted on the other tracks."""
    fit, references = EqFit(RATE, N_FFT), tracks[name]
    for other, signals in tracks.items():
        fit.add(other, iter([signals]))
    made = {
        DESCRIPTIONS[kind]: np.concatenate(
            list(estimates_of(kind, iter([references]), RATE, N_FFT, fit.eq(without=name))), axis=1
        )
        for kind in ESTIMATES
    }
    made["mixture at half level"] = 0.5 * made[DESCRIPTIONS["mixture"]]
    made |= {text: spoil(made[DESCRIPTIONS["irm"]]) for text, spoil in SPOILED.items()}
    return {text: score_pair(references, estimate, RATE) for text, estimate in made.items()}


def noise_under(references: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """White noise 60 dB below each source."""
    level = np.sqrt(np.mean(references.astype(np.float64) ** 2, axis=(1, 2), keepdims=True))
    return (1e-3 * level * rng.standard_normal(references.shape)).astype(np.float32)


def print_medians(scores: dict[str, dict], source: str, measures: tuple[str, ...]) -> None:
    """A row per estimate."""
    estimates = next(iter(scores.values()))
    rows = [
        [text, *(number(summarise([track[text][source][m] for track in scores.values()])["median"]) for m in measures)]
        for text in estimates
    ]
    print(markdown(["", *(metrics()[measure].label for measure in measures)], rows))


if __name__ == "__main__":
    main()
