"""Recipes: every one reads, the published counts come out, and the thesis's own configurations import."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from joint_data import joint_settings, make_joint_songs
from places import ROOT, SHARED
from training_data import make_pairs

from splitstrument.cli import cli
from splitstrument.errors import SettingsError
from splitstrument.reproduction.published import HEADER, published_rows, track_counts
from splitstrument.stem_set import SetTrack, write_listing
from splitstrument.tables import markdown
from splitstrument.training.data.tracks import load_tracks
from splitstrument.training.recipes import import_configuration, load_recipe, parse_jsonc, placed

RECIPES = sorted(path for path in (ROOT / "trainings").glob("*.yaml") if not path.stem.startswith("recognise"))
PUBLISHED = [path for path in RECIPES if "published:" in path.read_text()]


@pytest.mark.parametrize("path", [path for path in RECIPES if "\ndatasets:" in path.read_text()], ids=lambda p: p.stem)
def test_every_recipe_reads(path):
    assert load_recipe(path).settings.datasets


def test_the_19_published_trainings_are_there():
    assert len(PUBLISHED) == 19


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda p: p.stem)
def test_the_published_track_counts_come_out(path):
    settings = load_recipe(path).settings
    if settings.published.tracks is None:
        assert settings.name.startswith("b_1_")  # the only ones whose counts were not printed
        return
    assert tuple(count for count, _ in track_counts(settings)) == settings.published.tracks


def test_published_numbers_are_those_of_the_thesis():
    reference = SHARED / "thesis" / "published.yaml"
    if not reference.is_file():
        pytest.skip("needs shared/thesis/published.yaml beside the checkout")
    data = yaml.safe_load(reference.read_text())
    for name, printed in data["trainings"].items():
        settings = load_recipe(ROOT / "trainings" / f"{name}.yaml").settings
        expected = {**data["defaults"], **printed}
        assert settings.published.instrument.model_dump() == expected["instrument"]
        assert settings.published.rest.model_dump() == expected["rest"]
        assert settings.model.target == expected["target"]
        assert settings.model.network.filters == expected["filters"]
        assert settings.model.spectrogram.n_fft == expected["n_fft"]
        assert settings.data.track_limit == expected["track_limit"]
        assert settings.data.chunks_per_track == expected["chunks_per_track"]
        assert settings.epochs == expected["epochs"]
        assert settings.early_stopping.patience == expected["early_stopping_patience"]
        assert settings.published.stopped_after_epochs == printed.get("stopped_after_epochs")
        if not name.startswith("b_1_"):
            assert [source.label for source in settings.datasets] == [
                data["datasets"][number]["name"] for number in expected["datasets"]
            ]


def test_the_published_parameters_come_out_and_the_docs_have_them():
    page = (ROOT / "docs" / "reproduction.md").read_text(encoding="utf-8")
    by_filters = {load_recipe(path).settings.model.network.filters: path for path in PUBLISHED}
    rows = published_rows(load_recipe(path).settings for path in by_filters.values())
    for row in rows:
        assert row[2] == row[3]
    for line in markdown(HEADER, rows).splitlines():
        assert line in page


CONFIGURATION = """
{ // a comment, and "a quote"
  "base": "base.jsonc",
  "collection": {"name": "Piano // not a comment", "song_limit": "int(env('LIMIT'))",
                 "folders": [{"path": "/data/piano/tracks_22050hz/", "ratio": 3}]},
  "training": {"epoch": {"count": 7}} /* another */
}
"""
BASE = {
    "transformation": {
        "name": "train_window_predict_mask",
        "options": {"size": 64, "step": 64, "normalizer": "norm_max"},
    },
    "training": {
        "model": {
            "options": {
                "stacks": 6,
                "initial_convolutions": {"batchnormalization": True, "dropoutfactor": 0.2},
                "hg_module": {"filters": 92, "batchnormalization": True, "dropoutfactor": 0.2},
                "hg_module_end": {"batchnormalization": True, "dropoutfactor": 0.2},
            }
        },
        "batch_size": 4,
        "loss_function": "L11_loss",
        "optimizer": {"name": "adam", "lr": 0.0001},
    },
}


@pytest.fixture
def configuration(tmp_path):
    """A configuration in the thesis's form, with a base."""
    (tmp_path / "base.jsonc").write_text(json.dumps(BASE))
    (tmp_path / "piano.jsonc").write_text(CONFIGURATION)
    return tmp_path / "piano.jsonc"


def test_a_configuration_of_the_thesis_becomes_a_recipe(configuration):
    settings = load_recipe(configuration).settings
    assert settings.model.target == "piano"
    assert settings.model.network.filters == 92
    assert settings.data.track_limit is None  # a call is unset, never evaluated
    assert settings.datasets[0].label == "piano"
    assert (settings.datasets[0].ratio, settings.epochs, settings.early_stopping.patience) == (3, 7, 20)


def test_what_a_configuration_cannot_say_is_asked_for(configuration, tmp_path):
    configuration.rename(tmp_path / "unnamed.jsonc")
    text = (tmp_path / "unnamed.jsonc").read_text().replace("Piano", "Some")
    (tmp_path / "unnamed.jsonc").write_text(text)
    with pytest.raises(SettingsError, match="does not say what it extracts: add --set model.target=NAME"):
        import_configuration(tmp_path / "unnamed.jsonc")
    assert load_recipe(tmp_path / "unnamed.jsonc", ("model.target=guitar",)).settings.model.target == "guitar"


@pytest.mark.parametrize("text", ["{", "[1]", '{"collection": 3}', '{"collection": {"name": "piano"}}', "[" * 100_000])
def test_a_bad_configuration_is_one_sentence(tmp_path, text):
    path = tmp_path / "bad.jsonc"
    path.write_text(text)
    with pytest.raises(SettingsError, match=r"bad\.jsonc"):
        import_configuration(path)


def test_a_circle_of_bases_is_found(tmp_path):
    for one, other in (("a", "b"), ("b", "a")):
        (tmp_path / f"{one}.jsonc").write_text(json.dumps({"base": f"{other}.jsonc"}))
    with pytest.raises(SettingsError, match="its own base"):
        import_configuration(tmp_path / "a.jsonc")


def test_comments_inside_strings_stay():
    assert parse_jsonc('{"a": "x // y /* z */", /* b */ "c": 1} // d', "text") == {"a": "x // y /* z */", "c": 1}


def test_the_real_configurations_import(shared_data):
    folder = shared_data / "thesis"
    found = [*sorted((folder / "configurations").glob("*.jsonc")), *sorted((folder / "models").glob("*/*.jsonc"))]
    names = {"default-hourglass.jsonc", "master.jsonc"}
    imported = {path: load_recipe(path).settings for path in found if path.name not in names}
    assert len(imported) == 11
    assert imported[folder / "models" / "piano" / "configuration.jsonc"].data.track_limit == 190
    ours = load_recipe(ROOT / "trainings" / "table_04.yaml").settings
    theirs = imported[folder / "configurations" / "guitar_pure.jsonc"]
    assert (theirs.model, theirs.optimizer, theirs.batch_size) == (ours.model, ours.optimizer, ours.batch_size)
    assert theirs.data.track_limit == ours.data.track_limit
    assert [source.ratio for source in theirs.datasets] == [source.ratio for source in ours.datasets]


def test_info_tells_origins_and_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = Path(tmp_path / "r.yaml")
    recipe.write_text(f"base: {ROOT}/trainings/base.yaml\nname: r\ndatasets: [data/absent]\n")
    arguments = ["info", str(recipe), "--set", "model.network.filters=8", "--json"]
    result = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    told = json.loads(result.stdout)
    assert result.exit_code == 0
    assert "The dataset 'absent' is not there" in told["data"]["problem"]
    assert told["settings"]["model.network.filters"] == {"value": 8, "origin": "command line"}
    assert told["settings"]["batch_size"] == {"value": 4, "origin": "base.yaml"}
    assert told["settings"]["seed"]["origin"] == "default"


def test_other_data_need_not_have_the_tracks_that_a_recipe_holds_out(tmp_path, rng):
    recipe = tmp_path / "r.yaml"
    recipe.write_text("name: r\ndatasets: [{name: sample, path: x, exclude: [Metal madness, mine]}]\n")
    make_pairs(tmp_path / "d", ["mine", "other"], rng)
    for place in (tmp_path / "d", tmp_path / "d" / "tracks_8000hz"):
        (source,) = load_recipe(recipe, places=(f"sample={place}",)).settings.datasets
        assert source.exclude == ("mine",)


def test_a_song_that_only_the_second_instrument_has_stays_held_out(tmp_path, rng):
    songs = make_joint_songs(tmp_path, rng)
    settings = joint_settings({**songs, "name": "songs", "path": "x", "exclude": ["a", "c", "elsewhere"]})
    moved = placed(settings, (f"songs={songs['path']}",))
    assert moved.datasets[0].exclude == ("a", "c")
    assert [track.name for track in load_tracks(moved).training] == ["b"]


def test_a_held_out_song_of_a_stem_set_stays_held_out(tmp_path):
    recipe = tmp_path / "r.yaml"
    recipe.write_text(f"base: {ROOT}/trainings/band.yaml\nname: r\ndatasets: [{{path: x, name: s, exclude: [a, b]}}]\n")
    write_listing(tmp_path / "set", 22050, [SetTrack("a", ("guitar",), (), "a")])
    (source,) = load_recipe(recipe, places=(f"s={tmp_path / 'set'}",)).settings.datasets
    assert source.exclude == ("a",)
