"""Excerpts are the same cut of both files, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from splitstrument import audio
from splitstrument.datasets.excerpts import Example, Excerpt, ExcerptRecipe, cut_excerpts
from splitstrument.errors import DatasetError, SettingsError
from splitstrument.pairs import find_pairs
from splitstrument.settings import load_settings


@pytest.fixture
def pairs(tmp_path, rng):
    for stem in ("instrument", "rest"):
        noise = 0.05 * rng.standard_normal((5 * 8000, 2)).astype(np.float32)
        audio.write(tmp_path / "pairs" / "a" / f"{stem}_a.wav", noise, 8000, "FLOAT")
    return tmp_path / "pairs"


def recipe(**changes) -> ExcerptRecipe:
    values = {"name": "cut", "target": "guitar", "source": "test", "licence": "CC0", "attribution": "nobody"}
    return ExcerptRecipe(
        **{**values, "sample_rate_hz": 8000, "tracks": {"a": Excerpt(start_s=1, duration_s=2)}, **changes}
    )


def test_samples_are_the_originals_to_16_bits(pairs, tmp_path):
    cut_excerpts(recipe(), pairs, tmp_path / "out")
    pair = find_pairs(tmp_path / "out" / "cut")[0]
    original, _ = audio.read(pairs / "a" / "rest_a.wav", start=8000, n_samples=16000, mono=True)
    assert np.abs(audio.read(pair.rest)[0] - original).max() <= 1 / 32768


def test_the_example_is_the_mixture(pairs, tmp_path):
    example = Example(track="a", start_s=0.5, duration_s=1, file="example.flac")
    cut_excerpts(recipe(examples=(example,)), pairs, tmp_path / "out")
    mixture, rate = audio.read(tmp_path / "out" / "example.flac")
    parts = [
        audio.read(pairs / "a" / f"{stem}_a.wav", start=4000, n_samples=8000)[0] for stem in ("instrument", "rest")
    ]
    assert rate == 8000
    assert np.abs(mixture - sum(parts)).max() <= 1 / 32768


def test_unknown_tracks_and_late_excerpts_are_named(pairs, tmp_path):
    with pytest.raises(DatasetError, match="names the track 'b', but the pairs are a"):
        cut_excerpts(recipe(tracks={"b": Excerpt(start_s=0, duration_s=1)}), pairs, tmp_path / "out")
    with pytest.raises(DatasetError, match=r"instrument_a\.wav ends at 5\.0 s"):
        cut_excerpts(recipe(tracks={"a": Excerpt(start_s=4, duration_s=2)}), pairs, tmp_path / "out")


def test_an_excerpt_that_starts_never_is_refused(tmp_path):
    (tmp_path / "recipe.yaml").write_text(
        "{name: a, target: b, source: c, licence: d, attribution: e, tracks: {a: {start_s: .inf, duration_s: 1}}}"
    )
    with pytest.raises(SettingsError, match=r"'tracks\.a\.start_s': Input should be a finite number"):
        load_settings(tmp_path / "recipe.yaml", ExcerptRecipe)
