"""Baselines and ceilings: what each promises, and that streaming changes nothing."""

from __future__ import annotations

import numpy as np
import pytest
from evaluation_helpers import RATE, make_references

from splitstrument.errors import DatasetError
from splitstrument.evaluation.metrics.score import score_pair
from splitstrument.evaluation.systems import BASELINES, CEILINGS, EqFit, estimates_of
from splitstrument.spectrogram import istft, stft

N_FFT = 512


def in_blocks(signals, size=1777):
    for start in range(0, signals.shape[1], size):
        yield signals[:, start : start + size]


def estimate(name, references, eq=None):
    return np.concatenate(list(estimates_of(name, in_blocks(references), RATE, N_FFT, eq)), axis=1)


def fitted(*songs, names="abc"):
    fit = EqFit(RATE, N_FFT)
    for name, song in zip(names, songs, strict=False):
        fit.add(name, in_blocks(song))
    return fit


@pytest.mark.parametrize("n_samples", [1, 300, 12_345])
@pytest.mark.parametrize("name", [*BASELINES, *CEILINGS])
def test_estimates_have_the_length_and_sum_to_the_mixture(rng, name, n_samples):
    references = 0.1 * rng.standard_normal((2, n_samples, 2)).astype(np.float32)
    eq = fitted(references).eq()
    estimates = estimate(name, references, eq)
    assert estimates.shape == references.shape
    mixture = references.sum(axis=0)
    expected = {"mixture": 2 * mixture, "silence": 0 * mixture}.get(name, mixture)
    np.testing.assert_allclose(estimates.sum(axis=0), expected, atol=1e-5)


def test_the_ratio_mask_by_its_definition(rng):
    references = make_references(rng, 1.1)
    spectra = [stft(source, N_FFT) for source in references]
    magnitudes = np.abs(spectra)
    masked = (spectra[0] + spectra[1]) * magnitudes[0] / np.maximum(magnitudes.sum(axis=0), 1e-20)
    expected = istft(masked, references.shape[1], N_FFT)
    np.testing.assert_allclose(estimate("irm", references)[0], expected, atol=1e-5)


def test_systems_stand_in_their_order(rng):
    references, other = make_references(rng), make_references(rng)
    eq = fitted(other).eq()
    score = {
        name: score_pair(references, estimate(name, references, eq), RATE, framewise=False)["instrument"]["si_sdr"]
        for name in ("mixture", "eq", "ibm", "irm", "wiener", "mpo")
    }
    assert score["mixture"] < score["eq"] < score["irm"] < score["wiener"]
    assert score["eq"] < min(score["ibm"], score["mpo"])


def test_the_fitted_eq_is_the_best_of_all_gains(rng):
    """No other gain in any bin lowers the error of the training songs."""
    song = make_references(rng, 1.0)
    eq = fitted(song).eq()
    instrument, rest = (stft(source, N_FFT)[0] for source in song)

    def error(gains):
        return np.sum(np.abs(instrument - gains[:, None] * (instrument + rest)) ** 2, axis=1)

    for change in (-0.02, 0.02):
        assert np.all(error(eq.gains + change) >= error(eq.gains))


def test_the_eq_recovers_a_known_filter():
    rng = np.random.default_rng(1)
    mixture = rng.standard_normal((1, 30_000, 1)).astype(np.float32)
    song = np.concatenate([0.25 * mixture, 0.75 * mixture])
    np.testing.assert_allclose(fitted(song).eq().gains, 0.25, atol=1e-4)


def test_a_song_is_left_out_of_its_own_eq(rng):
    songs = [make_references(rng, 1.0) for _ in range(3)]
    without = fitted(*songs).eq(without="b")
    assert without.tracks == ("a", "c")
    np.testing.assert_array_equal(without.gains, fitted(songs[0], songs[2], names="ac").eq().gains)
    with pytest.raises(DatasetError, match="No song is left"):
        fitted(songs[0]).eq(without="a")


def test_the_eq_is_carried_to_another_rate_by_frequency():
    rng = np.random.default_rng(2)
    eq = fitted(rng.standard_normal((2, 20_000, 1)).astype(np.float32)).eq()
    np.testing.assert_allclose(eq.gains_at(RATE, 2 * N_FFT)[::2], eq.gains, atol=1e-6)
    high = eq.gains_at(2 * RATE, N_FFT)
    np.testing.assert_allclose(high[: N_FFT // 4], eq.gains[: N_FFT // 2 : 2], atol=1e-6)
    assert np.all(high[N_FFT // 4 + 1 :] == eq.gains[-1])


def test_unknown_names_and_a_missing_eq_are_refused(rng):
    references = make_references(rng, 0.5)
    with pytest.raises(ValueError, match="Received: 'oracle'"):
        estimate("oracle", references)
    with pytest.raises(ValueError, match="needs a fitted Eq"):
        estimate("eq", references)


def test_masks_and_eq_of_mid_and_side_find_what_lies_at_the_sides(rng):
    """Guitars doubled left and right over a rest in the middle: one mask for both channels cannot tell them."""
    left, right, middle = rng.standard_normal((3, 16_000)).astype(np.float32)
    references = np.stack([np.stack([left, right], axis=1), np.stack([middle, middle], axis=1)])
    eq = fitted(references).eq()
    assert eq.mid_side is not None
    np.testing.assert_allclose(eq.mid_side[1], 1, atol=1e-4)  # all of the side is the instrument's
    score = {
        name: score_pair(references, estimate(name, references, eq), RATE, framewise=False)
        for name in ("eq", "eq_ms", "irm_mono", "irm", "irm_ms")
    }
    for source in ("instrument", "rest"):
        si_sdr = {name: values[source]["si_sdr"] for name, values in score.items()}
        assert si_sdr["eq_ms"] > si_sdr["eq"] + 1
        assert si_sdr["irm_ms"] > si_sdr["irm"] > si_sdr["irm_mono"]


def test_on_the_same_signal_in_both_channels_all_ratio_masks_are_one(rng):
    references = np.repeat(make_references(rng, 1.0), 2, axis=2)
    masks = [estimate(name, references) for name in ("irm", "irm_mono", "irm_ms")]
    np.testing.assert_allclose(masks[1], masks[0], atol=1e-6)
    np.testing.assert_allclose(masks[2], masks[0], atol=1e-6)
    assert fitted(references).eq().mid_side is None  # no song has a side
