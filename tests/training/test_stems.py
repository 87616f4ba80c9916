"""Networks of several instruments in stereo: the loss, the warm start, a whole training, its resumption and export."""

import numpy as np
import pytest
from stem_set_data import MODEL, make_set, stem_settings

from splitstrument.errors import CancelledError, TrainingError
from splitstrument.model_folder import ModelDescription, read_model_folder, save_weights, write_model_folder
from splitstrument.training.backend import choose_backend

choose_backend()

from splitstrument.model_tools.onnx import TOLERANCE_DB, export_error_db, export_onnx  # noqa: E402
from splitstrument.network.losses.registry import make_loss  # noqa: E402
from splitstrument.network.registry import build_network  # noqa: E402
from splitstrument.network.settings import ModelSettings  # noqa: E402
from splitstrument.training import loop  # noqa: E402
from splitstrument.training.build import build_trainer, load_initial_weights  # noqa: E402
from splitstrument.training.data.open import open_streams  # noqa: E402
from splitstrument.training.data.tracks import load_tracks  # noqa: E402
from splitstrument.training.run import train  # noqa: E402


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three songs, one of which validates."""
    return make_set(tmp_path_factory.mktemp("set"), "abc", parts="b")


def mono_model(path, target, seed):
    """A mono model of the same shape, with weights drawn from `seed`."""
    network = {**MODEL["network"], "inputs": 1, "outputs": 1}
    settings = ModelSettings.model_validate(
        MODEL | {"target": target, "stems": [], "channels": "mono", "network": network}
    )
    path.mkdir(parents=True)
    built = build_network(settings, seed)
    rng = np.random.default_rng(seed)
    built.set_weights([weight + 0.02 * rng.random(weight.shape) for weight in built.get_weights()])
    save_weights(built, path / "best.weights.h5")
    write_model_folder(path, ModelDescription(name=target, model=settings), ["best.weights.h5"])
    return built


def test_the_loss_is_the_error_of_instrument_and_rest_over_the_stems_that_are_known(folder, rng):
    settings = stem_settings(folder)
    batch = open_streams(settings, load_tracks(settings)).training.batch(0)
    batch["known"][:] = [[1, 0, 1], [0, 0, 1]]
    mask = rng.random(batch["target"].shape).astype(np.float32)
    costs, weights = [], []
    for row in range(2):
        magnitudes, total = batch["mixture"][row], np.sum(batch["mixture"][row] ** 2)
        for index, weight in enumerate((1, 1, 0.5)):
            pair = slice(2 * index, 2 * index + 2)
            masked = mask[row, ..., pair] * magnitudes
            ours, rest = batch["energy"][row, index], batch["rest_energy"][row, index]
            error = ours + np.sum(masked * (masked - 2 * batch["target"][row, ..., pair]))
            costs.append((error / (ours + 0.1 * total) + error / (rest + 0.1 * total)) / 2)
            weights.append(weight * batch["known"][row, index])
    loss = make_loss("stem_error", {"floor": 0.1, "other": 0.5}, settings.model)
    assert float(loss(batch, mask)) == pytest.approx(np.average(costs, weights=weights), rel=1e-4)
    silent = {name: np.zeros_like(values) for name, values in batch.items()}
    assert float(loss(silent, mask)) == 0
    with pytest.raises(ValueError, match="stem_error knows the options floor, guitar"):
        make_loss("stem_error", {"piano": 1}, settings.model)


def test_a_network_in_stereo_starts_as_the_mono_ones_for_mono_songs(folder, tmp_path, rng):
    ours = mono_model(tmp_path / "guitar", "guitar", 1)
    mono_model(tmp_path / "bass", "bass", 2)
    start = [str(tmp_path / "guitar"), str(tmp_path / "bass")]
    settings = stem_settings(folder, init_from=start)
    trainer = build_trainer(settings)
    load_initial_weights(trainer, settings)
    magnitudes = (rng.random((2, 65, 16, 1)) ** 3).astype(np.float32)
    masks = trainer.network(np.concatenate([magnitudes, 0 * magnitudes], axis=-1)).numpy()
    for output in (0, 1):  # mid and side of the guitar
        np.testing.assert_allclose(masks[..., output], ours(magnitudes)[..., 0], atol=1e-6)
    assert np.abs(masks[..., 2] - masks[..., 0]).max() > 0.01  # the bass has a head of its own
    np.testing.assert_allclose(masks[..., 4:], 0.2, atol=1e-5)  # nobody knows the others yet


def test_a_warm_start_from_other_networks_is_refused(folder, tmp_path):
    mono_model(tmp_path / "guitar", "guitar", 1)
    wider = {**MODEL, "network": {**MODEL["network"], "width": 12}}
    settings = stem_settings(folder, model=wider, init_from=str(tmp_path / "guitar"))
    with pytest.raises(TrainingError, match="is not this recipe's in mono"):
        load_initial_weights(build_trainer(settings), settings)
    settings = stem_settings(folder, init_from=["runs/a", "runs/b"])
    with pytest.raises(Exception, match="no model or run folder"):
        load_initial_weights(build_trainer(settings), settings)


def test_a_training_on_a_set_that_grows_resumes_exactly_and_exports(folder, tmp_path, monkeypatch):
    """Stopped, with more songs in the set meanwhile, and gone on with: the weights of a training that never stopped."""
    growing = make_set(tmp_path / "set", "abc", parts="b")
    settings = stem_settings(growing)
    whole = train(settings, tmp_path / "whole", quiet=True)
    assert (whole.epochs, whole.reason) == (2, "finished")

    def stop_at_3(self):
        if self.position.step == 3:
            self._save()
            raise CancelledError("stopped")

    with monkeypatch.context() as patch, pytest.raises(CancelledError):
        patch.setattr(loop.Loop, "_stop_if_asked", stop_at_3)
        train(settings, tmp_path / "cut", quiet=True)
    make_set(growing, "abcd", parts="b")
    resumed = train(settings, tmp_path / "cut", resume=True, quiet=True)
    assert resumed.loss == whole.loss
    networks = [build_network(settings.model) for _ in range(2)]
    for network, run in zip(networks, ("whole", "cut"), strict=True):
        network.load_weights(tmp_path / run / "last.weights.h5")
    for ours, theirs in zip(*(network.get_weights() for network in networks), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    exported = export_onnx(read_model_folder(tmp_path / "whole"))
    assert exported.settings.names == ("guitar", "bass", "other")
    assert export_error_db(exported, "onnxruntime") < TOLERANCE_DB
