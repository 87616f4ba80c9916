"""Mixing, limits and validation of the thesis, as counts and as tracks on disk."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from places import ROOT
from training_data import make_pairs, tiny_settings

from splitstrument.errors import DatasetError
from splitstrument.training.data.tracks import load_tracks, mix_counts, validation_count
from splitstrument.training.recipes import load_recipe


@pytest.mark.parametrize(
    ("sizes", "ratios", "limit", "expected"),
    [
        ([593, 68], [3, 1], 175, [131, 43]),  # table 4
        ([592, 68], [3, 1], 175, [131, 43]),  # table 5
        ([131, 80], [3, 1], 175, [131, 43]),  # table 9
        ([123, 80], [3, 1], 175, [123, 43]),  # table 10: no back-fill
        ([80, 123], [1, 3], 190, [47, 123]),  # table 11
        ([593], [1], 131, [131]),  # table 2
        ([593], [1], None, [593]),  # table 6
        ([10, 4], [3, 1], None, [10, 4]),  # four times the smallest is 16: 12 wanted, 10 there
    ],
)
def test_mixing_gives_the_published_counts(sizes, ratios, limit, expected):
    datasets = [{"path": f"d{index}", "ratio": ratio} for index, ratio in enumerate(ratios)]
    assert mix_counts(sizes, tiny_settings(*datasets, data={"track_limit": limit})) == expected


def test_131_tracks_are_105_and_26():
    source = tiny_settings({"path": "d"}).datasets[0]
    assert validation_count(131, source, 0.2) == 26


def test_validation_is_the_first_by_md5_and_listed_order_keeps_datasets_apart(tmp_path, rng):
    one = make_pairs(tmp_path / "one", ["a", "b", "c", "d", "e"], rng)
    two = make_pairs(tmp_path / "two", ["f", "g", "h", "i", "j"], rng)
    tracks = load_tracks(tiny_settings(one, two, validation_ratio=0.4))
    by_md5 = sorted("abcde", key=lambda name: hashlib.md5(name.encode()).hexdigest())
    assert [track.pair.name for track in tracks.validation if track.dataset == 0] == by_md5[:2]
    assert [track.pair.name for track in tracks.training if track.dataset == 0] == by_md5[2:]
    assert [track.dataset for track in tracks.training] == sorted(track.dataset for track in tracks.training)
    assert not {track.key for track in tracks.training} & {track.key for track in tracks.validation}


def test_md5_order_mixes_the_datasets(tmp_path, rng):
    one = make_pairs(tmp_path / "one", ["a", "b", "c"], rng)
    two = make_pairs(tmp_path / "two", ["d", "e", "f"], rng)
    tracks = load_tracks(tiny_settings(one, two, validation_ratio=0, data={"order": "md5"}))
    digests = [hashlib.md5(track.pair.name.encode()).hexdigest() for track in tracks.training]
    assert digests == sorted(digests)


def test_held_out_tracks_are_in_neither_side(tmp_path, rng):
    folder = make_pairs(tmp_path / "d", ["a", "b", "c", "d"], rng)
    tracks = load_tracks(tiny_settings({"path": str(folder), "exclude": ["b"]}))
    assert {track.pair.name for track in tracks.training + tracks.validation} == {"a", "c", "d"}


def test_roles_give_a_whole_dataset_to_one_side(tmp_path, rng):
    one, two = (make_pairs(tmp_path / name, ["a", "b"], rng) for name in ("one", "two"))
    settings = tiny_settings({"path": str(one), "role": "training"}, {"path": str(two), "role": "validation"})
    tracks = load_tracks(settings)
    assert [track.dataset for track in tracks.training] == [0, 0]
    assert [track.dataset for track in tracks.validation] == [1, 1]


def test_a_recipe_finds_its_data_beside_its_own_folder(tmp_path, rng, monkeypatch):
    make_pairs(tmp_path / "project" / "data" / "d", ["a", "b"], rng)
    monkeypatch.chdir(tmp_path)
    settings = tiny_settings({"path": "data/d"})
    assert len(load_tracks(settings, Path("project/trainings")).training) == 1
    with pytest.raises(DatasetError, match=r"The dataset 'd' is not there: .*--dataset d=PATH"):
        load_tracks(settings)


def test_all_missing_datasets_are_named_with_the_recipes_that_make_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table_04 = load_recipe(ROOT / "trainings" / "table_04.yaml").settings
    with pytest.raises(DatasetError) as raised:
        load_tracks(table_04)
    for name in ("recorded_guitar", "pure_guitar"):
        assert f"expected a folder data/{name} with" in str(raised.value)
        assert f"`splitstrument dataset build datasets/{name}.yaml`" in str(raised.value)


def test_an_unknown_track_name_is_an_error(tmp_path, rng):
    folder = make_pairs(tmp_path / "d", ["a", "b"], rng)
    with pytest.raises(DatasetError, match="has no track 'c': it has a, b"):
        load_tracks(tiny_settings({"path": str(folder), "exclude": ["c"]}))
