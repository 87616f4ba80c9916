"""Mid and side: a slow recomputation, and what happens to mono, swapped, inverted and surround songs."""

import numpy as np
import pytest
from pydantic import ValidationError

from splitstrument.network.settings import BandUnetSettings, ModelSettings, SpectrogramSettings
from splitstrument.network.stereo import apply_mid_side, cancels, exchanged, mid_side


@pytest.fixture
def song(rng):
    """A stereo spectrum (2, 5, 4) with a strong middle."""
    middle, sides = (rng.standard_normal((2, 5, 4)) + 1j * rng.standard_normal((2, 5, 4)) for _ in range(2))
    return (middle[:1] + 0.4 * sides).astype(np.complex64)


def masked(spectrum, network):
    """What separation does: show it upright, turn the masks back, apply them."""
    views = mid_side(spectrum)
    turned = cancels(views)
    return apply_mid_side(spectrum, exchanged(network(exchanged(views, turned)), turned))


def network(views):
    """A stand-in that treats mid and side differently, bin by bin."""
    return np.stack([views[0] / (1 + views[0]), 0.3 * views[1] / (1 + views[0])])


def test_mid_and_side_of_a_stereo_song(song):
    left, right = song
    np.testing.assert_allclose(mid_side(song), np.abs(np.stack([left + right, left - right])) / 2, rtol=1e-5)


def test_masks_act_on_mid_and_side(song, rng):
    masks = rng.random((2, 5, 4)).astype(np.float32)
    left, right = apply_mid_side(song, masks)
    np.testing.assert_allclose(left + right, masks[0] * (song[0] + song[1]), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(left - right, masks[1] * (song[0] - song[1]), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("n_channels", [1, 2, 3, 8])
def test_masks_of_one_leave_any_song_as_it_is(n_channels, rng):
    spectrum = (rng.standard_normal((n_channels, 5, 4)) + 1j).astype(np.complex64)
    np.testing.assert_allclose(apply_mid_side(spectrum, np.ones((2, 5, 4), np.float32)), spectrum, rtol=1e-5)


def test_swapped_channels_give_swapped_outputs(song):
    np.testing.assert_allclose(masked(song[::-1], network), masked(song, network)[::-1], rtol=1e-5, atol=1e-6)


def test_a_song_with_one_channel_inverted_comes_out_as_well_as_the_song(song):
    inverted = song * np.array([1, -1])[:, None, None]
    assert cancels(mid_side(inverted))
    assert not cancels(mid_side(song))
    np.testing.assert_allclose(
        masked(inverted, network), masked(song, network) * np.array([1, -1])[:, None, None], rtol=1e-5, atol=1e-6
    )


def test_a_mono_song_in_two_channels_is_a_mono_song(song):
    one = song[:1]
    np.testing.assert_allclose(masked(np.repeat(one, 2, axis=0), network), np.repeat(masked(one, network), 2, axis=0))
    assert not mid_side(one)[1].any()


BANDS = {"folds": (2, 4), "width": 8, "growth": 4, "levels": 2, "bottleneck": 4}


def stereo_model(**changes):
    """Settings of a small model of two instruments in mid and side."""
    network = BandUnetSettings(**BANDS, inputs=2, outputs=changes.pop("outputs", 4))
    spectrogram = SpectrogramSettings(sample_rate_hz=8000, n_fft=128)
    return ModelSettings(
        **{"stems": ("guitar", "piano"), "channels": "mid_side"} | changes,
        spectrogram=spectrogram,
        n_frames=16,
        normalisation="none",
        network=network,
    )


def test_settings_say_what_the_network_takes_and_gives():
    model = stereo_model()
    assert (model.input_shape, model.names, model.n_views) == ((65, 16, 2), ("guitar", "piano"), 2)
    mono = ModelSettings(target="piano")
    assert (mono.input_shape[2], mono.names, mono.n_views) == (1, ("piano",), 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"outputs": 2}, "network.outputs must be 4"),
        ({"stems": ("piano", "guitar")}, "begin with the target 'guitar'"),
        ({"stems": ("guitar", "guitar")}, "must differ"),
        ({"channels": "mono"}, "needs channels: mid_side"),
    ],
)
def test_settings_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(ValidationError, match=message):
        stereo_model(**changes)


def test_the_network_answers_a_mask_for_mid_and_side_of_each_stem_at_any_level(rng):
    pytest.importorskip("keras")
    from splitstrument.network.registry import build_network

    network = build_network(stereo_model(), seed=1)
    views = (rng.random((3, 65, 16, 2)) ** 3).astype(np.float32)
    masks = network(views).numpy()
    assert masks.shape == (3, 65, 16, 4)
    np.testing.assert_allclose(network(views * np.float32(0.003)), masks, atol=2e-4)
    other_side = views * np.array([1, 0.2], np.float32)
    assert np.abs(network(other_side).numpy() - masks).max() > 1e-3
