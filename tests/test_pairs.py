"""Pairs are found by name in the thesis's order; half pairs and unequal ones are named."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from splitstrument import audio
from splitstrument.errors import DatasetError
from splitstrument.pairs import check_pair, check_whole, find_pairs


def make_pair(folder, name, rate=8000, rest_rate=None, n_samples=80, rest_samples=None):
    for stem, hz, length in (("instrument", rate, n_samples), ("rest", rest_rate or rate, rest_samples or n_samples)):
        audio.write(folder / name / f"{stem}_{name}.wav", np.zeros((length, 1), np.float32), hz)


def test_pairs_come_in_md5_order(tmp_path):
    names = [f"track {index}" for index in range(20)]
    for name in names:
        make_pair(tmp_path, name)
    found = [pair.name for pair in find_pairs(tmp_path)]
    assert found == sorted(names, key=lambda name: hashlib.md5(name.encode()).hexdigest())
    assert found != sorted(names)


def test_the_wanted_rate_is_taken(tmp_path):
    for rate in (8000, 16000):
        make_pair(tmp_path / f"tracks_{rate}hz", "a", rate)
    assert audio.probe(find_pairs(tmp_path, 16000)[0].rest).sample_rate_hz == 16000
    assert audio.probe(find_pairs(tmp_path, 8000)[0].rest).sample_rate_hz == 8000
    # no exact match: the next higher rate, since resampling down loses nothing below the new Nyquist frequency
    assert audio.probe(find_pairs(tmp_path, 11025)[0].rest).sample_rate_hz == 16000


def test_no_pairs_no_folder_half_a_pair(tmp_path):
    with pytest.raises(DatasetError, match="holds no pairs.*dataset mix"):
        find_pairs(tmp_path)
    with pytest.raises(DatasetError, match="There is no folder"):
        find_pairs(tmp_path / "nowhere")
    make_pair(tmp_path, "a")
    (tmp_path / "a" / "rest_a.wav").unlink()
    with pytest.raises(DatasetError, match="has no rest_"):
        find_pairs(tmp_path)


@pytest.mark.parametrize("lost", ["instrument_b.ra", "instrument_b.wav", "rest_b.ra", "rest_b.wav"])
def test_pairs_that_cannot_be_taken_are_named(tmp_path, lost):
    make_pair(tmp_path, "a")
    make_pair(tmp_path, "b")
    path = tmp_path / "b" / lost
    path.with_suffix(".wav").unlink()
    path.symlink_to(path.name) if path.suffix == ".wav" else path.write_bytes(b"x")
    with pytest.raises(DatasetError, match=f"{lost} is .*: (convert|mend)"):
        find_pairs(tmp_path)
    bad, good = sorted(find_pairs(tmp_path, halves=True), reverse=True)
    check_whole(good)
    with pytest.raises(DatasetError, match=lost):
        check_whole(bad)


@pytest.mark.parametrize("target", ["dead", "gone"])
def test_links_of_tracks_are_followed_or_named(tmp_path, target):
    make_pair(tmp_path / "elsewhere", "b")
    make_pair(tmp_path / "set", "a")
    (tmp_path / "set" / "b").symlink_to(tmp_path / "elsewhere" / "b")
    (tmp_path / "set" / "again").symlink_to(".")
    assert {pair.name for pair in find_pairs(tmp_path / "set")} == {"a", "b"}
    (tmp_path / "set" / "dead").symlink_to(target)
    with pytest.raises(DatasetError, match="dead is a link that leads nowhere"):
        find_pairs(tmp_path / "set")
    (bad,) = (pair for pair in find_pairs(tmp_path / "set", halves=True) if pair.name == "dead")
    with pytest.raises(DatasetError, match="dead is a link that leads nowhere"):
        check_whole(bad)


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"rest_rate": 16000}, "8000 Hz and rest 16000"), ({"rest_samples": 81}, "80 samples and rest 81")],
)
def test_unequal_pairs_are_named(tmp_path, changes, message):
    make_pair(tmp_path, "a", **changes)
    with pytest.raises(DatasetError, match=message):
        check_pair(find_pairs(tmp_path)[0])
