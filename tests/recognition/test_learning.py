"""From stem sets and solo parts to overlays with labels, and a whole small training."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import yaml

from splitstrument import audio
from splitstrument.errors import DatasetError
from splitstrument.recipes import recipes_folder
from splitstrument.recognition.classes import all_classes, class_of_program, classes_of_name
from splitstrument.recognition.features import CHUNK_FRAMES, CHUNK_STEPS, N_MELS, RATE_HZ, chunk_samples
from splitstrument.recognition.learning.examples import of_parts, of_sets, window_labels, window_scores
from splitstrument.recognition.learning.overlay import Drawer, batches, step_labels
from splitstrument.recognition.learning.pool import cut_parts, cut_set, read_pool, write_pool
from splitstrument.recognition.learning.recipe import RecogniserRecipe, Sounds, read_recipe
from splitstrument.recognition.learning.score import _baseline_scores
from splitstrument.recognition.learning.train import sounds_to_examples, training_pools
from splitstrument.recognition.learning.truth import truth_of_class, truth_of_stem
from splitstrument.stem_set import STEMS, SetTrack, read_set, write_files, write_listing

NAMES = list(all_classes())
PLAYERS = [
    {"class": "guitar", "kind": "modelled", "program": 27, "amplifier": "metal"},
    {"class": "piano", "kind": "bank", "program": 4, "amplifier": None},
    {"class": "other", "kind": "bank", "program": 48, "amplifier": None},
]


def tone(hertz: float, seconds: float, level: float = 0.2) -> np.ndarray:
    """A tone with an overtone and a little noise: (n_samples, 2)."""
    time_s = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    wave = np.sin(2 * np.pi * hertz * time_s) + 0.3 * np.sin(4 * np.pi * hertz * time_s)
    noise = np.random.default_rng(int(hertz)).normal(0, 0.02, (len(time_s), 2))
    return (level * (wave[:, None] + noise)).astype(np.float32)


@pytest.fixture(scope="module")
def rendered(tmp_path_factory) -> Path:
    """A stem set of two songs of eight seconds with records of who plays."""
    root, tracks = tmp_path_factory.mktemp("set"), []
    (root / "records").mkdir()
    for name in ("a", "b"):
        sounds = {"guitar": tone(220, 8), "piano": tone(440, 8), "other": tone(880, 8)}
        sounds["piano"][: 4 * RATE_HZ] = 0
        write_files(root, name, sounds, RATE_HZ)
        tracks.append(SetTrack(name, STEMS, tuple(sounds), f"song {name}", duration_s=8.0))
        (root / "records" / f"{name}.json").write_text(json.dumps({"players": PLAYERS}))
    write_listing(root, RATE_HZ, tracks)
    return root


@pytest.fixture(scope="module")
def parts(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("parts")
    for index, name in enumerate(("brass", "winds", "drums", "voice")):
        audio.write(root / f"{name}.flac", tone(330 + 50 * index, 6.1), RATE_HZ, "PCM_16")
    listing = {name: {"class": name, "bank": "none", "program": 0} for name in ("brass", "winds", "drums", "voice")}
    (root / "parts.yaml").write_text(yaml.safe_dump({"sample_rate_hz": RATE_HZ, "parts": listing}))
    return root


def test_truth_follows_programs_amplifiers_and_models(rendered):
    track = read_set(rendered).tracks["a"]
    truths = {stem: truth_of_stem(track, stem, PLAYERS) for stem in track.stems}
    assert truths["guitar"].is_ == {"guitar", "guitar_distorted"}
    assert truths["piano"].is_ == {"electric_piano"}
    assert truths["other"].is_ == {"strings"}


def test_a_stem_of_several_families_may_be_each_of_them(rendered):
    track = read_set(rendered).tracks["a"]
    players = [*PLAYERS, {"class": "other", "kind": "bank", "program": 16, "amplifier": None}]
    truth = truth_of_stem(track, "other", players)
    assert not truth.is_ and truth.may_be == {"strings", "organ"}


def test_of_a_real_song_the_rest_may_be_all_but_what_is_known():
    track = SetTrack("real", ("guitar", "piano"), ("guitar", "other"), "band")
    assert truth_of_stem(track, "guitar", None).is_ == {"guitar"}
    rest = truth_of_stem(track, "other", None).may_be
    assert {"drums", "voice", "organ"} <= rest and not {"guitar", "piano", "electric_piano"} & rest


def test_steps_are_labelled_by_level():
    loud = np.full((chunk_samples(), 1), 0.3)
    faint, silent = loud * 10 ** (-30 / 20), 0 * loud
    is_ = np.stack([truth_of_class(name).vectors()[0] for name in ("guitar", "piano", "bass")])
    labels = step_labels([loud, faint, silent], is_, np.zeros_like(is_))
    assert np.all(labels[:, NAMES.index("guitar")] == 1)
    assert np.isnan(labels[:, NAMES.index("piano")]).all()  # 30 dB below the guitar: who can say
    assert np.all(labels[:, NAMES.index("bass")] == 0)


def test_windows_need_two_steps_to_play():
    steps = np.zeros((CHUNK_STEPS, 3))
    steps[0, 1], steps[:2, 2] = 1, 1
    assert np.array_equal(window_labels(steps), [0, np.nan, 1], equal_nan=True)
    assert window_scores(steps)[2] == pytest.approx(2 / 3)


def test_pools_keep_what_sounds_together(rendered, parts, tmp_path, rng):
    assert write_pool(tmp_path / "sets", cut_set(rendered, 5, rng)) >= 20
    pool = read_pool(tmp_path / "sets")
    assert set(np.bincount(pool.moment)) <= {2, 3} and len(np.unique(pool.moment)) == 10
    assert write_pool(tmp_path / "parts", cut_parts([parts])) == 8
    assert np.all(read_pool(tmp_path / "parts").moment == -1)


def test_batches_are_what_the_network_takes_and_seeded(rendered, parts, tmp_path, rng):
    write_pool(tmp_path / "sets", cut_set(rendered, 5, rng))
    write_pool(tmp_path / "parts", cut_parts([parts]))
    pools = [read_pool(tmp_path / name) for name in ("sets", "parts")]
    draws = [next(batches(Drawer(pools, np.random.default_rng(7)), 16)) for _ in range(2)]
    np.testing.assert_array_equal(draws[0][0], draws[1][0])
    features, labels = draws[0]
    assert features.shape == (16, CHUNK_FRAMES, N_MELS, 1) and labels.shape == (16, CHUNK_STEPS, len(NAMES))
    assert np.isfinite(features).all() and 0.05 < np.nanmean(labels) < 0.6
    assert (labels == 1).any(axis=1).sum(axis=1).max() >= 3


def test_examples_of_songs_and_of_solos_over_them(rendered, parts):
    songs = of_sets([rendered])
    assert len(songs) == 4 and set(songs.song) == {f"{rendered.name}/a", f"{rendered.name}/b"}
    assert songs.labels[0, NAMES.index("electric_piano")] == 0 and songs.labels[1, NAMES.index("electric_piano")] == 1
    solos = of_parts(parts, [rendered])
    assert len(solos) == 8
    alone, over = solos.labels[0], solos.labels[1]
    assert alone[NAMES.index("brass")] == over[NAMES.index("brass")] == 1
    assert alone[NAMES.index("guitar")] == 0 and over[NAMES.index("guitar")] == 1


def test_an_empty_folder_is_one_sentence(tmp_path):
    with pytest.raises(DatasetError, match=r"holds no parts\.yaml"):
        list(cut_parts([tmp_path]))
    with pytest.raises(DatasetError, match="Nothing that can be heard"):
        write_pool(tmp_path / "pool", iter(()))


def test_programs_and_names_lead_to_classes():
    assert [class_of_program(program) for program in (0, 4, 19, 30, 40, 61, 73, 80, 52)] == [
        *("piano", "electric_piano", "organ", "guitar", "strings", "brass", "winds", "other"),
        None,
    ]
    assert classes_of_name("vocals") == ("voice",) and classes_of_name("other") == ()


def test_the_stem_sets_of_the_shipped_recipe_are_made_here():
    """Each is the output of a recipe that renders a stem set (bands: corpus_NAME), or of `dataset stem-set`."""
    recipe, folder = read_recipe("recognise"), recipes_folder("datasets")
    rendered = {path.stem for path in folder.glob("*.yaml") if "\ntarget:" not in path.read_text()}
    rendered |= {name.replace("corpus", "band") for name in rendered} | {"band"}
    text = "".join(path.read_text() for path in folder.glob("*.yaml"))
    used = [*recipe.more_moments, *recipe.train.sets]
    used += [root for one in (recipe.choose, *recipe.score.values()) for root in (*one.sets, *one.under)]
    lost = [root for root in used if root.name not in rendered and not re.search(rf"stem-set .* -o {root} ", text)]
    assert lost == []
    assert set(recipe.more_moments) <= set(recipe.train.sets)


def test_what_is_kept_belongs_to_its_recipe(rendered, parts, tmp_path):
    """Another recipe with the same cache cuts its own sounds; the same one cuts nothing again."""
    said: list[str] = []

    def pools(**changes):
        recipe = {"name": "mine", "train": {"sets": [rendered]}, "choose": {}, "cache": tmp_path, "moments": 2}
        return training_pools(RecogniserRecipe.model_validate({**recipe, **changes}), said.append)

    first, again, more = pools(), pools(seed=3), pools(moments=6)
    assert said == ["cutting sets"] * 2
    assert len(first[0]) == len(again[0]) < len(more[0])
    solos = [sounds_to_examples(Sounds(parts=(parts,), under=under), tmp_path / "x") for under in ((), (rendered,))]
    assert not np.array_equal(solos[0].features, solos[1].features)


def test_baselines_are_fitted_again_for_a_new_entry(rendered, parts, tmp_path):
    pytest.importorskip("sklearn")
    recipe = RecogniserRecipe(
        name="mine",
        train=Sounds(sets=(rendered,), parts=(parts,)),
        choose=Sounds(parts=(parts,)),
        cache=tmp_path,
        moments=2,
    ).model_copy(update={"baseline_overlays": 16})
    one = sounds_to_examples(recipe.choose, tmp_path / "choose")
    said: list[str] = []
    _baseline_scores(recipe, {"a": one}, said.append)
    scores = _baseline_scores(recipe, {"a": one, "b": one}, said.append)
    assert len(scores["b"]) == len(one)
    assert said.count("fitting support vector machines") == 2


@pytest.mark.slow
def test_a_training_makes_a_recogniser_and_its_scores(rendered, parts, tmp_path):
    pytest.importorskip("tensorflow")
    pytest.importorskip("sklearn")
    from click.testing import CliRunner

    from splitstrument.cli import cli
    from splitstrument.recognition.listen import recognise

    sounds = {"sets": [str(rendered)], "parts": [str(parts)], "under": [str(rendered)]}
    recipe = {
        "name": "tiny", "train": {"sets": [str(rendered)], "parts": [str(parts)]}, "choose": sounds,
        "score": {"again": sounds}, "cache": str(tmp_path / "cache"), "moments": 4, "batch_size": 4,
        "baseline_overlays": 50,
        "network": {"widths": [4, 4, 8, 8], "hidden": 8}, "steps_per_epoch": 2, "epochs": 2,
    }  # fmt: skip
    (tmp_path / "tiny.yaml").write_text(json.dumps(recipe))
    command = ["train-recogniser", str(tmp_path / "tiny.yaml"), "-o", str(tmp_path / "model")]
    result = CliRunner().invoke(cli, command, catch_exceptions=False)
    assert result.exit_code == 0 and "average precision" in result.output
    heard = recognise(tone(220, 8), RATE_HZ, model=tmp_path / "model")
    assert len(heard.probabilities["guitar"]) == 8
    assert "| guitar |" in (tmp_path / "model" / "scores.md").read_text()
