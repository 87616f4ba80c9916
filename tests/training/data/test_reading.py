"""Both readers give the same samples; `make test-tfio` runs this where tensorflow-io works."""

from __future__ import annotations

import numpy as np
import pytest
from training_data import make_pairs, tiny_settings

from splitstrument import audio
from splitstrument.errors import MissingExtraError
from splitstrument.training.data.open import open_streams
from splitstrument.training.data.reading import make_reader, read_mono
from splitstrument.training.data.tracks import load_tracks


def test_outside_the_file_is_silence(tmp_path, rng):
    samples = 0.1 * rng.standard_normal((100, 2)).astype(np.float32)
    audio.write(tmp_path / "a.wav", samples, 8000, "FLOAT")
    found = read_mono(make_reader("soundfile"), tmp_path / "a.wav", audio.probe(tmp_path / "a.wav"), -5, 120)
    assert found.shape == (120,)
    np.testing.assert_array_equal(found[5:105], samples.mean(axis=1))
    assert not found[:5].any() and not found[105:].any()


def test_without_tensorflow_io_the_extra_is_named():
    try:
        import tensorflow_io  # noqa: F401
    except (ImportError, NotImplementedError):
        with pytest.raises(MissingExtraError, match=r"splitstrument\[tfio\]"):
            make_reader("tfio")
    else:
        pytest.skip("tensorflow-io is installed here")


@pytest.mark.tfio
@pytest.mark.parametrize(
    ("suffix", "subtype"), [("wav", "PCM_16"), ("wav", "PCM_24"), ("wav", "FLOAT"), ("flac", "PCM_16"), ("ogg", None)]
)
def test_tensorflow_io_reads_what_soundfile_reads(tmp_path, rng, suffix, subtype):
    path = tmp_path / f"song.{suffix}"
    audio.write(path, 0.1 * rng.standard_normal((5000, 2)).astype(np.float32), 22050, subtype)
    ours, theirs = (make_reader(name)(path, 1000, 500) for name in ("soundfile", "tfio"))
    np.testing.assert_allclose(theirs, ours, atol=1e-6)


@pytest.mark.tfio
@pytest.mark.parametrize("source", ["chunks", "segments"])
def test_batches_are_the_same_with_both_readers(tmp_path, rng, source):
    folder = make_pairs(tmp_path / "d", ["a", "b", "c"], rng)
    batches = []
    for reader in ("soundfile", "tfio"):
        settings = tiny_settings(folder, data={"source": source, "reader": reader})
        batches.append(open_streams(settings, load_tracks(settings)).training.batch(3))
    np.testing.assert_allclose(batches[1]["mixture"], batches[0]["mixture"], atol=1e-6)
    np.testing.assert_allclose(batches[1]["target"], batches[0]["target"], atol=1e-6)
