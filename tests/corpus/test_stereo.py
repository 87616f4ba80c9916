"""Stereo as on records: places, widths, and a stem set rendered by the real command."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile
from corpus_data import cli, needs_fluidsynth, write_recipe

from splitstrument.corpus import effects, stereo
from splitstrument.stem_set import STEMS, read_set

RATE = 22_050


def noise(seed: int, n_samples: int = RATE) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal((n_samples, 1))).astype(np.float32)


def mono_in_two(seed: int) -> np.ndarray:
    return np.repeat(noise(seed), 2, axis=1)


def test_two_takes_at_the_sides_have_as_much_side_as_mid():
    takes = [effects.pan(mono_in_two(seed), place) for seed, place in ((1, -1.0), (2, 1.0))]
    assert takes[0][:, 1] == pytest.approx(0, abs=1e-6)
    assert abs(stereo.side_db(takes[0] + takes[1])) < 0.5


def test_doubled_guitars_stand_opposite_and_bass_voice_and_drums_in_the_middle():
    stage = stereo.Stage(1.0, 0.9, 1.0)
    classes = ("guitar", "bass", "vocals", "drums", "guitar", "guitar")
    places = stereo.places(classes, (2, 1, 1, 1, 1, 1), ("rhythm",) * 6, np.random.default_rng(3), stage)
    assert sorted(places[0]) == [-0.9, 0.9]
    assert places[1:4] == [(0.0,)] * 3
    far = [place for (place,) in places[4:] if abs(place) > 0.4]
    assert len(far) < 2 or far[0] * far[1] < 0


@pytest.mark.parametrize("factor", [0.0, 0.5, -1.0])
def test_scaling_the_side_leaves_the_mid(factor):
    sound = np.concatenate([noise(1), noise(2)], axis=1)
    scaled = stereo.scaled_side(sound, factor)
    assert np.allclose(scaled.sum(axis=1), sound.sum(axis=1), atol=1e-6)
    assert np.allclose(scaled[:, 0] - scaled[:, 1], factor * (sound[:, 0] - sound[:, 1]), atol=1e-6)


def test_a_widened_sound_has_the_same_mono_sum_and_a_mono_low_end():
    sound = mono_in_two(1)
    wide = stereo.widened(sound, RATE, np.random.default_rng(0), 0.5)
    assert np.allclose(wide.sum(axis=1), sound.sum(axis=1), atol=1e-5)
    assert -9 < stereo.side_db(wide) < -3
    assert stereo.side_db(effects.low_pass(wide, RATE, 60.0, 4)) < -15


def test_a_sound_from_one_side_has_a_room_on_both():
    left = np.concatenate([noise(1), np.zeros((RATE, 1), np.float32)], axis=1)
    heard = stereo.room(left, RATE, np.random.default_rng(0), 0.5, -12.0)
    assert -18 < effects.rms_db(heard[:, 1:]) - effects.rms_db(left[:, :1]) < -9


def test_ping_pong_answers_right_after_left():
    click = np.zeros((RATE, 2), np.float32)
    click[0] = 1.0
    out = stereo.ping_pong(click, RATE, 0.2, 0.5, -6.0)
    first, second = round(0.2 * RATE), 2 * round(0.2 * RATE)
    assert (out[first, 0] > 0.5, out[first, 1]) == (True, 0.0)
    assert (out[second, 0], out[second, 1] > 0.25) == (0.0, True)


def test_some_records_are_nearly_mono_and_most_doubled_guitars_quite_at_the_sides():
    stages = [stereo.draw_stage(np.random.default_rng(seed)) for seed in range(400)]
    assert 0.07 < np.mean([stage.width < 0.3 for stage in stages]) < 0.18
    assert 0.55 < np.mean([stage.hard == 1.0 for stage in stages]) < 0.75


def test_a_decaying_sound_is_filtered_without_numbers_too_small_to_hold():
    burst = np.concatenate([noise(0, 500), np.zeros((40_000, 1), np.float32)])
    out = effects.filtered(burst, effects.peak_eq(RATE, 300.0, 6.0, 2.0))
    smallest = np.abs(out[np.abs(out) > 0]).min()
    assert smallest > np.finfo(np.float32).tiny
    assert np.abs(out[-1000:]).max() < 1e-8
    assert not effects.filtered(np.zeros((100, 1), np.float32), effects.peak_eq(RATE, 300.0, 6.0, 2.0)).any()


@needs_fluidsynth
def test_a_rendered_stem_set_is_stereo_deterministic_and_listed(tmp_path, ingredients):
    recipe = write_recipe(tmp_path / "tiny.yaml", form="stem_set", channels=2, seed=4, realism={"stereo": True})
    flags = ("--ingredients", ingredients, "--quiet", "--json")
    sets = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        done = cli("dataset", "render", recipe, "-o", folder, *flags)
        assert done.returncode == 0, done.stderr
        sets.append(read_set(folder))
    assert sets[0].tracks == sets[1].tracks
    (track,) = sets[0].tracks.values()
    assert track.known == STEMS
    assert set(track.stems) == {"guitar", "piano", "bass"}
    assert track.group == "freedoom: song"
    files = [[each.path(track, stem) for stem in track.stems] for each in sets]
    assert all(one.read_bytes() == other.read_bytes() for one, other in zip(*files, strict=True))
    sounds = [soundfile.read(path, dtype="int16")[0].astype(int) for path in files[0]]
    assert {sound.shape for sound in sounds} == {sounds[0].shape}
    assert sounds[0].shape[1] == 2
    assert 3000 < np.abs(sum(sounds)).max() <= 32_767
    again = cli("dataset", "render", recipe, "-o", tmp_path / "a", *flags)
    assert json.loads(again.stdout)["kept"] == 1
