"""Small songs of two instruments, and settings of a joint training on them."""

from __future__ import annotations

import numpy as np
from training_data import make_pairs, tiny_settings

from splitstrument import audio
from splitstrument.pairs import find_pairs

BAND = {
    "spectrogram": {"sample_rate_hz": 8000, "n_fft": 128},
    "n_frames": 16,
    "normalisation": "none",
    "network": {"kind": "bandunet", "folds": [2, 4], "width": 8, "growth": 4, "levels": 2, "outputs": 2},
}


def make_joint_songs(folder, rng):
    """Songs a and b with a first instrument, b and c with a second one; b's pairs are of the same mixture."""
    first = make_pairs(folder / "first", ["a", "b"], rng)
    second = make_pairs(folder / "second", ["b", "c"], rng)
    ours, theirs = (next(pair for pair in find_pairs(folder) if pair.name == "b") for folder in (first, second))
    mixture = sum(audio.read(path)[0] for path in (ours.instrument, ours.rest))
    other = 0.05 * np.sin(np.arange(len(mixture)))[:, None].astype(np.float32)
    audio.write(ours.rest, audio.read(ours.rest)[0] + other, 8000, "FLOAT")
    audio.write(theirs.instrument, other, 8000, "FLOAT")
    audio.write(theirs.rest, mixture, 8000, "FLOAT")
    return {"path": str(first), "second_path": str(second), "role": "training"}


def joint_settings(*datasets, **changes):
    """A joint training of a second or two."""
    loss = {"name": "relative_error", "options": {"power": 0.7}}
    data = {"source": "joint", "workers": 1}
    return tiny_settings(*datasets, **{"model": BAND, "data": data, "loss": loss, "steps_per_epoch": 3, **changes})
