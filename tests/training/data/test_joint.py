"""Two instruments learned at once: which songs, which sounds, what the loss adds up, and one network for each after."""

import numpy as np
import pytest
from pydantic import ValidationError

pytest.importorskip("keras")

from joint_data import BAND, joint_settings
from training_data import make_pairs

from splitstrument import audio
from splitstrument.errors import DatasetError, SettingsError
from splitstrument.network import bandunet
from splitstrument.network.losses.registry import make_loss
from splitstrument.network.registry import build_network
from splitstrument.training.augment import AugmentationSettings, make_joint_augmentation
from splitstrument.training.data.open import open_streams
from splitstrument.training.data.tracks import JointTrack, load_tracks
from splitstrument.training.recipes import placed
from splitstrument.training.run import train

ALL_STEPS = AugmentationSettings(
    remix=0.5, double=0.3, speed=0.06, drive=0.5, drive_rest=0.2, equalizer_db=6, low_pass=0.3, gain_db=6,
    polarity=0.5, absent=0.2, solo=0.2,
)  # fmt: skip


def streams_of(settings):
    return open_streams(settings, load_tracks(settings))


def test_songs_of_either_instrument_train(songs):
    tracks = load_tracks(joint_settings(songs)).training
    assert {track.pair.name: [pair is not None for pair in track.pairs] for track in tracks} == {
        "a": [True, False],
        "b": [True, True],
        "c": [False, True],
    }
    assert all(isinstance(track, JointTrack) for track in tracks)


def test_sources_add_up_to_the_songs_mixture(songs):
    source = streams_of(joint_settings(songs, batch_size=12)).training.source
    found = set()
    for track in source.tracks:
        first, second, rest = source._read(track, np.random.default_rng(3))
        start = source._start(track, np.random.default_rng(3))
        mixture = sum(audio.read(path)[0][:, 0] for path in (track.pair.instrument, track.pair.rest))
        np.testing.assert_allclose(first + second + rest, mixture[start : start + source.n_samples], atol=1e-6)
        found.add((track.pair.name, bool(first.any()), bool(second.any())))
    assert found == {("a", True, False), ("b", True, True), ("c", False, True)}


def test_a_batch_holds_both_targets_with_their_phases(songs):
    batch = streams_of(joint_settings(songs)).training.batch(0)
    shapes = {name: array.shape for name, array in batch.items()}
    assert shapes == {
        "mixture": (2, 65, 16, 1),
        "target": (2, 65, 16, 2),
        **dict.fromkeys(("mixture_stft", "target_stft", "second_stft"), (2, 65, 16, 2)),
    }
    for index, name in enumerate(("target_stft", "second_stft")):
        np.testing.assert_allclose(np.hypot(*np.moveaxis(batch[name], -1, 0)), batch["target"][..., index], atol=1e-5)


def test_validation_is_the_same_every_time_and_leaves_sounds_alone(songs):
    validation = {**songs, "role": "validation", "name": "validation"}
    settings = joint_settings(
        songs, validation, augmentation={"gain_db": 12}, data={"source": "joint", "validation_chunks": 6}
    )
    stream = streams_of(settings).validation
    assert stream.steps_per_epoch == 3
    again = streams_of(settings).validation
    for index in range(3):
        np.testing.assert_array_equal(stream.batch(index)["target_stft"], again.batch(index)["target_stft"])
    loudest = max(float(np.abs(each).max()) for each in stream.source.segments(0, 0))
    assert loudest <= 0.81  # the tones' peak is 0.4 and noise stays below that: nothing was made louder by 12 dB


def test_the_loss_is_the_sum_over_both_instruments(songs, rng):
    settings = joint_settings(songs)
    batch = streams_of(settings).training.batch(0)
    loss = make_loss("relative_error", {"power": 0.7}, settings.model)
    masks = rng.random(batch["target"].shape).astype(np.float32)
    single = {name: batch[name] for name in ("mixture", "mixture_stft")}
    parts = [
        float(loss({**single, "target": None, "target_stft": batch[name]}, masks[..., index : index + 1]))
        for index, name in enumerate(("target_stft", "second_stft"))
    ]
    assert float(loss(batch, masks)) == pytest.approx(sum(parts), rel=1e-6)


def test_augmentation_is_repeatable_and_touches_no_argument(rng):
    sources = [0.1 * rng.standard_normal((6, 4000)).astype(np.float32) for _ in range(3)]
    kept = [source.copy() for source in sources]
    augment = make_joint_augmentation(ALL_STEPS, 8000)
    one, again, other = (augment(*sources, np.random.default_rng(seed)) for seed in (1, 1, 2))
    for ours, same, before, source in zip(one, again, kept, sources, strict=True):
        np.testing.assert_array_equal(ours, same)
        np.testing.assert_array_equal(source, before)
        assert np.isfinite(ours).all()
    assert not np.array_equal(one[0], other[0])


def test_without_settings_the_sources_stay_as_they_are(rng):
    sources = [rng.standard_normal((3, 100)).astype(np.float32) for _ in range(3)]
    out = make_joint_augmentation(AugmentationSettings(), 8000)(*sources, rng)
    for ours, theirs in zip(out, sources, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_solo_leaves_one_of_the_two_and_absent_takes_one_away(rng):
    ones = [np.ones((4000, 1), np.float32)] * 3
    solo = np.hstack(make_joint_augmentation(AugmentationSettings(solo=1), 8000)(*ones, rng))
    assert set(map(tuple, solo.tolist())) == {(1, 0, 0), (0, 1, 0)}
    absent = np.hstack(make_joint_augmentation(AugmentationSettings(absent=0.25), 8000)(*ones, rng))
    assert absent[:, 2].all()
    assert absent[:, :2].mean(axis=0) == pytest.approx([0.75, 0.75], abs=0.03)


def test_each_output_becomes_a_network_of_its_own(rng):
    settings = joint_settings({"path": "x", "second_path": "y"}).model
    joint = build_network(settings, 5)
    magnitudes = rng.random((2, 65, 16, 1)).astype(np.float32)
    names = [variable.path for variable in joint.weights]
    for index in range(2):
        alone = build_network(
            settings.model_copy(update={"network": settings.network.model_copy(update={"outputs": 1})})
        )
        alone.set_weights(bandunet.weights_of_outputs(joint.get_weights(), names, 2, [index]))
        np.testing.assert_allclose(alone(magnitudes)[..., 0], joint(magnitudes)[..., index], atol=1e-6)


def test_it_trains_and_learns_both(songs, tmp_path):
    settings = joint_settings(songs, epochs=4, steps_per_epoch=30, batch_size=4)
    result = train(settings, tmp_path / "run", quiet=True)
    assert result.steps == 120
    batch = streams_of(settings).training.batch(200)
    network = build_network(settings.model)
    network.load_weights(tmp_path / "run" / "last.weights.h5")
    masks = network(batch["mixture"], training=False).numpy()
    for index in range(2):
        error = np.sum((batch["target"][..., index] - masks[..., index] * batch["mixture"][..., 0]) ** 2)
        silence = np.sum(batch["target"][..., index] ** 2)
        assert error < 0.5 * silence, index


def test_both_instruments_can_be_found_elsewhere(songs):
    lost = joint_settings({**songs, "name": "rendered", "path": "nowhere", "second_path": "nowhere_else"})
    with pytest.raises(DatasetError, match=r"'rendered' is not there.*'rendered\.second' is not there") as error:
        load_tracks(lost)
    assert "--dataset rendered.second=PATH" in str(error.value)
    found = placed(lost, (f"rendered={songs['path']}", f"rendered.second={songs['second_path']}"))
    assert len(load_tracks(found).training) == len(load_tracks(joint_settings(songs)).training)
    with pytest.raises(SettingsError, match=r"a NAME of rendered, rendered\.second"):
        placed(lost, ("rendered.third=x",))


def test_a_dataset_without_the_second_instrument_has_silence_for_it(songs):
    both = {**songs, "name": "both"}
    source = streams_of(joint_settings(both, {"path": songs["path"], "name": "first", "ratio": 1e6})).training
    first, second, rest = source.source.segments(0, 0)
    assert first.any() and rest.any() and not second.any()


def test_pairs_of_two_songs_under_one_name_are_refused(songs, rng, tmp_path):
    make_pairs(tmp_path / "longer", ["a"], rng, seconds=3)
    with pytest.raises(DatasetError, match="differ in length or rate .* both must come from the same song"):
        load_tracks(joint_settings({**songs, "second_path": str(tmp_path / "longer")}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": {"source": "segments"}}, "second_path is for data.source: joint"),
        ({"model": {**BAND, "network": {**BAND["network"], "outputs": 1}}}, "outputs: 2, one for each instrument"),
        ({"loss": {"name": "energy_conserving"}}, "not two instruments"),
        ({"datasets": [{"path": "x"}]}, "needs a dataset with second_path to train on; none has it"),
    ],
)
def test_settings_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(ValidationError, match=message):
        joint_settings({"path": "x", "second_path": "y"}, **changes)
