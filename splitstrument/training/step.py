"""The training step: network, loss and optimizer as one Keras model, the same on every backend."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import keras

from splitstrument.errors import SettingsError, TrainingError
from splitstrument.modelfolder import KERAS_FILES, ModelFolder, read_model_folder, shipped_models
from splitstrument.network.bandunet import member_of
from splitstrument.network.build import build_network
from splitstrument.network.losses import make_loss
from splitstrument.network.statistics import estimate_statistics, normalization_statistics
from splitstrument.training.muon import ConvolutionalMuon
from splitstrument.training.settings import ComputeSettings, OptimizerSettings, TrainingSettings
from splitstrument.training.state import SEPARATION_KEYS, differing_keys
from splitstrument.training.team import Alone, Team, Workers


class Trainer(keras.Model):
    """Maps a batch to masks and scores them with a loss of batch and masks.

    `compute_loss` is Keras's own hook for losses that need more than a target, so that the training step of each
    backend (TensorFlow, JAX, PyTorch) stays Keras's. Where several processes train together, `PartTrainer` of
    ``training/parallel.py`` takes its place.
    """

    team: Team = Alone()

    def __init__(self, network: keras.Model, loss: Callable[[dict[str, Any], Any], Any]) -> None:
        super().__init__(name="trainer")
        self.network, self.separation_loss = network, loss

    def call(self, batch: dict[str, Any], training: bool = False) -> Any:
        """Masks of the batch's mixtures."""
        return self.network(batch["mixture"], training=training)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True) -> Any:
        """The loss of masks `y_pred` on batch `x`, which PyTorch's step hands over as it came: as NumPy arrays."""
        batch = {name: keras.ops.convert_to_tensor(value) for name, value in x.items()}
        masks = [keras.ops.cast(mask, "float32") for mask in (y_pred if isinstance(y_pred, list) else [y_pred])]
        return self.separation_loss(batch, masks)


def build_trainer(settings: TrainingSettings, team: Team | None = None) -> Trainer:
    """Build network, loss and optimizer from settings, with every random draw seeded.

    Parameters
    ----------
    team
        The processes that train together; alone unless given.

    Raises
    ------
    SettingsError
        If the loss or one of its options is unknown.
    """
    if settings.optimizer.ema_batches and isinstance(team, Workers):
        raise SettingsError("optimizer.ema_batches is for one process: set it to 0 for a training on several.")
    prepare_backend(settings.compute, settings.seed)
    try:
        loss = make_loss(settings.loss.name, settings.loss.options, settings.model)
    except ValueError as error:
        raise SettingsError(f"loss: {error}") from None
    trainer = make_trainer(build_network(settings.model, settings.seed), loss, team or Alone())
    trainer.compile(optimizer=make_optimizer(settings.optimizer), jit_compile=settings.compute.xla)
    trainer.build({"mixture": (settings.batch_size, *settings.model.input_shape)})
    trainer.optimizer.build(trainer.trainable_variables)
    return trainer


def make_trainer(network: keras.Model, loss: Callable[[dict[str, Any], Any], Any], team: Team) -> Trainer:
    """A trainer for one process, or for one of several."""
    if not isinstance(team, Workers):
        return Trainer(network, loss)
    from splitstrument.training.parallel import PartTrainer

    return PartTrainer(network, loss, team)


def make_optimizer(settings: OptimizerSettings) -> keras.optimizers.Optimizer:
    """Make the Keras optimizer; clipping, accumulation and averaging of weights are its own options."""
    options: dict[str, Any] = {"learning_rate": settings.learning_rate, "global_clipnorm": settings.clip_norm}
    if settings.weight_decay is not None:
        options["weight_decay"] = settings.weight_decay
    if settings.accumulate > 1:
        options["gradient_accumulation_steps"] = settings.accumulate
    if settings.ema:
        options |= {"use_ema": True, "ema_momentum": settings.ema, "ema_overwrite_frequency": None}
    makers = {
        "adam": keras.optimizers.Adam,
        "adamw": keras.optimizers.AdamW,
        "muon": ConvolutionalMuon,
        "sgd": keras.optimizers.SGD,
    }
    return makers[settings.name](**options)


def prepare_backend(compute: ComputeSettings, seed: int) -> None:
    """Seed the backend, make it deterministic and set its precision; call before building anything."""
    keras.utils.set_random_seed(seed)
    bfloat16 = compute.precision == "bfloat16"
    on_processor = keras.backend.backend() == "tensorflow" and not _has_graphics_card()
    keras.mixed_precision.set_global_policy("mixed_bfloat16" if bfloat16 and not on_processor else "float32")
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        if compute.deterministic:
            tf.config.experimental.enable_op_determinism()
        # oneDNN chooses per operation what to compute in bfloat16; Keras's own policy is slow on processors
        options = {"auto_mixed_precision_onednn_bfloat16": bfloat16 and on_processor}
        tf.config.optimizer.set_experimental_options(options)


def _has_graphics_card() -> bool:
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


@contextlib.contextmanager
def averaged_weights(trainer: Trainer, settings: OptimizerSettings, mixtures: Iterable[Any] = ()) -> Iterator[None]:
    """Put the moving average in the place of the weights, where one is kept, and take it out again.

    Parameters
    ----------
    mixtures
        Network inputs on which to estimate the average's statistics of batch normalization; none leaves them.
    """
    if not settings.ema:
        yield
        return
    weights = trainer.trainable_variables
    variables = [*weights, *normalization_statistics(trainer.network)]
    kept = [keras.ops.convert_to_numpy(variable.value) for variable in variables]
    trainer.optimizer.finalize_variable_values(weights)
    for variable in weights:  # an array of its own: JAX gives the weights' memory away, and it would be the average's
        variable.assign(keras.ops.convert_to_numpy(variable.value))
    try:
        estimate_statistics(trainer.network, mixtures)
        yield
    finally:
        for variable, value in zip(variables, kept, strict=True):
            variable.assign(value)


def load_initial_weights(trainer: Trainer, settings: TrainingSettings) -> None:
    """Start from the best weights of a shipped model, a run or a model folder, or from those that `init_from` names.

    A network of one member starts from the first of a model with several.

    Raises
    ------
    TrainingError
        If its network is another one.
    """
    model, files = _initial_model(str(settings.init_from))
    theirs, ours = model.settings, settings.model
    several = getattr(theirs.network, "members", 1) > getattr(ours.network, "members", 1) == 1
    network = theirs.network.model_copy(update={"members": 1}) if several else theirs.network
    if network != ours.network or theirs.input_shape != ours.input_shape:
        found = theirs.model_copy(update={"network": network})
        before, now = (model.model_dump(mode="json", exclude=SEPARATION_KEYS) for model in (found, ours))
        differing = differing_keys(before, now)
        raise TrainingError(
            f"init_from: {settings.init_from} has another {', '.join(differing)} than this recipe: "
            "use the same network settings."
        )
    if several:
        whole = build_network(theirs)
        whole.load_weights(model.file(*files))
        trainer.network.set_weights(member_of(whole, 0).get_weights())
    else:
        trainer.network.load_weights(model.file(*files))


def _initial_model(init_from: str) -> tuple[ModelFolder, tuple[str, ...]]:
    """The model that `init_from` means, and which of its files to look for."""
    source = Path(init_from)
    if source.name in KERAS_FILES:
        return read_model_folder(source.parent), (source.name,)
    return read_model_folder(shipped_models().get(init_from, source)), KERAS_FILES
