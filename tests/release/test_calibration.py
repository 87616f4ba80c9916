"""From what masks were worth on known stems to a curve that ships."""

import numpy as np
import pytest

from splitstrument.release import calibration, mask_statistics
from splitstrument.release.mask_statistics import N_LEVELS, terms_of
from splitstrument.settings import read_yaml


def song(rng, worth):
    """Terms of a song whose masks are `worth(share)` of the stem's share; stem and rest are independent."""
    share = np.clip(rng.beta(0.7, 1.5, (2, 400, 300)), 0, 0.999)
    mask = worth(share).astype(np.float32)
    stem, rest = (
        np.sqrt(part) * (rng.standard_normal(share.shape) + 1j * rng.standard_normal(share.shape))
        for part in (share, 1 - share)
    )
    return terms_of(mask, stem, stem + rest)


def test_terms_are_energies_by_the_size_of_the_mask(rng):
    terms = song(rng, lambda share: share)
    assert terms.shape == (3, N_LEVELS)
    np.testing.assert_allclose(terms[1] / terms[2], calibration.MIDDLES, atol=0.05)


def test_a_network_that_answers_too_little_is_put_right(rng, tmp_path, capsys):
    """Masks are the square of the share: the curve must be the square root."""
    for name in "abc":
        terms = np.array([song(rng, np.square) for _ in range(3)])
        names = np.array([(str(index), "guitar") for index in range(3)])
        np.savez(tmp_path / f"{name}.npz", names=names, terms=terms)
    calibration.main([*map(str, sorted(tmp_path.glob("*.npz"))), "-o", str(tmp_path / "curves.yaml")])
    curve = read_yaml(tmp_path / "curves.yaml")["guitar"]
    np.testing.assert_allclose(curve[2:], np.sqrt(calibration.POINTS)[2:], atol=0.04)
    assert curve[0] == 0  # silence stays silent
    table = capsys.readouterr().out
    assert "Kept: guitar" in table and table.count("| guitar |") == 3 + 1


def test_a_network_that_is_right_keeps_its_masks(rng):
    curve = calibration.fit_curve([song(rng, lambda share: share) for _ in range(3)])
    np.testing.assert_allclose(curve, calibration.POINTS, atol=0.04)
    gained, rest, scale = calibration.gains_of(song(rng, lambda share: share), calibration.MIDDLES)
    assert gained > 3 and rest > 3 and scale == pytest.approx(1, abs=0.02)


def test_both_views_hold_the_energy_of_the_channels(rng):
    spectrum = rng.standard_normal((2, 5, 7)) + 1j * rng.standard_normal((2, 5, 7))
    views = mask_statistics.both_views(spectrum)
    assert np.sum(np.abs(views) ** 2) * 2 == pytest.approx(np.sum(np.abs(spectrum) ** 2))
    assert not mask_statistics.both_views(spectrum[:1])[1].any()
