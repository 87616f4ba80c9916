"""Augmentation: what each step does to sound, and that the whole can be repeated and leaves its arguments alone."""

import numpy as np
import pytest

from splitstrument.errors import SettingsError
from splitstrument.settings import validate
from splitstrument.training import augment
from splitstrument.training.augment import AugmentationSettings, make_augmentation

RATE_HZ = 8000
N_SAMPLES = 8000
EVERYTHING = AugmentationSettings(
    remix=0.5, double=0.3, speed=0.06, drive=0.5, drive_rest=0.2, equalizer_db=6, low_pass=0.3, gain_db=6,
    polarity=0.5, absent=0.2, solo=0.2,
)  # fmt: skip


def tones(*frequencies_hz, level=0.1):
    """One tone per row."""
    t = np.arange(N_SAMPLES) / RATE_HZ
    return np.stack([level * np.sin(2 * np.pi * hz * t) for hz in frequencies_hz]).astype(np.float32)


def pitch_hz(samples):
    """Where the spectrum peaks."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 16 * len(samples)))
    return np.argmax(spectrum) * RATE_HZ / (16 * len(samples))


def level_db(samples):
    """RMS in dBFS."""
    return 10 * np.log10(np.mean(np.square(samples, dtype=np.float64)) + 1e-20)


@pytest.fixture
def batch(rng):
    """Noise, four segments of instrument and rest."""
    return tuple(0.1 * rng.standard_normal((4, N_SAMPLES)).astype(np.float32) for _ in range(2))


def test_the_defaults_do_nothing(batch, rng):
    instrument, rest = make_augmentation(AugmentationSettings(), RATE_HZ)(*batch, rng)
    np.testing.assert_array_equal(instrument, batch[0])
    np.testing.assert_array_equal(rest, batch[1])


def test_everything_at_once_is_repeatable_and_touches_no_argument(batch):
    kept = [side.copy() for side in batch]
    run = lambda seed: make_augmentation(EVERYTHING, RATE_HZ)(*batch, np.random.default_rng(seed))  # noqa: E731
    first, again, other = run(1), run(1), run(2)
    for side in range(2):
        np.testing.assert_array_equal(first[side], again[side])
        np.testing.assert_array_equal(batch[side], kept[side])
        assert first[side].dtype == np.float32
        assert first[side].shape == (4, N_SAMPLES)
        assert np.isfinite(first[side]).all()
    assert not np.array_equal(first[0], other[0])


def test_silence_stays_silence(rng):
    silence = np.zeros((4, N_SAMPLES), np.float32)
    settings = EVERYTHING.model_copy(update={"drive": 1.0, "drive_rest": 1.0})
    for side in make_augmentation(settings, RATE_HZ)(silence, silence, rng):
        np.testing.assert_array_equal(side, 0)


def test_remix_gives_each_segment_a_rest_of_another(rng):
    rest = tones(200, 300, 400, 500)
    mixed, changed = augment.remix(rest, 1.0, rng)
    assert changed.all()
    assert sorted(round(pitch_hz(row)) for row in mixed) == [200, 300, 400, 500]
    assert all(abs(pitch_hz(new) - pitch_hz(old)) > 50 for new, old in zip(mixed, rest, strict=True))


def test_remix_of_a_batch_of_one_changes_nothing(rng):
    rest = tones(200)
    mixed, changed = augment.remix(rest, 1.0, rng)
    np.testing.assert_array_equal(mixed, rest)
    assert not changed.any()


def test_double_adds_a_second_instrument_more_quietly(rng):
    instrument = tones(300, 1000)
    added = augment.double(instrument, 1.0, rng) - instrument
    for row, other in zip(added, instrument[::-1], strict=True):
        assert pitch_hz(row) == pytest.approx(pitch_hz(other), abs=1)
        assert -12.1 < level_db(row) - level_db(other) < 0.1


def test_speed_moves_both_together_unless_remixed(rng):
    """A chord of instrument and rest stays in tune; of two songs each is moved on its own."""
    low, high = tones(*[400] * 8), tones(*[1200] * 8)
    apart = np.arange(8) >= 4
    ours, theirs = augment.change_speed(low, high, 0.06, apart, rng)
    ratio = np.array([pitch_hz(b) / pitch_hz(a) for a, b in zip(ours, theirs, strict=True)])
    np.testing.assert_allclose(ratio[:4], 3, rtol=2e-3)
    assert np.abs(ratio[4:] - 3).max() > 0.02
    factors = np.array([pitch_hz(row) / 400 for row in ours])
    assert 0.94 <= factors.min() < 0.99 < 1.01 < factors.max() <= 1.06


def test_overdrive_adds_harmonics_and_keeps_the_level(rng):
    clean = tones(*[250] * 6)
    driven = augment.overdrive(clean, 1.0, rng)
    for before, after in zip(clean, driven, strict=True):
        assert level_db(after) == pytest.approx(level_db(before), abs=0.01)
        spectrum = np.abs(np.fft.rfft(after))
        assert spectrum[750] > 0.02 * spectrum[250]  # one bin is one hertz here
        assert abs(after.mean()) < 1e-4


def test_equalizer_stays_within_its_range_and_keeps_the_phase(rng):
    impulse = np.zeros((3, N_SAMPLES), np.float32)
    impulse[:, N_SAMPLES // 2] = 1
    response = np.fft.rfft(augment.equalize(impulse, 6, np.full(3, np.inf), RATE_HZ, rng))
    gains_db = 20 * np.log10(np.abs(response))
    assert np.abs(gains_db).max() < 6.01
    assert np.abs(gains_db).max() > 2
    shift = np.exp(2j * np.pi * np.arange(response.shape[1]) * (N_SAMPLES // 2) / N_SAMPLES)
    assert np.abs(np.angle(response * shift)).max() < 1e-3


def test_low_pass_leaves_nothing_above(rng):
    noise = 0.1 * rng.standard_normal((2, N_SAMPLES)).astype(np.float32)
    filtered = augment.equalize(noise, 0, np.array([1000.0, np.inf]), RATE_HZ, rng)
    spectrum = np.abs(np.fft.rfft(filtered))
    assert level_db(spectrum[0, 2000:]) < level_db(spectrum[0, :900]) - 80
    np.testing.assert_allclose(filtered[1], noise[1], atol=1e-6)


def test_gain_and_polarity_keep_the_waveform(batch, rng):
    settings = AugmentationSettings(gain_db=6, polarity=0.5)
    instrument, rest = make_augmentation(settings, RATE_HZ)(*batch, rng)
    np.testing.assert_array_equal(rest, batch[1])
    factors = (instrument * batch[0]).sum(axis=1) / np.square(batch[0]).sum(axis=1)
    np.testing.assert_allclose(instrument, batch[0] * factors[:, None], atol=1e-6)
    assert (np.abs(20 * np.log10(np.abs(factors))) <= 6).all()
    assert 0 < (factors < 0).sum() < 4


def test_absent_and_solo_exclude_each_other(rng):
    ones = np.ones((4000, 1), np.float32)
    instrument, rest = augment.keep(ones, ones, 0.1, 0.2, rng)
    assert np.mean(instrument == 0) == pytest.approx(0.1, abs=0.02)
    assert np.mean(rest == 0) == pytest.approx(0.2, abs=0.02)
    assert not ((instrument == 0) & (rest == 0)).any()


def test_a_share_beyond_one_is_refused():
    with pytest.raises(SettingsError, match=r"'remix'.*less than or equal to 1.*received 1\.5"):
        validate({"remix": 1.5}, AugmentationSettings, "recipe.yaml")
