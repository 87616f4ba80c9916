"""A model adapted to a song: its statistics become the song's, as far as asked, and nothing else changes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tiny_models import music, tiny_settings

from splitstrument.audio import read, write
from splitstrument.errors import ModelError, SettingsError
from splitstrument.files import sha256_of
from splitstrument.model_folder import ModelDescription, ModelFolder, read_model_folder, write_model_folder
from splitstrument.network.settings import BandUnetSettings, ModelSettings, SpectrogramSettings
from splitstrument.pairs import find_pairs
from splitstrument.spectrogram import stft

pytest.importorskip("keras")
RATE = 22_050


def band_settings() -> ModelSettings:
    return ModelSettings(
        spectrogram=SpectrogramSettings(n_fft=512),
        n_frames=16,
        normalisation="none",
        network=BandUnetSettings(folds=(2, 4), time_fold=2, width=4, growth=4, levels=2),
    )


def model_folder(path: Path, settings: ModelSettings) -> ModelFolder:
    """A model folder with Keras weights."""
    from splitstrument.network.registry import build_network

    path.mkdir()
    build_network(settings, 1).save_weights(path / "best.weights.h5")
    write_model_folder(path, ModelDescription(name="band", summary="Small.", model=settings), ["best.weights.h5"])
    return read_model_folder(path)


def weights_of(folder: ModelFolder) -> list[tuple[str, np.ndarray]]:
    """Names (layers are numbered on and on) and values of all weights."""
    from splitstrument.network.registry import build_network

    network = build_network(folder.settings)
    network.load_weights(folder.file("best.weights.h5"))
    return [(weight.path, weight.numpy()) for weight in network.weights]


@pytest.fixture
def song(rng, tmp_path: Path) -> Path:
    write(tmp_path / "song.wav", music(rng, 4 * RATE), RATE)
    return tmp_path / "song.wav"


def test_statistics_become_the_songs_as_far_as_asked(tmp_path, song):
    from splitstrument.model_tools.adapt import adapt
    from splitstrument.network.bandunet import compress

    before = model_folder(tmp_path / "m", band_settings())
    heard_s: list[float] = []
    adapt(before, [song], tmp_path / "heard", advance=heard_s.append)
    assert 3.5 < sum(heard_s) <= 4.0
    found = {share: weights_of(adapt(before, [song], tmp_path / f"a{share}", share)) for share in (0.0, 0.5, 1.0)}
    for (path, known), (_, none), (_, half), (_, whole) in zip(weights_of(before), *found.values(), strict=True):
        assert np.array_equal(none, known)
        if "moving_" not in path:
            assert np.array_equal(whole, known)  # nothing but statistics
        else:
            assert not np.allclose(whole, known, rtol=1e-3)
            assert np.allclose(half, (whole + known) / 2, atol=1e-6)

    audio, _ = read(song)
    magnitudes = np.abs(stft(audio.mean(axis=1, keepdims=True), 512, 128)[0])
    count = magnitudes.shape[1] // 16
    chunks = magnitudes[:, : 16 * count].reshape(257, count, 16).transpose(1, 0, 2)[..., None]
    seen = [compress(chunks[start : start + 16, 1:], 0.3) for start in range(0, count - 7, 16)]
    (mean,) = (values for path, values in found[1.0] if "standardise/moving_mean" in path)
    assert np.allclose(mean, np.mean([np.mean(batch, axis=(0, 2, 3)) for batch in seen], axis=0), rtol=1e-3)


def test_the_command_adapts_to_a_song_or_a_pair_and_separates(rng, tmp_path, song):
    audio, _ = read(song)
    halves = {"instrument": audio * np.float32(0.25), "rest": audio * np.float32(0.75)}
    for name, half in halves.items():
        write(tmp_path / "pairs" / "one" / f"{name}_one.wav", half, RATE, "FLOAT")
    model_folder(tmp_path / "m", band_settings())
    cases = {"song": [song], "pair": ["--tracks", tmp_path / "pairs", "--track", "one"]}
    for name, heard in cases.items():
        done = run("models", "adapt", tmp_path / "m", *heard, "--share", "1", "-o", tmp_path / name)
        assert done.returncode == 0, done.stderr
    adapted = {name: read_model_folder(tmp_path / name) for name in cases}
    for (_, one), (_, other) in zip(weights_of(adapted["song"]), weights_of(adapted["pair"]), strict=True):
        assert np.allclose(one, other, atol=1e-3)
    assert adapted["song"].description.summary == "Small. Adapted to 1 song (100%)."
    inputs = json.loads((tmp_path / "song" / "provenance.json").read_text())["inputs"]
    assert inputs == {"song.wav": sha256_of(song)}
    (pair,) = find_pairs(tmp_path / "pairs")
    inputs = json.loads((tmp_path / "pair" / "provenance.json").read_text())["inputs"]
    assert set(inputs) == {pair.instrument.name, pair.rest.name}

    done = run("separate", song, "--model", tmp_path / "song", "-o", tmp_path / "out", "--quiet")
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "out").rglob("instrument.wav"))) == 1


def test_mistakes_are_told_in_one_sentence(rng, tmp_path, song):
    from splitstrument.model_tools.adapt import adapt

    model = model_folder(tmp_path / "m", band_settings())
    with pytest.raises(SettingsError, match="not empty"):
        adapt(model, [song], tmp_path / "m")
    with pytest.raises(ModelError, match=r"none of last\.weights\.h5"):
        adapt(model, [song], tmp_path / "a", weights="last")
    write(tmp_path / "silence.wav", np.zeros((2 * RATE, 1), np.float32), RATE)
    write(tmp_path / "short.wav", music(rng, 1000), RATE)
    for name in ("silence", "short"):
        with pytest.raises(SettingsError, match="nothing audible"):
            adapt(model, [tmp_path / f"{name}.wav"], tmp_path / "a")
    plain = tiny_settings()
    plain = plain.model_copy(update={"network": plain.network.model_copy(update={"batch_normalization": False})})
    with pytest.raises(ModelError, match="no batch normalization"):
        adapt(model_folder(tmp_path / "plain", plain), [song], tmp_path / "a")
    assert not (tmp_path / "a").exists()

    for name in ("instrument", "rest"):
        write(tmp_path / "pairs" / "x" / f"{name}_x.wav", music(rng, 3 * RATE), RATE)
    wrong = ("--tracks", tmp_path / "pairs", "--track", "x", "--track", "y", "-o", tmp_path / "a")
    done = run("models", "adapt", tmp_path / "m", *wrong)
    assert done.returncode == 1 and "has no track y: choose from x." in done.stderr
    done = run("models", "adapt", tmp_path / "m", "-o", tmp_path / "a")
    assert done.returncode == 1 and "nothing to adapt to" in done.stderr and "Traceback" not in done.stderr


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "splitstrument", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)
