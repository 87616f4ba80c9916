"""Songs whose channels cancel in their average come out as well as the songs themselves."""

from __future__ import annotations

import numpy as np
import pytest
from tiny_models import music, tiny_model

import splitstrument
from splitstrument.separation.options import SeparationOptions
from splitstrument.separation.pipeline import load_model

RIGHT_INVERTED = np.array([1, -1], np.float32)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return load_model(tiny_model(tmp_path_factory.mktemp("model") / "tiny").path)


@pytest.mark.parametrize("channels", ["mix", "magnitude", "each"])
@pytest.mark.parametrize("width", [0.0, 0.5])
def test_an_inverted_channel_changes_nothing_but_itself(rng, model, channels, width):
    """The upright song is mono, or has a stereo image; with overlap, since chunks then share frames."""
    middle, side = music(rng, 40000, 1), width * music(rng, 40000, 1)
    song = np.concatenate([middle + side, middle - side], axis=1)
    options = SeparationOptions(channels=channels, overlap=0.5)
    upright = splitstrument.separate(song, 44100, model, options=options).instrument
    inverted = splitstrument.separate(song * RIGHT_INVERTED, 44100, model, options=options).instrument
    assert np.abs(upright).max() > 0.01
    assert np.abs(inverted - upright * RIGHT_INVERTED).max() < 1e-4


def test_a_song_that_turns_over_in_the_middle(rng, model):
    middle = music(rng, 80000, 1)
    song = np.concatenate([middle, middle], axis=1)
    song[40000:] *= RIGHT_INVERTED
    upright = splitstrument.separate(np.repeat(middle, 2, axis=1), 44100, model).instrument
    turned = splitstrument.separate(song, 44100, model).instrument
    far = np.r_[0:25000, 60000:80000]  # from the chunk that is half upright
    assert np.abs(np.abs(turned) - np.abs(upright))[far].max() < 1e-3
