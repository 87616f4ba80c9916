"""The training step: network, loss and optimizer as one Keras model, the same on every backend."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from splitstrument.errors import SettingsError, TrainingError
from splitstrument.model_folder import KERAS_FILES, ModelFolder, read_model_folder, shipped_models
from splitstrument.network.bandunet import member_of
from splitstrument.network.losses.registry import make_loss
from splitstrument.network.registry import build_network
from splitstrument.network.widen import widen
from splitstrument.training.checkpoint import SEPARATION_KEYS, differing_keys
from splitstrument.training.compute import check_compute, prepare_backend
from splitstrument.training.optimizers import make_optimizer
from splitstrument.training.settings import TrainingSettings
from splitstrument.training.team import Alone, Team, Workers
from splitstrument.training.trainer import Trainer
from splitstrument.user_code import UserCode


def build_trainer(settings: TrainingSettings, team: Team | None = None, code: UserCode | None = None) -> Trainer:
    """Build network, loss and optimizer from settings, with every random draw seeded.

    Parameters
    ----------
    team
        The processes that train together; alone unless given.
    code
        Where functions of the user's own are, if the settings name any.

    Raises
    ------
    SettingsError, ModelError
        If the loss or one of its options is unknown, or code of the user's own cannot be loaded or is not allowed.
    """
    if settings.optimizer.batches_for_statistics and isinstance(team, Workers):
        raise SettingsError(
            "Settings optimizer.ema_batches and statistics_batches are for one process: set them to 0 for a training "
            "on several."
        )
    check_compute(settings.compute)
    prepare_backend(settings.compute, settings.seed)
    try:
        loss = make_loss(settings.loss.name, settings.loss.options, settings.model, code)
    except ValueError as error:
        raise SettingsError(f"Setting loss: {error}") from None
    trainer = make_trainer(build_network(settings.model, settings.seed, code), loss, team or Alone())
    trainer.compile(optimizer=make_optimizer(settings.optimizer), jit_compile=settings.compute.xla)
    trainer.build({"mixture": (settings.batch_size, *settings.model.input_shape)})
    trainer.optimizer.build(trainer.trainable_variables)
    return trainer


def make_trainer(network: keras.Model, loss: Callable[[dict[str, Any], Any], Any], team: Team) -> Trainer:
    """A trainer for one process, or for one of several."""
    if not isinstance(team, Workers):
        return Trainer(network, loss)
    from splitstrument.training.part_trainer import PartTrainer

    return PartTrainer(network, loss, team)


def load_initial_weights(trainer: Trainer, settings: TrainingSettings) -> None:
    """Start from the best weights of a shipped model, a run or a model folder, or from those that `init_from` names.

    A network of one member starts from the first of a model with several, one in mid and side from mono ones.

    Raises
    ------
    TrainingError
        If its network is another one.
    """
    names = (settings.init_from,) if isinstance(settings.init_from, str) else settings.init_from or ()
    models = [_initial_model(name) for name in names]
    if settings.model.channels == "mid_side" and all(model.settings.channels == "mono" for model, _ in models):
        _widen(trainer, settings, models)
        return
    if len(models) > 1:
        raise TrainingError(
            f"Setting init_from: several models ({', '.join(names)}) are for a network in mid and side that starts "
            "from mono ones: give one."
        )
    model, files = models[0]
    theirs, ours = model.settings, settings.model
    several = getattr(theirs.network, "members", 1) > getattr(ours.network, "members", 1) == 1
    network = theirs.network.model_copy(update={"members": 1}) if several else theirs.network
    if network != ours.network or theirs.input_shape != ours.input_shape:
        found = theirs.model_copy(update={"network": network})
        before, now = (model.model_dump(mode="json", exclude=SEPARATION_KEYS) for model in (found, ours))
        differing = differing_keys(before, now)
        raise TrainingError(
            f"Setting init_from: {settings.init_from} has another {', '.join(differing)} than this recipe: "
            "use the same network settings."
        )
    if several:
        whole = build_network(theirs)
        whole.load_weights(model.file(*files))
        trainer.network.set_weights(member_of(whole, 0).get_weights())
    else:
        trainer.network.load_weights(model.file(*files))


def _widen(trainer: Trainer, settings: TrainingSettings, models: list[tuple[ModelFolder, tuple[str, ...]]]) -> None:
    """Start a network in mid and side from mono ones, which must be alike but for that."""
    ours = settings.model
    mono = ours.network.model_copy(update={"inputs": 1, "outputs": 1})
    weights = {}
    for folder, files in models:
        theirs = folder.settings
        if theirs.network != mono or theirs.input_shape[:2] != ours.input_shape[:2]:
            raise TrainingError(
                f"Setting init_from: the network of {folder.path} is not this recipe's in mono: use its settings."
            )
        network = build_network(theirs)
        network.load_weights(folder.file(*files))
        weights[theirs.target] = network.get_weights()
    widen(trainer.network, ours, weights)


def _initial_model(init_from: str) -> tuple[ModelFolder, tuple[str, ...]]:
    """The model that `init_from` means, and which of its files to look for."""
    source = Path(init_from)
    if source.name in KERAS_FILES:
        return read_model_folder(source.parent), (source.name,)
    return read_model_folder(shipped_models().get(init_from, source)), KERAS_FILES
