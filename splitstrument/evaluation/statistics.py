"""Statistics over tracks: what a median is worth, and whether two models differ.

Undefined values (None) are counted and left out, never treated as zeros. Every random draw is seeded.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95
N_RESAMPLES = 4000
N_EXACT = 14  # up to so many pairs, all 2^n sign flips are tried
SEED = 20210611

Values = Sequence[float | None]


def defined(values: Values) -> NDArray[np.float64]:
    """The values that are not None."""
    return np.array([value for value in values if value is not None], np.float64)


def summarise(values: Values) -> dict[str, Any]:
    """Median (the thesis's summary), mean, quartiles, a 95 % bootstrap interval of the median, and counts."""
    known = defined(values)
    counts = {"n": len(known), "undefined": len(values) - len(known)}
    if not len(known):
        return {"median": None, "mean": None, "q1": None, "q3": None, "low": None, "high": None, **counts}
    q1, median, q3 = np.quantile(known, [0.25, 0.5, 0.75], method="linear") if _finite(known) else _order(known)
    low, high = bootstrap_interval(known)
    mean = float(known.mean()) if _finite(known) else float(median)
    return {"median": float(median), "mean": mean, "q1": float(q1), "q3": float(q3), "low": low, "high": high, **counts}


def bootstrap_interval(
    values: NDArray[np.float64], statistic: Callable[..., NDArray] = np.median, level: float = LEVEL
) -> tuple[float | None, float | None]:
    """Percentile bootstrap interval of `statistic` over tracks; None for fewer than three values."""
    if len(values) < 3 or not _finite(values):
        return None, None
    rng = np.random.default_rng(SEED)
    samples = statistic(values[rng.integers(0, len(values), (N_RESAMPLES, len(values)))], axis=1)
    low, high = np.quantile(samples, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def compare(ours: Values, theirs: Values) -> dict[str, Any]:
    """Compare two systems on the same tracks.

    Returns
    -------
    n, wins
        Tracks where both are defined, and those where `ours` is higher.
    median_difference, low, high
        ours - theirs, with a 95 % bootstrap interval.
    p
        Two-sided sign-flip permutation test of the mean difference: exact up to `N_EXACT` tracks, `N_RESAMPLES` random
        flips above. With n tracks it cannot fall below ``2 / 2**n``.
    """
    pairs = [(a, b) for a, b in zip(ours, theirs, strict=True) if a is not None and b is not None]
    differences = np.array([a - b for a, b in pairs], np.float64)
    differences = differences[np.isfinite(differences)]
    if not len(differences):
        return {"n": 0, "wins": 0, "median_difference": None, "low": None, "high": None, "p": None}
    low, high = bootstrap_interval(differences)
    return {
        "n": len(differences),
        "wins": int(np.sum(differences > 0)),
        "median_difference": float(np.median(differences)),
        "low": low,
        "high": high,
        "p": sign_flip_p(differences),
    }


def sign_flip_p(differences: NDArray[np.float64]) -> float:
    """Share of sign patterns whose mean is at least as far from 0 as the observed one."""
    n = len(differences)
    if n <= N_EXACT:
        signs = np.array(list(itertools.product((-1.0, 1.0), repeat=n)))
    else:
        signs = np.random.default_rng(SEED).choice((-1.0, 1.0), (N_RESAMPLES, n))
        signs[0] = 1  # the observed pattern belongs to the set, so that p is never 0
    means = np.abs(signs @ differences)
    observed = abs(differences.sum())
    return float(np.mean(means >= observed * (1 - 1e-12)))


def seed_spread(medians: Values) -> dict[str, Any]:
    """Spread of one number over runs that differ in nothing but their seed."""
    known = defined(medians)
    if not len(known):
        return {"n": 0, "mean": None, "standard_deviation": None, "min": None, "max": None}
    deviation = float(known.std(ddof=1)) if len(known) > 1 else None
    return {
        "n": len(known),
        "mean": float(known.mean()),
        "standard_deviation": deviation,
        "min": float(known.min()),
        "max": float(known.max()),
    }


def share_of_distance(score: float | None, base: float | None, ceiling: float | None) -> float | None:
    """(score - base) / (ceiling - base); None where undefined or where the ceiling is not above the base."""
    if score is None or base is None or ceiling is None or not ceiling > base:
        return None
    return (score - base) / (ceiling - base)


def _finite(values: NDArray[np.float64]) -> bool:
    return bool(np.isfinite(values).all())


def _order(values: NDArray[np.float64]) -> tuple[float, float, float]:
    """Quartiles without interpolation, which infinities do not allow."""
    q1, median, q3 = np.quantile(values, [0.25, 0.5, 0.75], method="inverted_cdf")
    return q1, median, q3
