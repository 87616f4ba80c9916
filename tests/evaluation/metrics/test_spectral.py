"""Bleedless, fullness, log-WMSE and spectral distances against slow references and original implementations."""

from __future__ import annotations

import numpy as np
import pytest

from splitstrument.evaluation.metrics.bleed import MelBank
from splitstrument.evaluation.metrics.log_wmse import impulse_response
from splitstrument.evaluation.metrics.score import score_pair

LOG_WMSE_AGREES = 1e-3
MSST_AGREES = 2e-3  # of 100; both work in float32


def signals(rng, n_samples, n_channels):
    """References with some silence, and estimates with leaks and noise."""
    references = (0.1 * rng.standard_normal((2, n_samples, n_channels))).astype(np.float32)
    references[0, n_samples // 3 : n_samples // 2] = 0
    estimates = references + 0.05 * references[::-1] + 0.0003 * rng.standard_normal(references.shape)
    return references, estimates.astype(np.float32)


def msst_bleed_full(reference, estimate, rate):
    """The definition of Music-Source-Separation-Training's utils/metrics.py, with librosa in place of torch."""
    librosa = pytest.importorskip("librosa")
    bank = librosa.filters.mel(sr=rate, n_fft=4096, n_mels=512)
    levels = []
    for signal in (reference, estimate):
        spectrum = librosa.stft(signal.T, n_fft=4096, hop_length=1024, pad_mode="constant")
        level = 20 * np.log10(np.maximum(bank @ np.abs(spectrum), 1e-10))
        levels.append(np.maximum(level, level.max() - 80))
    difference = levels[1] - levels[0]
    return 100 / (1 + difference[difference > 0].mean()), 100 / (1 - difference[difference < 0].mean())


@pytest.mark.filterwarnings("ignore:Empty filters")
@pytest.mark.parametrize(
    ("rate", "n_samples", "n_channels"), [(44100, 90_000, 2), (22050, 70_001, 1), (22050, 1500, 1)]
)
def test_bleedless_and_fullness_are_those_of_msst(rng, rate, n_samples, n_channels):
    references, estimates = signals(rng, n_samples, n_channels)
    score = score_pair(references, estimates, rate, framewise=False)
    for source, reference, estimate in zip(("instrument", "rest"), references, estimates, strict=True):
        ours = [score[source][key] for key in ("bleedless", "fullness")]
        assert ours == pytest.approx(msst_bleed_full(reference, estimate, rate), abs=MSST_AGREES)


@pytest.mark.filterwarnings("ignore:Empty filters")
def test_the_mel_bank_is_librosas(rng):
    librosa = pytest.importorskip("librosa")
    magnitudes = rng.random((3, 2049)).astype(np.float32)
    for rate in (8000, 22050, 48000):
        expected = magnitudes @ librosa.filters.mel(sr=rate, n_fft=4096, n_mels=512).T
        np.testing.assert_allclose(MelBank(rate)(magnitudes), expected, atol=1e-6)


@pytest.mark.parametrize(("rate", "n_samples", "n_channels"), [(44100, 40_000, 2), (22050, 70_001, 1), (48000, 900, 1)])
def test_log_wmse_is_that_of_its_package(rng, rate, n_samples, n_channels):
    package = pytest.importorskip("log_wmse_audio_quality")
    references, estimates = signals(rng, n_samples, n_channels)
    score = score_pair(references, estimates, rate, framewise=False)
    mixture = references.sum(axis=0)
    for source, reference, estimate in zip(("instrument", "rest"), references, estimates, strict=True):
        theirs = package.calculate_log_wmse(mixture.T, estimate.T, reference.T, rate)
        assert score[source]["log_wmse"] == pytest.approx(float(theirs), abs=LOG_WMSE_AGREES)


def test_log_wmse_of_complements_needs_one_error(rng):
    """Where the rest is the mixture less the instrument, both errors are one; otherwise each has its own."""
    references, estimates = signals(rng, 9000, 1)
    mixture = references.sum(axis=0)
    complement = np.stack([estimates[0], mixture - estimates[0]])
    both = score_pair(references, complement, 22050, framewise=False)
    assert both["instrument"]["log_wmse"] == pytest.approx(both["rest"]["log_wmse"], abs=1e-6)
    other = score_pair(references, np.stack([estimates[0], mixture]), 22050, framewise=False)
    assert other["instrument"]["log_wmse"] == pytest.approx(both["instrument"]["log_wmse"], abs=1e-6)
    assert other["rest"]["log_wmse"] < other["instrument"]["log_wmse"] - 5


def test_the_filter_hears_like_an_ear():
    response = 20 * np.log10(np.abs(np.fft.rfft(impulse_response(), 44100)) + 1e-12)
    assert response[20] < -25 and response[3000] > response[500] > response[100] and response[20_000] < response[10_000]


def test_l1_frequency_and_multi_resolution_by_their_definitions(rng):
    references, estimates = signals(rng, 20_000, 1)
    score = score_pair(references, estimates, 22050, framewise=False)["rest"]
    padded = [np.pad(x[1, :, 0], 1024, mode="reflect") for x in (references, estimates)]
    mags = [np.array([np.abs(np.fft.rfft(x[i : i + 2048])) for i in range(0, len(x) - 2047, 1024)]) for x in padded]
    assert score["l1_freq"] == pytest.approx(100 / (1 + 10 * np.mean(np.abs(mags[0] - mags[1]))), rel=1e-4)
    distances = []
    for n_fft in (1024, 2048, 4096):
        window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)
        starts = range(0, 20_000 - n_fft + 1, n_fft // 2)
        s, e = (
            np.array([np.abs(np.fft.rfft(window * x[1, i : i + n_fft, 0])) for i in starts])
            for x in (references, estimates)
        )
        logs = np.mean(np.abs(np.log(np.maximum(s, 1e-4)) - np.log(np.maximum(e, 1e-4))))
        distances.append(np.linalg.norm(e - s) / np.linalg.norm(s) + logs)
    assert score["mr_stft"] == pytest.approx(np.mean(distances), rel=1e-3)
