"""Stand-ins have the shape of what they stand for, and say what they are."""

from __future__ import annotations

import numpy as np
import pytest
from places import ROOT
from training_data import make_pairs

from splitstrument import audio
from splitstrument.errors import DatasetError, SettingsError
from splitstrument.network.settings import ModelSettings
from splitstrument.pairs import find_pairs
from splitstrument.reproduction.stand_ins import StandInScale, read_scale, stand_in_settings
from splitstrument.training.data.chunks import items_limit
from splitstrument.training.data.tracks import load_tracks
from splitstrument.training.recipes import load_recipe


@pytest.fixture
def corpus(tmp_path, rng):
    """A corpus with four piano tracks, one of them mostly silent."""
    folder = make_pairs(tmp_path / "corpus" / "piano", ["a", "b", "c", "d"], rng, seconds=8, rate_hz=22050)
    path = folder / "tracks_22050hz" / "a" / "instrument_a.wav"
    samples, rate_hz = audio.read(path)
    samples[2 * rate_hz :] = 0
    audio.write(path, samples, rate_hz, "FLOAT")
    return folder.parent


def test_table_10_on_stand_ins(corpus):
    settings = load_recipe(ROOT / "trainings" / "table_10.yaml").settings
    stand_in = stand_in_settings(settings, corpus)
    assert stand_in.name == "table_10-stand-in"
    assert stand_in.summary.startswith("STAND-IN on rendered music")
    assert [source.label for source in stand_in.datasets] == [
        "recorded_piano_less_silence-stand-in",
        "pure_piano-stand-in",
    ]
    ModelSettings.model_validate(stand_in.model.model_dump())
    less, pure = (find_pairs(source.path) for source in stand_in.datasets)
    assert {pair.name for pair in less} == {"a", "b", "c", "d"}
    whole = {pair.name: audio.probe(pair.instrument).n_samples for pair in find_pairs(corpus / "piano")}
    cut = {pair.name: audio.probe(pair.instrument).n_samples for pair in less}
    assert cut["a"] < whole["a"]
    assert cut["b"] == whole["b"]
    for pair in pure:
        assert not audio.read(pair.rest)[0].any()
        source = corpus / "piano" / "tracks_22050hz" / pair.name.removeprefix("pure_")
        np.testing.assert_array_equal(audio.read(pair.instrument)[0], audio.read(next(source.glob("instrument_*")))[0])
    tracks = load_tracks(stand_in)
    datasets = [track.dataset for track in tracks.training]
    assert datasets == sorted(datasets)  # the pure dataset comes last, as it did
    assert {0, 1} == set(datasets)


def test_filters_keep_their_proportion(corpus):
    filters = []
    for name in ("b_2_3", "b_3_2", "b_3_3"):
        settings = load_recipe(ROOT / "trainings" / f"{name}.yaml", ("model.target=piano",)).settings
        filters.append(stand_in_settings(settings, corpus).model.network.filters)
    assert filters == [21, 16, 8]


def test_a_scale_scales_everything_it_names(corpus):
    """Chunks per track follow from the steps; the thesis's scaling of chunks with n_fft is kept."""
    scale = StandInScale(
        filters=1 / 24, dropout=1 / 24, n_fft=1 / 3, sample_rate_hz=22050, frames=0.5, levels=4, tracks=0.05, steps=20,
        epoch_steps=8, batch_size=2, learning_rate=10,
    )  # fmt: skip
    recipe = load_recipe(ROOT / "trainings" / "table_10.yaml").settings
    stand_in = stand_in_settings(recipe, corpus, scale)
    network = stand_in.model.network
    assert (network.filters, network.levels, network.initial_widths, network.end_width) == (8, 4, (4, 8), 8)
    assert network.dropout == pytest.approx(0.2 / 24)
    assert (stand_in.model.spectrogram.n_fft, stand_in.model.n_frames, stand_in.batch_size) == (512, 32, 2)
    assert stand_in.optimizer.learning_rate == pytest.approx(1e-3)
    assert stand_in.data.track_limit == 8
    n_tracks = len(load_tracks(stand_in).training)
    per_epoch = n_tracks * items_limit(stand_in) // 2
    assert 8 <= per_epoch <= 8 + 2 * n_tracks
    assert (stand_in.epochs - 1) * per_epoch < 20 <= stand_in.epochs * per_epoch
    assert "a learning rate of 0.001 (constant)" in stand_in.summary


def test_a_scale_is_a_number_or_a_file():
    assert read_scale().filters == pytest.approx(1 / 12)
    assert read_scale("0.25").filters == 0.25
    assert read_scale(str(ROOT / "trainings" / "stand_ins.yaml")).sample_rate_hz == 8000
    changed = read_scale(str(ROOT / "trainings" / "stand_ins.yaml"), "frames=1", "batch_size=null")
    assert (changed.frames, changed.batch_size, changed.n_fft) == (1, None, pytest.approx(1 / 3))
    with pytest.raises(SettingsError, match="Unknown|unknown"):
        read_scale("frame=1")
    with pytest.raises(SettingsError, match="--scale"):
        read_scale("small")


def test_a_missing_corpus_says_how_to_make_one(tmp_path):
    settings = load_recipe(ROOT / "trainings" / "table_06.yaml").settings
    with pytest.raises(DatasetError, match="to make the stand-in 'recorded_guitar' from: render a corpus"):
        stand_in_settings(settings, tmp_path)


def test_stand_ins_lie_beside_the_corpus_and_not_in_it(corpus):
    before = sorted(corpus.rglob("*"))
    settings = load_recipe(ROOT / "trainings" / "table_10.yaml").settings
    stand_in_settings(settings, corpus)
    assert sorted(corpus.rglob("*")) == before
    assert (corpus.parent / "corpus_stand_ins" / "pure_piano").is_dir()


def test_a_corpus_at_another_rate_is_refused_with_what_fits(tmp_path, rng):
    make_pairs(tmp_path / "corpus" / "piano", ["a", "b"], rng, rate_hz=8000)
    settings = load_recipe(ROOT / "trainings" / "table_10.yaml").settings
    with pytest.raises(DatasetError, match="holds pairs at 8000 Hz.*add --scale sample_rate_hz=8000"):
        stand_in_settings(settings, tmp_path / "corpus")
