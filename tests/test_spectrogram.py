"""The STFT against librosa, and the streaming versions against the whole-signal ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splitstrument.spectrogram import istft, istft_blocks, n_frames_of, stft, stft_blocks


@pytest.mark.parametrize("n_fft", [512, 1024, 1536, 2048, 4096])
@pytest.mark.parametrize("n_samples", [22050, 12347])
def test_equals_librosa(rng, n_fft, n_samples):
    librosa = pytest.importorskip("librosa")
    audio = rng.standard_normal((n_samples, 2)).astype(np.float32)
    theirs = librosa.stft(audio.T, n_fft=n_fft, hop_length=n_fft // 4, pad_mode="reflect")
    ours = stft(audio, n_fft)
    assert ours.shape == theirs.shape and ours.dtype == np.complex64
    assert np.abs(ours - theirs).max() < 2e-6 * np.abs(theirs).max()
    masked = theirs * rng.random(theirs.shape, np.float32)
    back = librosa.istft(masked, n_fft=n_fft, hop_length=n_fft // 4, length=n_samples).T
    assert np.abs(istft(masked, n_samples, n_fft) - back).max() < 1e-5


@pytest.mark.parametrize("n_samples", [1, 2, 3, 100, 511, 512, 513, 5001])
def test_gives_back_any_length(rng, n_samples):
    audio = rng.standard_normal((n_samples, 3)).astype(np.float32)
    spectrum = stft(audio, 512)
    assert spectrum.shape == (3, 257, n_frames_of(n_samples, 128))
    assert np.abs(istft(spectrum, n_samples, 512) - audio).max() < 1e-5


def test_refuses_settings_that_leave_gaps():
    with pytest.raises(ValueError, match="hop_length=600"):
        stft(np.zeros((1000, 1), np.float32), 512, 600)


def _cut(audio, sizes):
    start = 0
    while start < len(audio):
        size = sizes[start % len(sizes)]
        yield audio[start : start + size]
        start += size


@settings(max_examples=60, deadline=None)
@given(
    n_samples=st.integers(1, 3000),
    sizes=st.lists(st.integers(1, 700), min_size=1, max_size=4),
    n_frames=st.integers(1, 20),
    hop_length=st.sampled_from([16, 24, 32]),
)
def test_streams_equal_the_whole(n_samples, sizes, n_frames, hop_length):
    audio = np.random.default_rng(n_samples).standard_normal((n_samples, 2)).astype(np.float32)
    streamed = list(stft_blocks(_cut(audio, sizes), 64, hop_length, n_frames))
    whole = stft(audio, 64, hop_length)
    assert all(block.shape[-1] == n_frames for block in streamed[:-1])
    assert np.abs(np.concatenate(streamed, axis=-1) - whole).max() < 1e-5
    back = np.concatenate(list(istft_blocks(iter(streamed), 64, hop_length, lambda: n_samples)))
    assert back.shape == audio.shape
    assert np.abs(back - istft(whole, n_samples, 64, hop_length)).max() < 1e-5


def test_an_empty_stream_stays_empty():
    assert list(stft_blocks(iter([]), 64, 16, 4)) == []
    assert list(istft_blocks(iter([]), 64, 16, lambda: 0)) == []
