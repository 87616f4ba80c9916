"""Batches from stem sets: what they hold against a slow recomputation, who may play, and that draws can be resumed."""

import numpy as np
import pytest
from pydantic import ValidationError
from stem_set_data import EVERYTHING, RATE_HZ, make_set, stem_settings

from splitstrument import audio
from splitstrument.errors import DatasetError
from splitstrument.network.stereo import cancels
from splitstrument.spectrogram import frames_stft
from splitstrument.stem_set import SetTrack, read_set, write_listing
from splitstrument.training.data.open import open_streams
from splitstrument.training.data.stem_source import empty_batch, fill_example
from splitstrument.training.data.tracks import load_tracks
from splitstrument.training.mixing import DOUBLED, Mixer, MixingSettings, panned


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three songs that are all known, one of whose instruments the guitar alone is."""
    return make_set(tmp_path_factory.mktemp("set"), "abcr")


def source_of(*folders, **changes):
    settings = stem_settings(*folders, **changes)
    return open_streams(settings, load_tracks(settings)).training.source


def test_a_batch_of_songs_as_they_are_says_what_a_complex_error_costs(folder, rng):
    """The error of any mask, from the batch, is that of a slow recomputation from the files."""
    source = source_of(folder, mixing={}, batch_size=6)
    batch = source.batch(0, 3)
    for row in range(6):
        draws = np.random.default_rng([0, 0, 5, 3, row])
        mix = source.mixer.draw(draws)
        track = source.tracks[mix.takes[0].track]
        start = int(mix.takes[0].start * (track.info.n_samples - source.n_samples - 1))
        stems = {stem: audio.read(path)[0][start : start + source.n_samples] for stem, path in track.paths.items()}
        views = {stem: np.stack([sound.sum(1), sound[:, 0] - sound[:, 1]], 1) / 2 for stem, sound in stems.items()}
        spectra = {stem: frames_stft(sound, 128, 32) for stem, sound in views.items()}
        mixture = sum(spectra.values())
        np.testing.assert_allclose(batch["mixture"][row].transpose(2, 0, 1), np.abs(mixture), atol=1e-5)
        for index, stem in enumerate(("guitar", "bass", "other")):
            target = spectra.get(stem, np.zeros_like(mixture))
            mask = rng.random((2, *target.shape[1:]))
            wanted = np.sum(np.abs(target - mask * mixture) ** 2)
            masked = mask * np.abs(mixture)
            lies_in_phase = batch["target"][row, ..., 2 * index : 2 * index + 2].transpose(2, 0, 1)
            found = batch["energy"][row, index] + np.sum(masked * (masked - 2 * lies_in_phase))
            assert found == pytest.approx(wanted, rel=1e-4)
            assert batch["rest_energy"][row, index] == pytest.approx(np.sum(np.abs(mixture - target) ** 2), rel=1e-4)
            assert batch["known"][row, index] == (stem in track.known)


def test_batches_are_a_function_of_seed_epoch_and_step(folder):
    one, again = source_of(folder), source_of(folder)
    first, second = one.batch(1, 4), one.batch(1, 5)
    for name, values in again.batch(1, 4).items():
        np.testing.assert_array_equal(values, first[name])
        np.testing.assert_array_equal(one.batch(1, 4, slice(1, 2))[name], values[1:2])
    assert not np.array_equal(first["mixture"], second["mixture"])
    assert not np.array_equal(first["mixture"], source_of(folder, seed=7).batch(1, 4)["mixture"])


def test_everything_at_once_stays_finite_upright_and_within_its_energies(folder):
    source = source_of(folder, batch_size=24)
    batch = source.batch(0, 0)
    assert all(np.isfinite(values).all() for values in batch.values())
    assert not cancels(batch["mixture"].transpose(0, 3, 1, 2)).any()
    loudest = np.abs(batch["target"]).reshape(24, -1, 3, 2)
    assert (np.sum(loudest**2, axis=(1, 3)) <= batch["energy"] * 1.0001 + 1e-6).all()
    assert (batch["mixture"][..., 1].sum(axis=(1, 2)) == 0).any()  # mono ones are among them


def mixer(**changes):
    """Two songs that are known and one whose guitar alone is, which has a guitar of its own."""
    everyone = frozenset(["guitar", "bass", "other"])
    contents = [(everyone, everyone), (everyone, everyone), (frozenset(["guitar", "other"]), frozenset(["guitar"]))]
    return Mixer(MixingSettings(**{**EVERYTHING, "absent": 0, "solo": 0, **changes}), contents, np.full(3, 1 / 3))


def test_nobody_plays_what_may_be_in_the_rest_of_a_real_song():
    drawn = [mixer(remix=1).draw(np.random.default_rng(seed)) for seed in range(300)]
    real = [mix for mix in drawn if any((take.stem, take.track) == ("other", 2) for take in mix.takes)]
    assert 50 < len(real) < 250
    assert all(mix.known == {"guitar"} and {take.stem for take in mix.takes} == {"guitar", "other"} for mix in real)
    assert {take.track for mix in real for take in mix.takes if take.stem == "guitar"} == {0, 1, 2}
    others = [mix for mix in drawn if mix not in real]
    assert all("bass" in mix.known for mix in others)
    assert any(take.track == 2 for mix in others for take in mix.takes)  # its guitar plays elsewhere
    assert not any((take.stem, take.track) == ("bass", 2) for mix in drawn for take in mix.takes)


def test_two_takes_of_the_guitar_stand_apart_and_are_not_the_same():
    mix = mixer(double=1, remix=0).draw(np.random.default_rng(1))
    first, second = (take for take in mix.takes if take.stem == DOUBLED)
    assert first.start != second.start
    sides = [take.place @ [1, 0] for take in (first, second)]
    assert sides[0][0] * sides[0][1] > 0 > sides[1][0] * sides[1][1]  # left is mid plus side


@pytest.mark.parametrize("position", [-1.0, -0.3, 0.0, 0.8])
def test_panning_keeps_the_power_and_moves_to_the_side_it_says(position):
    mid, side = panned(position) @ [1, 0]
    left, right = mid + side, mid - side
    assert left**2 + right**2 == pytest.approx(2)
    assert np.sign(round(right - left, 6)) == np.sign(position)


def test_a_song_with_one_channel_inverted_gives_the_batch_of_the_song(folder):
    settings = stem_settings(folder)
    model = settings.model
    rng = np.random.default_rng(2)
    stems = {
        name: (rng.standard_normal((2, 65, 16)) * np.array([1, 0.3])[:, None, None]).astype(np.complex64)
        for name in model.names
    }
    one, other = empty_batch(1, model), empty_batch(1, model)
    for batch, sounds in ((one, stems), (other, {name: stem[::-1] for name, stem in stems.items()})):
        fill_example({name: values[0] for name, values in batch.items()}, sounds, frozenset(["bass"]), model)
    for name, values in one.items():
        np.testing.assert_allclose(values, other[name], rtol=1e-5, atol=1e-6)
    assert one["known"].tolist() == [[0, 1, 0]]


def test_parts_say_who_validates_and_a_role_gives_a_set_to_one_side(tmp_path):
    folder = make_set(tmp_path, "abc", parts="b")
    listing = read_set(folder)
    hidden = SetTrack("z", ("guitar",), ("guitar",), "z", "test")
    write_listing(folder, RATE_HZ, [*listing.tracks.values(), hidden])
    for role, wanted in (("both", ("ac", "b")), ("training", ("abc", ""))):
        sets = load_tracks(stem_settings({"path": str(folder), "role": role}))
        assert tuple("".join(track.name for track in side) for side in (sets.training, sets.validation)) == wanted
    with pytest.raises(DatasetError, match="No song is left to train on"):
        load_tracks(stem_settings({"path": str(folder), "tracks": ["b"]}))
    with pytest.raises(DatasetError, match="no track 'x'"):
        load_tracks(stem_settings({"path": str(folder), "exclude": ["x"]}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss": {"name": "l11"}}, "stem_error need each other"),
        ({"data": {"source": "segments"}}, "stem_error need each other"),
        ({"data": {"source": "stems", "place": "device"}}, "place: device"),
    ],
)
def test_what_does_not_belong_together_is_refused(folder, changes, message):
    with pytest.raises(ValidationError, match=message):
        stem_settings(folder, **changes)
