"""The models that ship: whole, small, the same in every engine, as good as recorded, and sane at the limits."""

from pathlib import Path

import numpy as np
import pytest

import splitstrument
from splitstrument import audio
from splitstrument.evaluation.metrics.score import score_pair
from splitstrument.model_folder import find_model, shipped_models
from splitstrument.pairs import find_pairs
from splitstrument.separation.engines import ENGINES, open_engine
from splitstrument.settings import read_yaml

ROOT = Path(__file__).parents[2]
MAX_BYTES = 16_000_000
MODELS = sorted(shipped_models())
PACKAGES = {"keras": "keras", "openvino": "openvino", "litert": "ai_edge_litert"}


def first_stem(song, rate_hz, model):
    """The instrument that a model takes out, of several the first one."""
    return next(iter(splitstrument.separate(song, rate_hz, model=model).stems.values()))


def si_sdr(pair, model):
    """Of the mixture and of the instrument that `model` takes out of it."""
    (instrument, rate_hz), (rest, _) = audio.read(pair.instrument), audio.read(pair.rest)
    mixture = instrument + rest
    scores = []
    for estimate in (mixture, first_stem(mixture, rate_hz, model)):
        pairs = np.stack([instrument, rest]), np.stack([estimate, mixture - estimate])
        scores.append(score_pair(*pairs, rate_hz, framewise=False)["instrument"]["si_sdr"])
    return scores


def test_there_are_models_for_guitar_for_piano_and_for_a_band():
    assert {name: find_model(name).settings.names for name in MODELS} == {
        "band": ("guitar", "piano", "bass", "drums"),
        "guitar": ("guitar",),
        "piano": ("piano",),
    }


@pytest.mark.parametrize("name", MODELS)
def test_files_are_whole_small_and_documented(name):
    folder = find_model(name)
    for file in folder.description.files:
        assert folder.file(file).stat().st_size < MAX_BYTES
    card = (folder.path / "card.md").read_text()
    for word in ("Trained on", "Held-out", "Known failures", "Licence", "splitstrument train"):
        assert word in card
    assert (folder.path / "provenance.json").is_file()


@pytest.mark.parametrize("name", MODELS)
def test_its_failures_can_be_heard(name):
    """Every sound of the list is there, and every sound there is listed."""
    folder = find_model(name).path
    listed = [file for entry in read_yaml(folder / "failures.yaml")["failures"] for file in entry["sounds"].values()]
    assert sorted(listed) == sorted(path.name for path in folder.glob("*.ogg"))
    for file in listed:
        sound, rate_hz = audio.read(folder / file)
        assert 4 <= len(sound) / rate_hz <= 10 and np.abs(sound).max() > 0.001


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("engine", sorted(ENGINES))
def test_every_engine_gives_the_same_masks(name, engine, rng):
    """Exact engines to 1e-4 of the mask; those of reduced precision to 0.05."""
    if engine in PACKAGES:
        pytest.importorskip(PACKAGES[engine])
    folder = find_model(name)
    chunks = (rng.random((2, *folder.settings.input_shape), np.float32) ** 4).astype(np.float32)
    try:
        masks = open_engine(folder, engine).predict(chunks)
    except splitstrument.errors.SplitstrumentError as error:
        pytest.skip(str(error))
    exact = open_engine(folder, "onnxruntime").predict(chunks)
    tolerance = 0.05 if any(word in engine for word in ("bf16", "int8")) else 1e-4
    np.testing.assert_allclose(masks, exact, atol=tolerance)


@pytest.mark.parametrize("name", MODELS)
def test_the_shipped_sample_scores_as_recorded(name):
    """Within 0.1 dB of what the model scored when it was shipped, and above the mixture."""
    recorded = read_yaml(find_model(name).path / "sample_scores.yaml")
    pairs = find_pairs(ROOT / recorded["data"])
    assert {pair.name for pair in pairs} == set(recorded["si_sdr"])
    for pair in pairs:
        mixture, estimate = si_sdr(pair, name)
        assert estimate == pytest.approx(recorded["si_sdr"][pair.name], abs=0.1)
        assert estimate > mixture


@pytest.mark.parametrize("name", MODELS)
def test_silence_gives_silence(name):
    silence = np.zeros((22050, 2), np.float32)
    separation = splitstrument.separate(silence, 22050, model=name)
    assert not any(stem.any() for stem in separation.stems.values())


@pytest.mark.parametrize("name", MODELS)
def test_louder_and_softer_songs_are_separated_alike(name):
    """A gain on the song is a gain on its parts."""
    pair = find_pairs(ROOT / "datasets/sample/real")[0]
    mixture = (audio.read(pair.instrument)[0] + audio.read(pair.rest)[0])[: 6 * 22050]
    soft, loud = (first_stem(gain * mixture, 22050, name) for gain in (0.02, 1.0))
    np.testing.assert_allclose(soft / np.float32(0.02), loud, atol=2e-3 * np.abs(loud).max())
