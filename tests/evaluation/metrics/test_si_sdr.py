import numpy as np
import pytest

from splitstrument.evaluation.metrics.score import score_pair
from splitstrument.evaluation.metrics.si_sdr import level_db, si_sdr


def test_it_is_the_si_sdr_of_the_evaluation():
    rng = np.random.default_rng(1)
    instrument, rest, noise = rng.standard_normal((3, 8000, 2))
    estimate = 0.3 * instrument + 0.1 * noise
    scores = score_pair(np.stack([instrument, rest]), np.stack([estimate, rest]), 8000, framewise=False)
    assert si_sdr(instrument, estimate) == pytest.approx(scores["instrument"]["si_sdr"], abs=1e-9)


def test_scale_does_not_count_and_noise_does():
    rng = np.random.default_rng(2)
    reference = rng.standard_normal(10_000)
    noise = rng.standard_normal(10_000)
    noise -= reference * (noise @ reference) / (reference @ reference)
    noise *= np.sqrt((reference @ reference) / (noise @ noise)) * 0.1
    assert si_sdr(reference, reference + noise) == pytest.approx(20)
    assert si_sdr(reference, -7 * (reference + noise)) == pytest.approx(20)


def test_silence_is_far_down_and_finite():
    tone = np.sin(np.arange(1000.0))
    assert si_sdr(tone, np.zeros(1000)) == si_sdr(np.zeros(1000), tone) == pytest.approx(-200)
    assert level_db(np.zeros(10), np.ones(10)) == pytest.approx(-200)
    assert level_db(np.full(10, 2.0), np.ones(10)) == pytest.approx(6.0206, abs=1e-4)
