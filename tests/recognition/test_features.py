"""Mel spectra: librosa's filters, streams that do not depend on blocks, and what must not change what is heard."""

from __future__ import annotations

import numpy as np
import pytest

from splitstrument.recognition.features import (
    HIGHEST_HZ,
    LOWEST_HZ,
    N_FFT,
    N_MELS,
    RATE_HZ,
    chunk_mels,
    chunk_samples,
    mel_blocks,
    mel_filters,
    to_network,
)


def test_filters_are_those_of_librosa():
    librosa = pytest.importorskip("librosa")
    theirs = librosa.filters.mel(sr=RATE_HZ, n_fft=N_FFT, n_mels=N_MELS, fmin=LOWEST_HZ, fmax=HIGHEST_HZ)
    np.testing.assert_allclose(mel_filters(), theirs, atol=1e-7)


def test_a_stream_does_not_depend_on_its_blocks(rng):
    song = rng.normal(0, 0.1, (RATE_HZ, 2)).astype(np.float32)
    whole = np.concatenate(list(mel_blocks(iter([song]))))
    pieces = np.concatenate(list(mel_blocks(iter(np.split(song, [1, 500, 9000])), n_frames=7)))
    np.testing.assert_allclose(pieces, whole, rtol=1e-4)


def test_an_inverted_channel_is_heard_like_any_other(rng):
    mono = rng.normal(0, 0.1, (chunk_samples(), 1)).astype(np.float32)
    one, other = (chunk_mels(np.concatenate([mono, sign * mono], axis=1)) for sign in (1, -1))
    np.testing.assert_array_equal(one, other)


def test_gain_does_not_change_what_the_network_sees(rng):
    mels = chunk_mels(rng.normal(0, 0.3, (chunk_samples(), 1)).astype(np.float32))
    np.testing.assert_allclose(to_network(mels * 1e-3), to_network(mels), atol=1e-4)


def test_silence_is_flat_and_noise_far_below_full_scale_stays_low(rng):
    silence = to_network(np.zeros((4, N_MELS), np.float32))
    assert np.ptp(silence) == 0 and silence.max() < -1.5
    faint = chunk_mels(rng.normal(0, 1e-6, (chunk_samples(), 1)).astype(np.float32))
    assert to_network(faint).max() < -0.5
