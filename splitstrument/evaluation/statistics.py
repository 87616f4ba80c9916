"""Statistics over tracks: what a median is worth, and whether two models differ.

Intervals of medians come from order statistics: they assume nothing but independent tracks, and have a known coverage.
Undefined values (None) are counted and left out, never treated as zeros. Every random draw is seeded.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitstrument.evaluation.metrics.metric import Better
from splitstrument.evaluation.schema import Comparison, Summary

LEVEL = 0.95
N_RESAMPLES = 4000
N_EXACT = 14  # up to so many pairs, all 2^n sign flips are tried
SEED = 20210611

Values = Sequence[float | None]


def defined(values: Values) -> NDArray[np.float64]:
    """The values that are not None."""
    return np.array([value for value in values if value is not None], np.float64)


def summarise(values: Values, better: Better = "higher") -> Summary:
    """Median (the thesis's summary), mean, quartiles, the worst tenth, a 95 % interval of the median, and counts.

    Returns
    -------
    summary
        ``worst_tenth`` is the value that a tenth of the tracks do not reach. ``low`` and ``high`` are None below six
        tracks, where no interval has 95 % coverage.
    """
    known = defined(values)
    counts = len(known), len(values) - len(known)
    if not len(known):
        return Summary(median=None, mean=None, q1=None, q3=None, worst_tenth=None, low=None, high=None,
                       coverage=None, n=0, undefined=counts[1])  # fmt: skip
    # without interpolation where there are infinities, which do not allow it
    method: Any = "linear" if np.isfinite(known).all() else "inverted_cdf"
    worst = 0.9 if better == "lower" else 0.1
    q1, median, q3, worst_tenth = np.quantile(known, [0.25, 0.5, 0.75, worst], method=method)
    low, high, coverage = median_interval(known)
    if not np.isfinite(known).all():
        median = np.median(known)
    with np.errstate(invalid="ignore"):  # opposite infinities have no mean
        mean = known.mean()
    return Summary(
        median=_number(median), mean=_number(mean), q1=float(q1), q3=float(q3), worst_tenth=float(worst_tenth),
        low=low, high=high, coverage=coverage, n=counts[0], undefined=counts[1],
    )  # fmt: skip


def median_interval(
    values: NDArray[np.float64], level: float = LEVEL
) -> tuple[float | None, float | None, float | None]:
    """Narrowest interval between two order statistics, as far from either end, that holds the median at `level`.

    Returns
    -------
    low, high, coverage
        Coverage is ``1 - 2 P(B < k)`` with B binomial (n, 1/2); None where even the extremes do not reach `level`:
        below six values for 95 %.
    """
    n, missed, chosen = len(values), 0.0, None
    for k in range(1, n // 2 + 1):
        missed += 2 * math.comb(n, k - 1) / 2**n
        if 1 - missed < level:
            break
        chosen = k, 1 - missed
    if chosen is None:
        return None, None, None
    ordered = np.sort(values)
    return float(ordered[chosen[0] - 1]), float(ordered[n - chosen[0]]), round(chosen[1], 4)


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


def compare(ours: Values, theirs: Values) -> Comparison:
    """Compare two systems on the same tracks.

    Returns
    -------
    n, wins, worse
        Tracks where both are defined, those where `ours` is higher, and those where it is lower. A perfect estimate has
        an infinite score, and the mixture is one where the rest is silent: such tracks count like all others.
    median_difference, worst_difference, low, high
        ours - theirs: the median with its 95 % interval (`median_interval`), and the lowest.
    effect
        Matched-pairs rank-biserial correlation, from -1 (lower everywhere) to 1 (higher everywhere): Kerby 2014.
    p
        Two-sided sign-flip permutation test of the mean difference: exact up to `N_EXACT` tracks, `N_RESAMPLES` random
        flips above. With n tracks it cannot fall below ``2 / 2**n``. Infinite differences have no mean and are left
        out of it.
    """
    pairs = [(a, b) for a, b in zip(ours, theirs, strict=True) if a is not None and b is not None]
    differences = np.array([a - b for a, b in pairs], np.float64)
    differences = differences[~np.isnan(differences)]  # both infinite, alike
    if not len(differences):
        return Comparison(n=0, wins=0, worse=0, median_difference=None, worst_difference=None, low=None, high=None,
                          effect=None, p=None)  # fmt: skip
    low, high, _ = median_interval(differences)
    return Comparison(
        n=len(differences),
        wins=int(np.sum(differences > 0)),
        worse=int(np.sum(differences < 0)),
        median_difference=_number(np.median(differences)),
        worst_difference=float(differences.min()),
        low=low,
        high=high,
        effect=rank_biserial(differences),
        p=sign_flip_p(finite) if len(finite := differences[np.isfinite(differences)]) else None,
    )


def rank_biserial(differences: NDArray[np.float64]) -> float:
    """(sum of the ranks of positive differences - that of negative ones) / sum of all; 0 where all are 0."""
    sizes = np.abs(differences[differences != 0])
    if not len(sizes):
        return 0.0
    ranks = np.array([np.sum(sizes < size) + (1 + np.sum(sizes == size)) / 2 for size in sizes])  # ties share
    return float(ranks @ np.sign(differences[differences != 0]) / ranks.sum())


def holm(ps: Sequence[float | None]) -> list[float | None]:
    """Correct p values of one family of tests for their number, after Holm 1979; None stays None and does not count."""
    order = sorted((p, index) for index, p in enumerate(ps) if p is not None)
    corrected: list[float | None] = [None] * len(ps)
    highest = 0.0
    for rank, (p, index) in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * p))
        corrected[index] = highest
    return corrected


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
    return float(np.mean(means >= observed - 1e-9 * np.abs(differences).sum()))


def kendall_tau(a: NDArray[np.float64], b: NDArray[np.float64]) -> float | None:
    """Kendall's rank correlation with ties (tau-b), from -1 to 1; None where all of one side are alike."""
    signs = [np.sign(values[:, None] - values[None, :]) for values in (a, b)]
    sizes = [float(np.abs(sign).sum()) for sign in signs]
    return float((signs[0] * signs[1]).sum() / math.sqrt(sizes[0] * sizes[1])) if all(sizes) else None


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


def _number(value: np.floating) -> float | None:
    """A number for a record; the middle between opposite infinities is none."""
    return None if np.isnan(value) else float(value)


def _finite(values: NDArray[np.float64]) -> bool:
    return bool(np.isfinite(values).all())
