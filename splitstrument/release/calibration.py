"""Fit the calibration of a model's masks on the sets by which models are chosen, and say what it brings.

    python -m splitstrument.release.mask_statistics runs/band+last --set data/choice_a320u ... -o results/masks
    python -m splitstrument.release.calibration results/masks/*.npz -o results/calibration.yaml

For each instrument the curve that never falls and leaves the least error, in which every stem counts by error / its own
energy and error / the energy of its rest (as `stem_error` does in training). The table has each set scored twice: as
the network answers, and by the curve of all *other* sets, so that no set judges a curve that it helped to fit: medians
of the SI-SDR gained and of the rest's SDR gained, lowest tenth, and the best scale (1: calibrated). An instrument keeps
its curve only where that helps the rest, by the mean of the sets' medians: each set counts alike.

A second table says what `splitstrument.separation.activity.Expectation` is worth on the same stems: rank correlation of
its confidence with the SI-SDR gained, and of the expected SDR with the SDR that the rest gained, and the median of the
expected less the gained.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from splitstrument.files import write_yaml
from splitstrument.release.mask_statistics import N_LEVELS, Terms
from splitstrument.release.stem_validation import decibels
from splitstrument.separation.activity import Expectation
from splitstrument.tables import markdown

N_POINTS = 33
POINTS = np.linspace(0, 1, N_POINTS)
MIDDLES = (np.arange(N_LEVELS) + 0.5) / N_LEVELS
TINY = 1e-20
Values = NDArray[np.float64]
Sets = dict[str, dict[str, list[Terms]]]


def read_terms(paths: list[Path]) -> Sets:
    """Set -> stem -> terms of its songs."""
    sets: Sets = {}
    for path in paths:
        with np.load(path, allow_pickle=False) as file:
            for (_, stem), terms in zip(file["names"], file["terms"], strict=True):
                sets.setdefault(path.stem, {}).setdefault(str(stem), []).append(terms)
    return sets


def fit_curve(songs: list[Terms]) -> Values:
    """Return the curve (N_POINTS,) with the least weighted error; nothing stays nothing."""
    from sklearn.isotonic import IsotonicRegression

    _, inner, mixture = np.sum([terms * _weight(terms) for terms in songs], axis=0)
    fit = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip")
    steps = fit.fit(MIDDLES, inner / (mixture + TINY), sample_weight=mixture + TINY).predict(MIDDLES)
    curve = np.interp(POINTS, MIDDLES, steps)
    curve[0] = 0
    return curve


def _weight(terms: Terms) -> float:
    stem, inner, mixture = terms.sum(axis=1)
    return 1 / (stem + TINY) + 1 / (stem - 2 * inner + mixture + TINY)


def gains_of(terms: Terms, gain: Values) -> tuple[float, float, float]:
    """SI-SDR and SDR of the rest gained over the song, and the instrument's best scale, by the gain of each range."""
    stem, inner, mixture = terms
    found, ours, energy = np.sum(gain * inner), np.sum(gain**2 * mixture), stem.sum()
    error = np.sum(stem - 2 * gain * inner + gain**2 * mixture)
    si_sdr = decibels(found**2, energy * ours - found**2)
    before = decibels(inner.sum() ** 2, energy * mixture.sum() - inner.sum() ** 2)
    return si_sdr - before, decibels(energy, error), found / (ours + TINY)


def judge(sets: Sets, stem: str) -> tuple[list[list[str]], bool]:
    """Rows of the table for one stem, and whether the curves of the other sets help the rest."""
    rows, helped = [], []
    for name, songs in sets.items():
        others = [terms for other, theirs in sets.items() if other != name for terms in theirs.get(stem, [])]
        if not others or stem not in songs:
            continue
        curve = fit_curve(others)
        fitted = np.array([gains_of(terms, np.interp(MIDDLES, POINTS, curve)) for terms in songs[stem]])
        plain = np.array([gains_of(terms, MIDDLES) for terms in songs[stem]])
        helped.append(np.median(fitted[:, 1]) - np.median(plain[:, 1]))
        rows.append([stem, name, str(len(plain)), *_summary(plain), *_summary(fitted)])
    return rows, bool(helped) and np.mean(helped) > 0


def _summary(gains: Values) -> list[str]:
    """Median and lowest tenth of both gains, and the median scale."""
    middle, lowest = np.median(gains, axis=0), np.quantile(gains, 0.1, axis=0)
    return [*(f"{middle[what]:.1f} ({lowest[what]:.1f})" for what in (0, 1)), f"{middle[2]:.2f}"]


def expected_of(terms: Terms) -> tuple[float, float]:
    """Confidence and expected SDR in dB by the masks alone."""
    expectation = Expectation(1)
    expectation.add(*(values.astype(np.float32) for values in (terms[2][None], MIDDLES[None, None])))
    quality = expectation.qualities[0]
    return quality.confidence, quality.sdr_db


def expectation_row(stem: str, songs: list[Terms]) -> list[str]:
    """Rank correlations for the songs of one stem."""
    from scipy.stats import spearmanr

    expected, gained = (
        np.array(values) for values in zip(*((expected_of(t), gains_of(t, MIDDLES)) for t in songs), strict=True)
    )
    ranks = (spearmanr(expected[:, column], gained[:, column])[0] for column in (0, 1))
    return [
        stem,
        str(len(songs)),
        *(f"{rank:.2f}" for rank in ranks),
        f"{np.median(expected[:, 1] - gained[:, 1]):+.1f}",
    ]


def main(arguments: list[str] | None = None) -> None:
    """Fit, judge, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("statistics", type=Path, nargs="+", help="files of mask_statistics")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args(arguments)
    sets = read_terms(options.statistics)
    stems = dict.fromkeys(stem for songs in sets.values() for stem in songs)
    table, curves = [], {}
    for stem in stems:
        rows, helps = judge(sets, stem)
        table += rows
        if helps:
            every = [terms for songs in sets.values() for terms in songs.get(stem, [])]
            curves[stem] = [round(float(value), 4) for value in fit_curve(every)]
    values = ["SI-SDR gained", "rest gained", "best scale"]
    print(markdown(["stem", "set", "songs", *values, *(f"calibrated: {value}" for value in values)], table))
    print(f"\nKept: {', '.join(curves) or 'none'}.")
    by_stem = {stem: [terms for songs in sets.values() for terms in songs.get(stem, [])] for stem in stems}
    by_stem["all"] = [terms for songs in by_stem.values() for terms in songs]
    head = ["stem", "songs", "confidence and SI-SDR gained", "expected and gained", "expected less gained, dB"]
    print(f"\n{markdown(head, [expectation_row(stem, songs) for stem, songs in by_stem.items()])}")
    write_yaml(options.output, curves)


if __name__ == "__main__":
    main()
