"""BSS Eval v3 and v4: agreement with mir_eval and museval, a slow reference, and what the measures promise."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest
import soundfile
from evaluation_helpers import make_references, museval_metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from splitstrument.evaluation.metrics.bss import bss_eval, ratio_db
from splitstrument.evaluation.metrics.bss_framewise import bss_eval_framewise, fast_length
from splitstrument.evaluation.metrics.correlations import Correlations, delayed_products, gram_matrix

AGREE_DB = 1e-6
COUNTED_BELOW_DB = 80.0


def mir_eval_sources(reference, estimate):
    mir_eval = pytest.importorskip("mir_eval")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return mir_eval.separation.bss_eval_sources(reference, estimate, compute_permutation=False)[:3]


def assert_agree(ours, theirs):
    for measure, a, b in zip(("sdr", "sir", "sar"), ours, theirs, strict=True):
        a, b = np.asarray(a), np.asarray(b)
        assert np.array_equal(np.isinf(a), np.isinf(b)), measure
        counted = np.isfinite(b) & (b < COUNTED_BELOW_DB)
        np.testing.assert_allclose(a[counted], b[counted], rtol=0, atol=AGREE_DB, err_msg=measure)
        assert np.all(a[~counted] > COUNTED_BELOW_DB - 1)


@pytest.mark.parametrize("case", ["01", "02", "03", "05", "07", "08", "09"])  # 06 is stereo: images, not sources
def test_agrees_with_mir_eval_on_its_own_test_set(shared_data, case):
    folder = shared_data / "mir_eval_separation"

    def sources(name):
        return np.stack([soundfile.read(path)[0] for path in sorted((folder / f"{name}{case}").glob("*.wav"))])

    reference, estimate = sources("ref"), sources("est")
    assert_agree(bss_eval(reference, estimate), mir_eval_sources(reference, estimate))


@settings(max_examples=25, deadline=None)
@given(
    n_sources=st.integers(1, 3),
    n_samples=st.integers(1600, 20000),
    error_db=st.floats(-20, 75),
    leak_db=st.floats(-20, 75),
    seed=st.integers(0, 2**16),
)
def test_agrees_with_mir_eval_on_random_signals(n_sources, n_samples, error_db, leak_db, seed):
    rng = np.random.default_rng(seed)
    reference = rng.standard_normal((n_sources, n_samples))
    estimate = reference + 10 ** (-leak_db / 20) * np.roll(reference, 1, axis=0)
    estimate += 10 ** (-error_db / 20) * rng.standard_normal(reference.shape)
    assert_agree(bss_eval(reference, estimate), mir_eval_sources(reference, estimate))


def test_equals_least_squares_on_the_written_out_matrix(rng):
    """A slow reference: every delayed copy as a column."""
    n_samples, n_lags = 400, 7
    reference = rng.standard_normal((2, n_samples))
    estimate = 0.8 * reference + 0.3 * np.roll(reference[::-1], 2, axis=1) + 0.2 * rng.standard_normal((2, n_samples))

    def columns(sources):
        return np.stack(
            [np.pad(source, (lag, n_lags - 1 - lag)) for source in sources for lag in range(n_lags)], axis=1
        )

    ours = np.array(bss_eval(reference, estimate, filter_length=n_lags))
    for j in range(2):
        padded = np.pad(estimate[j], (0, n_lags - 1))
        target = columns(reference[[j]]) @ np.linalg.lstsq(columns(reference[[j]]), padded, rcond=None)[0]
        both = columns(reference) @ np.linalg.lstsq(columns(reference), padded, rcond=None)[0]
        expected = [
            10 * np.log10(np.sum(target**2) / np.sum((padded - target) ** 2)),
            10 * np.log10(np.sum(target**2) / np.sum((both - target) ** 2)),
            10 * np.log10(np.sum(both**2) / np.sum((padded - both) ** 2)),
        ]
        np.testing.assert_allclose(ours[:, j], expected, atol=1e-9)


def test_correlations_do_not_depend_on_the_blocks(rng):
    signals = rng.standard_normal((4, 30_011))
    whole, pieces = Correlations(2, 2, 16), Correlations(2, 2, 16)
    whole.add(signals[:2], signals[2:])
    cuts = [0, 1, 5, 5000, 5001, 20_000, 30_011]
    for start, stop in itertools.pairwise(cuts):
        pieces.add(signals[:2, start:stop], signals[2:, start:stop])
    np.testing.assert_allclose(pieces.lagged(), whole.lagged(), atol=1e-8)
    direct = [signals[0, : 30_011 - lag] @ signals[3, lag:] for lag in range(16)]
    np.testing.assert_allclose(whole.lagged()[0, 3], direct, atol=1e-8)
    assert whole.n_samples == pieces.n_samples == 30_011


def test_gram_matrix_holds_the_inner_products_of_delayed_references(rng):
    reference, estimate = rng.standard_normal((2, 50)), rng.standard_normal((1, 50))
    correlations = Correlations(2, 1, 4)
    correlations.add(reference, estimate)
    delayed = np.stack([np.pad(source, (lag, 3 - lag)) for source in reference for lag in range(4)])
    lagged = correlations.lagged()
    np.testing.assert_allclose(gram_matrix(lagged), delayed @ delayed.T, atol=1e-10)
    np.testing.assert_allclose(delayed_products(lagged)[:, 0], delayed @ np.pad(estimate[0], (0, 3)), atol=1e-10)


def test_invariant_to_scale_filter_and_order(rng):
    reference = make_references(rng)[..., 0].astype(float)
    estimate = reference + 0.2 * reference[::-1] + 0.01 * rng.standard_normal(reference.shape)
    scores = np.array(bss_eval(reference, estimate))
    np.testing.assert_allclose(bss_eval(3 * reference, -0.1 * estimate), scores, atol=1e-6)
    np.testing.assert_allclose(np.array(bss_eval(reference[::-1], estimate[::-1])), scores[:, ::-1], atol=1e-6)
    filtered = np.stack([np.convolve(source, [0.5, 0, 0.3])[: reference.shape[1]] for source in reference])
    assert np.all(np.array(bss_eval(reference, filtered)) > 40)  # a filter is allowed, but for its cut-off tail


def test_one_source_has_no_interference(rng):
    reference = rng.standard_normal((1, 3000))
    sdr, sir, sar = bss_eval(reference, reference + 0.1 * rng.standard_normal((1, 3000)))
    assert np.isinf(sir[0]) and sdr[0] == pytest.approx(sar[0])


def test_perfect_estimate_scores_far_above_80_db(rng):
    reference = rng.standard_normal((2, 3000))
    assert np.all(np.array(bss_eval(reference, reference)) > 200)


@pytest.mark.parametrize("which", [0, 1])
def test_silent_signals_are_refused(rng, which):
    signals = [rng.standard_normal((2, 2000)), rng.standard_normal((2, 2000))]
    signals[which][1] = 0
    with pytest.raises(ValueError, match="1 is silent"):
        bss_eval(*signals)


def test_shapes_and_values_are_checked(rng):
    with pytest.raises(ValueError, match=r"Received: reference\.shape=\(2, 100\), estimate\.shape=\(2, 99\)"):
        bss_eval(rng.standard_normal((2, 100)), rng.standard_normal((2, 99)))
    broken = rng.standard_normal((2, 100))
    broken[0, 3] = np.nan
    with pytest.raises(ValueError, match="estimate holds NaN"):
        bss_eval(rng.standard_normal((2, 100)), broken)


def test_ratio_of_no_distortion_is_infinite():
    assert ratio_db(np.array([1.0]), np.array([0.0]))[0] == np.inf


@pytest.mark.parametrize("n_channels", [1, 2])
def test_framewise_agrees_with_museval(rng, n_channels):
    museval = museval_metrics() or pytest.skip("needs museval")
    reference = rng.standard_normal((2, 9001, n_channels))
    reference[1, 2000:4500] = 0  # one window is silent, two are in part
    estimate = reference + 0.3 * reference[::-1] + 0.1 * rng.standard_normal(reference.shape)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = museval.bss_eval(reference, estimate, window=1000, hop=1000, compute_permutation=False)[:4]
    ours = bss_eval_framewise(reference, estimate, 1000)
    for a, b in zip(ours, theirs, strict=True):
        assert a.shape == (2, 9)
        np.testing.assert_allclose(a, b, atol=AGREE_DB)
    assert np.isnan(ours[0][:, 2:4]).all() and np.isfinite(ours[0][:, 5:]).all()


def test_a_track_shorter_than_a_window_is_one_window(rng):
    reference = rng.standard_normal((2, 700, 1))
    sdr, *_ = bss_eval_framewise(reference, reference + 0.1, 1000)
    assert sdr.shape == (2, 1)


def test_fast_length_is_smooth_and_least():
    smooth = {2**a * 3**b * 5**c for a in range(15) for b in range(9) for c in range(7)}
    for n in (1, 7, 1001, 22_561):
        assert fast_length(n) == min(value for value in smooth if value >= n)
