"""Statistics over tracks: against brute force and by what they promise."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitstrument.evaluation.statistics import (
    bootstrap_interval,
    compare,
    holm,
    median_interval,
    rank_biserial,
    seed_spread,
    share_of_distance,
    sign_flip_p,
    summarise,
)


def test_undefined_values_are_counted_and_left_out():
    summary = summarise([1.0, None, 3.0, None, 8.0])
    assert (summary["median"], summary["mean"], summary["n"], summary["undefined"]) == (3.0, 4.0, 3, 2)
    assert summarise([None])["median"] is None


def test_infinite_values_do_not_become_nan():
    summary = summarise([1.0, 2.0, math.inf, math.inf])
    assert not any(isinstance(value, float) and math.isnan(value) for value in summary.values())
    assert summary["q3"] == math.inf


def test_the_interval_covers_the_true_median_at_least_as_often_as_it_says():
    """Whatever the distribution: order statistics assume none."""
    rng = np.random.default_rng(3)
    for draw in (lambda: rng.normal(2, 1, 25), lambda: 2 / math.log(2) * rng.exponential(1, 25)):
        intervals = [median_interval(draw()) for _ in range(400)]
        assert 0.93 <= np.mean([low <= 2 <= high for low, high, _ in intervals]) <= 1
    assert intervals[0][2] == pytest.approx(0.9567, abs=1e-4)  # 1 - 2 P(binomial(25, 1/2) < 8)


def test_no_interval_below_six_tracks():
    assert median_interval(np.arange(5.0)) == (None, None, None)
    assert median_interval(np.arange(6.0)) == (0, 5, 0.9688)
    assert summarise([1.0, 2.0, 3.0])["low"] is None and compare([1.0] * 5, [0.0] * 5)["low"] is None


def test_the_worst_tenth_lies_at_the_bad_end():
    values = [float(value) for value in range(101)]
    assert summarise(values)["worst_tenth"] == 10
    assert summarise(values, "lower")["worst_tenth"] == 90


def test_rank_biserial_correlation():
    assert rank_biserial(np.array([1.0, 2.0, 3.0])) == 1
    assert rank_biserial(np.array([-1.0, 2.0, 3.0])) == pytest.approx((5 - 1) / 6)
    assert rank_biserial(np.array([1.0, -1.0, 0.0])) == 0


@given(st.lists(st.floats(0, 1) | st.none(), max_size=9))
def test_holm_by_its_definition(ps):
    """Hypothesis k is rejected at level a if all of the smallest up to it lie under a / (m - rank)."""
    corrected = holm(ps)
    known = sorted(p for p in ps if p is not None)
    for p, after in zip(ps, corrected, strict=True):
        if p is None:
            assert after is None
            continue
        at = [min(1, (len(known) - rank) * value) for rank, value in enumerate(known) if value <= p]
        assert after == pytest.approx(max(at[: known.index(p) + 1])) and p <= after <= 1


def test_holm_of_a_textbook():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_the_interval_is_the_same_every_time():
    values = np.random.default_rng(0).normal(size=20)
    assert bootstrap_interval(values) == bootstrap_interval(values)
    assert bootstrap_interval(values[:2]) == (None, None)


@given(st.lists(st.floats(-5, 5).filter(lambda x: abs(x) > 0.01), min_size=1, max_size=8))
def test_sign_flips_against_brute_force(differences):
    observed = abs(sum(differences))
    patterns = list(itertools.product((-1, 1), repeat=len(differences)))
    extreme = [abs(math.fsum(s * d for s, d in zip(p, differences, strict=True))) >= observed - 1e-9 for p in patterns]
    assert sign_flip_p(np.array(differences)) == pytest.approx(np.mean(extreme))


def test_a_clear_difference_is_found_and_noise_is_not():
    rng = np.random.default_rng(5)
    noise = rng.normal(size=30)
    assert compare(list(noise + 1), list(noise + 0.1 * rng.normal(size=30)))["p"] < 0.001
    assert compare(list(noise), list(rng.permutation(noise)))["p"] > 0.01


def test_compare_uses_only_tracks_where_both_are_defined():
    result = compare([1.0, None, 5.0, 2.0], [0.0, 3.0, None, 3.0])
    assert (result["n"], result["wins"], result["median_difference"]) == (2, 1, 0.0)
    assert (result["worse"], result["worst_difference"]) == (1, -1.0)
    assert compare([None], [1.0])["p"] is None


def test_seed_spread():
    spread = seed_spread([1.0, 2.0, 3.0, None])
    assert (spread["n"], spread["mean"], spread["standard_deviation"]) == (3, 2.0, 1.0)
    assert seed_spread([1.0])["standard_deviation"] is None


def test_share_of_distance():
    assert share_of_distance(4, 2, 6) == 0.5
    assert share_of_distance(1, 2, 6) == -0.25
    assert share_of_distance(4, 6, 6) is None
    assert share_of_distance(None, 2, 6) is None


def test_infinite_scores_count_in_comparisons():
    """The mixture is perfect where the rest is silent: a model is worse there, and not left out."""
    inf = float("inf")
    found = compare([5.0, 6.0, 1.0, 2.0], [1.0, 1.0, inf, inf])
    assert (found["n"], found["wins"], found["worse"]) == (4, 2, 2)
    assert found["worst_difference"] == -inf and found["p"] == pytest.approx(0.5)
    assert compare([inf], [inf])["n"] == 0
    assert summarise([-inf, 1.0, 2.0, 3.0])["median"] == 1.5
    assert summarise([-inf, 1.0])["mean"] == -inf and summarise([-inf, inf])["mean"] is None


def test_ties_of_sign_flips_are_found_whatever_the_rounding(rng):
    for _ in range(50):
        whole = rng.integers(-9, 10, 8).astype(float)
        assert sign_flip_p(whole / 10) == sign_flip_p(whole)
