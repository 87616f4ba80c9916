"""The study of learned levels: its models learn what can be learned, and nothing where there is nothing."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile
from stem_set_data import make_set

from splitstrument.errors import DatasetError
from splitstrument.mixing import level_study
from splitstrument.mixing.level_study import N_BANDS, Songs, cross_validated, hear, summary, toy_levels
from splitstrument.stem_set import read_set


@pytest.fixture
def songs(rng, monkeypatch):
    """A hundred and twenty songs of two a group, whose spectra have a few shapes in common."""
    monkeypatch.setattr(level_study, "N_NETWORKS", 1)
    shapes = rng.standard_normal((6, 2 * N_BANDS))
    features = rng.standard_normal((120, 6)) @ shapes + 0.3 * rng.standard_normal((120, 2 * N_BANDS))
    groups = np.repeat(np.arange(60), 2).astype(str)
    return Songs([f"song {index}" for index in range(120)], groups, features, 3 * rng.standard_normal(120))


def test_the_network_learns_the_toy_task_and_the_linear_model_half_of_it(songs):
    rows = summary(cross_validated(songs, toy_levels(songs.features)))
    assert rows["constant"]["gain_lu"] == 0
    assert rows["network"]["error_lu"] < 0.8 * rows["linear"]["error_lu"]
    assert rows["network"]["gain_from_lu"] > 0


def test_where_levels_are_drawn_nothing_beats_the_constant(songs):
    rows = summary(cross_validated(songs, songs.levels_lu))
    assert rows["linear"]["gain_from_lu"] <= 0 and rows["network"]["gain_from_lu"] <= 0
    assert rows["constant"]["error_lu"] == pytest.approx(3 * np.sqrt(2 / np.pi), abs=0.5)


def test_no_group_is_on_both_sides(songs, monkeypatch):
    marked = songs.features.copy()
    marked[:, 0] = songs.groups.astype(float)

    def check(features, levels, wanted):
        assert not set(features[:, 0]) & set(wanted[:, 0])
        return np.zeros(len(wanted))

    monkeypatch.setattr(level_study, "PREDICT", dict.fromkeys(level_study.PREDICT, check))
    errors = cross_validated(Songs(songs.names, songs.groups, marked, songs.levels_lu), songs.levels_lu)
    np.testing.assert_array_equal(errors["network"], np.abs(songs.levels_lu))


def test_levels_and_features_of_files(tmp_path):
    root = make_set(tmp_path / "set", "ab", seconds=6.0)
    before = hear([read_set(root)], "guitar")
    path = read_set(root).path(read_set(root).tracks["a"], "guitar")
    signal, rate = soundfile.read(path)
    soundfile.write(path, 0.5 * signal, rate)
    after = hear([read_set(root)], "guitar")
    assert before.names == ["set/a", "set/b"] and before.features.shape == (2, 2 * N_BANDS)
    np.testing.assert_allclose(before.levels_lu - after.levels_lu, [6.02, 0], atol=0.05)
    np.testing.assert_array_equal(before.features, after.features)  # of the backing alone
    with pytest.raises(DatasetError, match="has a voice that is heard"):
        hear([read_set(root)], "voice")


def test_the_command_prints_three_numbers(tmp_path, capsys, monkeypatch):
    root = make_set(tmp_path / "set", "abcdef", seconds=3.0)
    kept = tmp_path / "features.npz"
    monkeypatch.setattr(level_study, "PREDICT", dict.fromkeys(level_study.PREDICT, level_study._constant))
    for _ in range(2):
        level_study.main([str(root), "--features", str(kept), "--test", str(root), "-o", str(tmp_path / "level.json")])
    found = json.loads((tmp_path / "level.json").read_text())
    assert found["lead"] == "guitar" and found["n_songs"] == found["n_tests"] == 6
    assert list(found["music"]) == ["constant", "linear", "network"] == list(found["toy"])
    assert capsys.readouterr().out.count('"music"') == 2
