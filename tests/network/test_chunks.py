"""The chopper of the thesis: where chunks start, how many there are, what they are divided by."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitstrument.network.chunks import chunk_count, chunk_start, cut_chunk, normalisation_scale


@given(st.integers(1, 5000), st.sampled_from([32, 64, 128]))
def test_chunks_side_by_side_cover_every_frame_once(n_frames, size):
    seen = np.zeros(n_frames, int)
    for index in range(chunk_count(n_frames, size, size)):
        start = chunk_start(index, size, size)
        seen[max(0, start) : start + size] += 1
    assert (seen == 1).all()
    # and one chunk fewer would not do
    assert chunk_start(chunk_count(n_frames, size, size) - 1, size, size) < n_frames


def test_the_first_chunk_starts_half_a_chunk_before_the_song():
    spectrogram = np.arange(1, 101, dtype=np.float32).reshape(1, 1, 100)
    chunk = cut_chunk(spectrogram, chunk_start(0, 64, 64), 64)
    assert (chunk[0, 0, :32] == 0).all()
    assert chunk[0, 0, 32:].tolist() == list(range(1, 33))


def test_chunks_outside_the_song_are_silent():
    assert not cut_chunk(np.ones((1, 3, 10), np.float32), 10, 4).any()
    assert not cut_chunk(np.ones((1, 3, 10), np.float32), -4, 4).any()


def test_normalisation_is_per_chunk_and_skips_silence():
    chunks = np.zeros((3, 2, 4), np.float32)
    chunks[0, 1, 2], chunks[1, 0, 0] = 8, 0.5
    assert normalisation_scale(chunks, "chunk_maximum").ravel().tolist() == [8, 0.5, 1]
    assert normalisation_scale(chunks, "none").ravel().tolist() == [1, 1, 1]


@pytest.mark.parametrize(("n_frames", "count"), [(1, 1), (32, 1), (33, 2), (96, 2), (97, 3)])
def test_count_by_the_formula_of_the_thesis(n_frames, count):
    assert chunk_count(n_frames, 64, 64) == count
