"""All measures of a pair: slow references, invariances, silence, and independence of the blocks."""

from __future__ import annotations

import json

import numpy as np
import pytest
from evaluation_helpers import RATE, good_estimates, make_references

from splitstrument.evaluation.metrics.distortion import Distortion
from splitstrument.evaluation.metrics.leakage import Leakage
from splitstrument.evaluation.metrics.metric import SOURCES, Block, Track
from splitstrument.evaluation.metrics.registry import metrics
from splitstrument.evaluation.metrics.score import score_blocks, score_pair
from splitstrument.evaluation.metrics.si_sdr import si_sdr
from splitstrument.evaluation.metrics.spectral import LSD_N_FFT
from splitstrument.spectrogram import hann


def measured(meter, references, estimates, size):
    """Values of the first system's instrument, from blocks of `size` samples."""
    for start in range(0, references.shape[1], size):
        part = slice(start, start + size)
        meter.add(Block(references[:, part], estimates[None, :, part]))
    meter.end_pass()
    return meter.scores(0, 0)


def test_ratios_by_their_definitions(rng):
    s, r, e = rng.standard_normal((3, 5000))
    e = 0.7 * s + 0.3 * r + 0.2 * e
    values = measured(Distortion(Track(1, 1, RATE)), np.stack([s, r])[..., None], np.stack([e, r])[..., None], 1234)
    scale = (e @ s) / (s @ s)
    both = np.stack([s, r], axis=1)
    explained = both @ np.linalg.lstsq(both, e, rcond=None)[0]
    target = np.sum((scale * s) ** 2)
    expected = {
        "si_sdr": 10 * np.log10(target / np.sum((e - scale * s) ** 2)),
        "si_sir": 10 * np.log10(target / np.sum((explained - scale * s) ** 2)),
        "si_sar": 10 * np.log10(target / np.sum((e - explained) ** 2)),
        "sd_sdr": 10 * np.log10(target / np.sum((s - e) ** 2)),
        "usdr": 10 * np.log10((np.sum(s**2) + 1e-7) / (np.sum((s - e) ** 2) + 1e-7)),
    }
    assert values == pytest.approx(expected, abs=1e-9)
    assert si_sdr(s, e) == pytest.approx(expected["si_sdr"], abs=1e-9)


def test_si_sdr_is_exact_where_the_estimate_is_nearly_perfect(rng):
    """<e, e> - <a s, a s> would lose every digit here."""
    s, error = rng.standard_normal((2, 4000))
    error -= (error @ s) / (s @ s) * s
    expected = 10 * np.log10((s @ s) / (1e-14 * (error @ error)))
    references, estimates = np.stack([s, error])[..., None], np.stack([s + 1e-7 * error, s])[..., None]
    value = measured(Distortion(Track(1, 1, RATE)), references, estimates, 1000)["si_sdr"]
    assert value == pytest.approx(expected, abs=1e-4)


def test_log_spectral_distance_by_its_definition(rng):
    reference, estimate = 0.1 * rng.standard_normal((2, 9000, 1)).astype(np.float32)
    value = score_pair(np.stack([reference, estimate]), np.stack([estimate, reference]), RATE)["instrument"]["lsd"]
    distances = []
    for start in range(0, 9000 - LSD_N_FFT + 1, LSD_N_FFT // 2):
        spectra = [np.fft.rfft(x[start : start + LSD_N_FFT, 0] * hann(LSD_N_FFT)) for x in (reference, estimate)]
        levels = [np.maximum(20 * np.log10(np.abs(x)), 20 * np.log10(LSD_N_FFT / 4) - 80) for x in spectra]
        distances.append(np.sqrt(np.mean((levels[0] - levels[1]) ** 2)))
    assert value == pytest.approx(np.mean(distances), abs=1e-4)


def test_a_gain_of_6_db_is_a_distance_of_6_db(rng):
    references = 0.1 * rng.standard_normal((2, 9000, 1))
    value = score_pair(references, 2 * references, RATE)["instrument"]
    assert value["lsd"] == pytest.approx(20 * np.log10(2), abs=0.05)
    assert value["bleedless"] == pytest.approx(100 / (1 + 20 * np.log10(2)), abs=0.01) and value["fullness"] == 100


def test_leakage_counts_only_silent_seconds():
    rate, seconds = 100, 5
    reference = np.zeros((rate * seconds, 1))
    reference[:200] = 0.5
    mixture = np.full_like(reference, 0.5)
    estimate = 0.1 * mixture
    estimate[:200] = 5
    meter = Leakage(Track(1, 1, rate))
    for start in range(0, rate * seconds, 77):
        part = slice(start, start + 77)
        meter.add(reference[part], estimate[part], mixture[part])
    scores = meter.scores()
    assert scores == {"leakage_db": pytest.approx(-20), "silent_s": 3.0, "silent_share": 0.6}


@pytest.mark.parametrize("n_channels", [1, 2])
def test_scores_do_not_depend_on_the_blocks(rng, n_channels):
    references = make_references(rng, 2.2, n_channels)
    estimates = good_estimates(references, rng)

    def blocks():
        for start in range(0, references.shape[1], 3001):
            yield references[:, start : start + 3001], estimates[None, :, start : start + 3001]

    whole = score_pair(references, estimates, RATE)
    (pieces,) = score_blocks(blocks, 1, n_channels, RATE)
    assert score_blocks(blocks, 1, n_channels, RATE, threads=3) == [pieces]
    for source in SOURCES:
        assert list(whole[source]) == list(metrics())
        for measure in metrics():
            assert pieces[source][measure] == pytest.approx(whole[source][measure], abs=1e-5), measure


def test_better_estimates_score_better_under_every_ratio(rng):
    references = make_references(rng)
    bad, good = (score_pair(references, good_estimates(references, rng, level), RATE) for level in (0.5, 0.05))
    for source in SOURCES:
        for measure in ("sdr", "sir", "sar", "si_sdr", "sd_sdr", "usdr", "sdr_v4"):
            assert good[source][measure] > bad[source][measure] + 5, measure
        assert good[source]["lsd"] < bad[source]["lsd"]


def test_scale_changes_only_the_measures_that_know_scale(rng):
    references = make_references(rng)
    estimates = good_estimates(references, rng)
    one, half = (score_pair(references, gain * estimates, RATE)["instrument"] for gain in (1.0, 0.5))
    for measure in ("sdr", "sir", "sar", "si_sdr", "sir_v4", "sar_v4"):
        assert half[measure] == pytest.approx(one[measure], abs=1e-3), measure
    for measure in ("sd_sdr", "usdr", "sdr_v4"):
        assert half[measure] < one[measure] - 3, measure


def test_a_silent_reference_is_none_and_leakage_never_nan(rng):
    references = make_references(rng)
    references[0] = 0
    score = score_pair(references, np.stack([0.1 * references[1], 0.9 * references[1]]), RATE)
    instrument, rest = score["instrument"], score["rest"]
    assert all(instrument[key] is None for key in ("sdr", "sir", "sar", "si_sdr", "sd_sdr", "sdr_v4", "lsd"))
    assert instrument["leakage_db"] == pytest.approx(-20, abs=1e-3)
    assert instrument["silent_share"] == 1
    assert rest["sdr"] > 80 and rest["sir"] is None and rest["si_sdr"] > 80
    assert "NaN" not in json.dumps(score)


def test_a_silent_estimate_is_none_but_has_usdr_and_leakage(rng):
    references = make_references(rng, 4)
    references[0, RATE : 3 * RATE] = 0
    score = score_pair(references, np.zeros_like(references), RATE)["instrument"]
    assert score["sdr"] is None and score["si_sdr"] is None and score["sdr_v4"] is None
    assert score["usdr"] == pytest.approx(0, abs=1e-6)
    assert score["leakage_db"] == -120


def test_silence_everywhere_is_never_nan():
    nothing = np.zeros((2, 4000, 1))
    score = score_pair(nothing, nothing, RATE)["instrument"]
    assert {key: value for key, value in score.items() if value is not None} == {
        "usdr": 0.0, "silent_s": 0.5, "silent_share": 1.0, "bleedless": 100, "fullness": 100, "l1_freq": 100,
        "log_wmse": pytest.approx(-4 * np.log(1e-8)),
    }  # fmt: skip


def test_very_short_tracks(rng):
    references = rng.standard_normal((2, 40, 1))
    score = score_pair(references, references + 0.1 * rng.standard_normal((2, 40, 1)), RATE)
    assert 10 < score["instrument"]["si_sdr"] < 40 and score["instrument"]["lsd"] is None


def test_wrong_shapes_are_refused(rng):
    with pytest.raises(ValueError, match=r"Received: \(2, 10\) and \(2, 10\)"):
        score_pair(np.zeros((2, 10)), np.zeros((2, 10)), RATE)
