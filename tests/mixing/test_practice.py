"""A mix as one practises with it: parts, repetitions to the sample, count-in, silent ranges."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from splitstrument.errors import SettingsError
from splitstrument.mixing.practice import PracticeSettings, practised
from splitstrument.mixing.remix import remix_files
from splitstrument.mixing.remix_settings import RemixSettings
from splitstrument.settings import validate

RATE = 8000


def played(song: np.ndarray, settings: PracticeSettings, block: int = 777) -> np.ndarray:
    def blocks():
        return iter([song[start : start + block] for start in range(0, len(song), block)])

    return np.concatenate(list(practised(blocks, RATE, song.shape[1], settings)))


@pytest.mark.parametrize("block", [50, 777, 100_000])
def test_a_part_is_repeated_to_the_sample(rng, block):
    song = rng.normal(0, 0.1, (4 * RATE, 2))
    sound = played(song, PracticeSettings(start_s=1, end_s=2.5, times=3), block)
    part, seam = song[RATE : RATE + 12_000], 40
    assert len(sound) == 36_000
    for start in (0, 12_000, 24_000):
        assert np.array_equal(sound[start : start + 12_000 - seam], part[:-seam])
    assert np.array_equal(sound[-seam:], part[-seam:])
    joined = sound[12_000 - seam : 12_000]
    share = ((np.arange(seam) + 0.5) / seam)[:, None]
    assert joined == pytest.approx(part[-seam:] * (1 - share) + song[RATE - seam : RATE] * share)


def test_a_count_in_comes_first_and_speed_makes_it_longer(rng):
    song = rng.normal(0, 0.1, (2 * RATE, 1))
    settings = PracticeSettings(count_in=4, beat_s=0.25, speed=0.5, times=2, end_s=1)
    sound = played(song, settings)
    assert len(sound) == RATE + 4 * RATE == settings.length_s(2) * RATE
    loud = [
        np.abs(sound[beat * 2000 :][:200]).max() > 0.2 > np.abs(sound[beat * 2000 + 800 :][:1000]).max()
        for beat in range(4)
    ]
    assert all(loud)


def test_nothing_behind_the_part_is_mixed(rng):
    song, taken = rng.normal(0, 0.1, (4 * RATE, 1)), []

    def blocks():
        for start in range(0, len(song), 1000):
            taken.append(start)
            yield song[start : start + 1000]

    sound = np.concatenate(list(practised(blocks, RATE, 1, PracticeSettings(end_s=1, times=3))))
    assert len(sound) == 3 * RATE and max(taken) == RATE


def test_the_defaults_play_the_song_and_a_start_behind_its_end_nothing(rng):
    song = rng.normal(0, 0.1, (3000, 2))
    assert np.array_equal(played(song, PracticeSettings()), song)
    assert not len(played(song, PracticeSettings(start_s=5, times=2)))


@pytest.mark.parametrize("wrong", [{"speed": 0.1}, {"semitones": 40}, {"times": 1000}, {"start_s": 3, "end_s": 2}])
def test_settings_out_of_bounds_are_refused(wrong):
    with pytest.raises(SettingsError):
        validate(wrong, PracticeSettings, "The mix")


@pytest.mark.parametrize("practice", [{"speed": 0.7}, {"semitones": 3}])
def test_another_speed_or_key_is_limited_last(tmp_path, practice):
    time_s = np.arange(2 * 16_000) / 16_000
    audio = sum(np.sin(2 * np.pi * 200 * odd * time_s) / odd for odd in range(1, 20, 2))  # square: phases make peaks
    audio *= 0.9 / np.abs(audio).max()
    stems = {"guitar": tmp_path / "guitar.wav"}
    soundfile.write(stems["guitar"], audio, 16_000, subtype="PCM_16")
    settings = validate({"loudness": "off", "practice": practice}, RemixSettings, "The mix")
    done = remix_files(stems, tmp_path / "mix.wav", settings)
    ceiling = max(-1.0, min(0.0, done.song.true_peak_dbtp))
    assert done.limited and done.mix.true_peak_dbtp <= ceiling + 0.05
    assert np.abs(soundfile.read(tmp_path / "mix.wav")[0]).max() < 1
    soundfile.write(stems["guitar"], 0.1 * audio, 16_000, subtype="PCM_16")
    quiet = remix_files(stems, tmp_path / "quiet.wav", settings)
    assert not quiet.limited and quiet.notes == ()


def test_a_remix_is_written_as_one_practises_with_silent_ranges(tmp_path, rng):
    stems = {name: tmp_path / f"{name}.wav" for name in ("guitar", "rest")}
    audio = {name: rng.normal(0, 0.05, (3 * 16_000, 2)).astype(np.float32) for name in stems}
    for name, path in stems.items():
        soundfile.write(path, audio[name], 16_000, subtype="FLOAT")
    settings = {
        "stems": {"guitar": {"quiet": [[1, 2]], "pan": -1}}, "loudness": "off", "practice": {"end_s": 2, "times": 2},
    }  # fmt: skip
    remix_files(stems, tmp_path / "mix.wav", validate(settings, RemixSettings, "The mix"))
    mix, _ = soundfile.read(tmp_path / "mix.wav")
    assert len(mix) == 64_000
    left = audio["guitar"][:, 0] + audio["rest"][:, 0]
    assert mix[:16_000, 0] == pytest.approx(left[:16_000], abs=1e-6)
    assert mix[16_100:31_900, 0] == pytest.approx(audio["rest"][16_100:31_900, 0], abs=1e-6)
    assert mix[:31_900, 1] == pytest.approx(audio["rest"][:31_900, 1], abs=1e-6)
    assert mix[32_000:48_000, 0] == pytest.approx(left[:16_000], abs=1e-6)
