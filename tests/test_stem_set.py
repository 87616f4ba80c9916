"""Stem sets on disk: sums, listings, real pairs turned into sets."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
import yaml
from click.testing import CliRunner

from splitstrument.cli.dataset_stem_set import stem_set as command
from splitstrument.errors import DatasetError
from splitstrument.stem_set import SetTrack, from_pairs, read_set, write_files, write_listing

RATE = 22_050


def noise(seed: int, channels: int = 2, n_samples: int = 5000) -> np.ndarray:
    return np.random.default_rng(seed).integers(-9000, 9000, (n_samples, channels)).astype(np.int16)


def make_pairs(folder, channels: int = 2, names: tuple[str, ...] = ("a song", "b")):
    for seed, name in enumerate(names):
        track = folder / f"tracks_{RATE}hz" / name
        track.mkdir(parents=True)
        for shift, role in enumerate(("instrument", "rest")):
            soundfile.write(track / f"{role}_{name}.flac", noise(2 * seed + shift, channels), RATE, "PCM_16")


def test_what_is_written_is_read_and_a_track_can_be_replaced(tmp_path):
    track = SetTrack("t", ("guitar", "piano"), ("guitar", "other"), "song x", sounds={"guitar": ("fluidr3",)})
    for seed in (0, 1):
        sounds = {"guitar": noise(seed), "other": noise(seed + 10)}
        files = write_files(tmp_path, "t", sounds, RATE)
    write_listing(tmp_path, RATE, [track])
    stems = read_set(tmp_path)
    assert stems.tracks == {"t": track}
    assert [stems.path(track, stem) for stem in track.stems] == files
    for stem in track.stems:
        assert np.array_equal(soundfile.read(stems.path(track, stem), dtype="int16")[0], sounds[stem])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tracks.yaml", f"tracks_{RATE}hz"]


def test_half_a_track_is_never_seen(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr("splitstrument.audio.write", fail)
    with pytest.raises(OSError, match="disk full"):
        write_files(tmp_path, "t", {"guitar": noise(0)}, RATE)
    assert [path.name for path in tmp_path.rglob("*")] == [f"tracks_{RATE}hz"]


def test_stems_of_different_lengths_or_strange_names_are_refused(tmp_path):
    with pytest.raises(DatasetError, match="expected one shape"):
        write_files(tmp_path, "t", {"guitar": noise(0), "bass": noise(0, n_samples=10)}, RATE)
    with pytest.raises(DatasetError, match="kazoo"):
        write_files(tmp_path, "t", {"kazoo": noise(0)}, RATE)


@pytest.mark.parametrize(
    ("listing", "message"),
    [
        ({"format": 2}, "no listing of format 1"),
        ({"format": 1, "tracks": {}}, "sample_rate_hz None"),
        ({"format": 1, "sample_rate_hz": "fast", "tracks": {}}, "sample_rate_hz 'fast'"),
        ({"format": 1, "sample_rate_hz": RATE, "tracks": {"t": {"known": []}}}, "damaged"),
        ({"format": 1, "sample_rate_hz": RATE, "tracks": {"t": {"known": [], "stems": [], "x": 1}}}, "damaged"),
        (
            {"format": 1, "sample_rate_hz": RATE, "tracks": {"t": {"known": ["kazoo"], "stems": [], "group": "g"}}},
            "'kazoo'",
        ),
    ],
)
def test_damaged_listings_are_one_sentence(tmp_path, listing, message):
    (tmp_path / "tracks.yaml").write_text(yaml.safe_dump(listing))
    with pytest.raises(DatasetError, match=message):
        read_set(tmp_path)


def test_no_listing_says_how_to_make_one(tmp_path):
    with pytest.raises(DatasetError, match="dataset render"):
        read_set(tmp_path)


@pytest.mark.parametrize("channels", [1, 2])
def test_pairs_become_a_set_of_the_same_sum(tmp_path, channels):
    make_pairs(tmp_path / "pairs", channels)
    arguments = [str(tmp_path / "pairs"), "-o", str(tmp_path / "set"), "--silent", "piano", "--artist", "Band"]
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 0, result.output
    stems = read_set(tmp_path / "set")
    assert {track.name: track.group for track in stems.tracks.values()} == {"a_song": "Band", "b": "Band"}
    track = stems.tracks["a_song"]
    assert (track.known, track.stems) == (("guitar", "piano"), ("guitar", "other"))
    read = [soundfile.read(stems.path(track, stem), dtype="int16")[0].astype(int) for stem in track.stems]
    expected = noise(0, channels).astype(int) + noise(1, channels)
    assert np.array_equal(sum(read), np.broadcast_to(expected, (5000, 2)))


def test_the_rest_of_a_pair_is_never_known(tmp_path):
    make_pairs(tmp_path / "pairs")
    with pytest.raises(DatasetError, match="No set can know a stem 'other'"):
        from_pairs(tmp_path / "pairs", tmp_path / "set", "guitar", ["other"])


def test_songs_that_would_share_a_folder_are_refused_before_anything_is_written(tmp_path):
    make_pairs(tmp_path / "pairs", names=("my song", "my_song"))
    with pytest.raises(DatasetError, match=r"'my[ _]song' and 'my[ _]song' would both be the track my_song") as error:
        from_pairs(tmp_path / "pairs", tmp_path / "set", "guitar")
    assert "'my song'" in str(error.value) and "'my_song'" in str(error.value)
    assert not (tmp_path / "set").exists()


def test_a_set_grows_and_a_track_of_the_same_name_is_replaced(tmp_path):
    make_pairs(tmp_path / "first", names=("a", "b"))
    make_pairs(tmp_path / "second", names=("b", "c"))
    from_pairs(tmp_path / "first", tmp_path / "set", "guitar")
    made = from_pairs(tmp_path / "second", tmp_path / "set", "piano")
    assert sorted(track.name for track in made) == ["b", "c"]
    stems = read_set(tmp_path / "set")
    assert {name: track.known for name, track in stems.tracks.items()} == {
        "a": ("guitar",),
        "b": ("piano",),
        "c": ("piano",),
    }
    assert all(stems.path(track, stem).is_file() for track in stems.tracks.values() for stem in track.stems)
    assert np.array_equal(soundfile.read(stems.path(stems.tracks["b"], "piano"), dtype="int16")[0], noise(0))


def test_a_set_of_another_rate_is_left_as_it_is(tmp_path):
    make_pairs(tmp_path / "pairs")
    from_pairs(tmp_path / "pairs", tmp_path / "set", "guitar")
    before = (tmp_path / "set/tracks.yaml").read_bytes()
    with pytest.raises(DatasetError, match="is a stem set of 22050 Hz, not 16000"):
        from_pairs(tmp_path / "pairs", tmp_path / "set", "guitar", sample_rate_hz=16_000)
    assert (tmp_path / "set/tracks.yaml").read_bytes() == before
    assert [path.name for path in (tmp_path / "set").glob("tracks_*")] == ["tracks_22050hz"]


def test_peaks_above_full_scale_turn_the_whole_song_down(tmp_path):
    track = tmp_path / f"pairs/tracks_{RATE}hz/loud"
    track.mkdir(parents=True)
    loud, quiet = noise(0) / np.float32(4000), noise(1) / np.float32(20_000)
    for role, sound in (("instrument", loud), ("rest", quiet)):
        soundfile.write(track / f"{role}_loud.wav", sound.astype(np.float32), RATE, "FLOAT")
    (made,) = from_pairs(tmp_path / "pairs", tmp_path / "set", "guitar")
    stems = read_set(tmp_path / "set")
    read = [soundfile.read(stems.path(made, stem))[0] for stem in ("guitar", "other")]
    assert np.abs(loud).max() > 2
    for sound, source in zip(read, (loud, quiet), strict=True):
        np.testing.assert_allclose(sound, source / np.abs(loud).max(), atol=2 / 32_768)
