"""A training as settings: what a recipe in ``trainings/`` may say. Imports no Keras."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, JsonValue, field_validator, model_validator

from splitstrument.network.settings import ModelSettings
from splitstrument.settings import Settings
from splitstrument.stem_set import STEMS
from splitstrument.trackers import check_tracker
from splitstrument.training.augment import AugmentationSettings
from splitstrument.training.data_settings import DatasetSource, DataSettings
from splitstrument.training.mixing import MixingSettings


class LossSettings(Settings):
    """A loss of `splitstrument.network.losses.registry`, or ``module:function`` of the user's own, and its options."""

    name: str = "l11"
    options: dict[str, JsonValue] = Field(default_factory=dict)


class ScheduleSettings(Settings):
    """Learning rate over the training, as a factor of the optimizer's rate.

    Attributes
    ----------
    kind
        ``constant``; ``cosine``: down to `floor` at the last step; ``exponential``: to `floor` likewise, in equal
        ratios; ``plateau``: times `factor` after `patience` epochs without a better validation loss.
    warmup_steps
        Rise linearly from zero over so many steps first.
    """

    kind: Literal["constant", "cosine", "exponential", "plateau"] = "constant"
    warmup_steps: int = Field(0, ge=0)
    floor: float = Field(0.01, gt=0, le=1)
    factor: float = Field(0.2, gt=0, lt=1)
    patience: int = Field(5, ge=1)


class OptimizerSettings(Settings):
    """The optimizer and what is done to its steps.

    Attributes
    ----------
    clip_norm
        Clip the gradient's global norm; null does not.
    accumulate
        Add up the gradients of so many batches before one update.
    ema
        Momentum of an exponential moving average of the weights, which then validates and is saved; null keeps none.
    ema_batches
        So many training batches, as they come next, tell the average's own statistics for batch normalization before it
        validates and is saved; 0 leaves it those that followed the weights, which fit less while the learning rate is
        high. For one process.
    statistics_batches
        Likewise without an average: a training that is short against the memory of batch normalization (a hundred
        steps) is judged and saved with statistics of the weights that it has come to, not of those it had. 0 is the
        thesis's way.
    """

    name: Literal["adam", "adamw", "muon", "sgd"] = "adam"
    learning_rate: float = Field(1e-4, gt=0)
    schedule: ScheduleSettings = ScheduleSettings()
    weight_decay: float | None = Field(None, ge=0)
    clip_norm: float | None = Field(None, gt=0)
    accumulate: int = Field(1, ge=1, le=1024)
    ema: float | None = Field(None, gt=0, lt=1)
    ema_batches: int = Field(0, ge=0, le=1000)
    statistics_batches: int = Field(0, ge=0, le=1000)

    @property
    def batches_for_statistics(self) -> int:
        """Batches that estimate the statistics of what is validated and saved."""
        return max(self.statistics_batches, self.ema_batches if self.ema else 0)


class EarlyStoppingSettings(Settings):
    """Stop when the validation loss has not fallen by `min_delta` for `patience` epochs; null never stops."""

    patience: int | None = Field(None, ge=1)
    min_delta: float = Field(1e-5, ge=0)


class ComputeSettings(Settings):
    """How the steps are computed.

    Attributes
    ----------
    precision
        ``float32``; ``bfloat16``: on processors through oneDNN's automatic mixed precision, elsewhere Keras's
        ``mixed_bfloat16`` policy. Weights stay float32.
    xla
        Compile the step with XLA; slower on processors, faster on most graphics cards. On TensorFlow it needs
        `deterministic` to be false; JAX compiles always.
    deterministic
        Same weights from the same command, bit for bit on the same machine at any load (TensorFlow; the others promise
        nothing). TensorFlow then computes one operation at a time.
    """

    precision: Literal["float32", "bfloat16"] = "float32"
    xla: bool = False
    deterministic: bool = True


TrackerName = Annotated[str, AfterValidator(check_tracker)]


class RecordSettings(Settings):
    """Records kept besides weights and history.

    Attributes
    ----------
    save_every_s
        Save the whole state, for ``--resume``, at least this often inside an epoch; every epoch's end saves it too.
    trackers
        Programs that are told the numbers of every epoch, too: ``tensorboard``, ``mlflow``, or ``mlflow:PLACE`` (see
        `splitstrument.trackers`).
    tensorboard
        Short for that tracker.
    keep_best
        Also keep the weights of so many best epochs, in ``top/``; `splitstrument models average` makes a model of them.
    profile_steps
        Trace so many steps, after the first five, into ``profile/``: for TensorBoard's profiler, or Perfetto.
    """

    save_every_s: float = Field(300.0, ge=0)
    trackers: tuple[TrackerName, ...] = ()
    tensorboard: bool = False
    keep_best: int = Field(0, ge=0, le=1000)
    profile_steps: int = Field(0, ge=0, le=1000)

    @property
    def all_trackers(self) -> tuple[str, ...]:
        """Every tracker that is asked for in either way."""
        return (*(("tensorboard",) if self.tensorboard else ()), *self.trackers)


class Scores(Settings):
    """Published medians in dB."""

    sdr: float
    sir: float
    sar: float


class Published(Settings):
    """Numbers that the thesis printed about this training.

    Attributes
    ----------
    dataset_tracks
        Tracks that each dataset had for training (validation by MD5 included); null where it was not printed.
    tracks
        Tracks that the training took of each.
    """

    table: str
    section: str
    instrument: Scores
    rest: Scores
    trainable_parameters: int
    epoch_time: str
    dataset_tracks: tuple[int, ...] | None = None
    tracks: tuple[int, ...] | None = None
    stopped_after_epochs: int | None = None


class TrainingSettings(Settings):
    """One training, as resolved from a recipe and its bases.

    Attributes
    ----------
    seed
        Of the initial weights, dropout, order of the data and augmentation.
    steps_per_epoch
        Null: every chunk once (``chunks``), or as many segments as fit into the audio (``segments``).
    init_from
        A shipped model, or a run or model folder, whose best weights to start from, or one of its weights files; the
        network must be the same, but one member starts from the first of several. A network in mid and side starts from
        mono models, one or several: from the body of the first, and for each stem from the model that has it as target.
    mixing
        For source ``stems``.
    best_by
        What makes an epoch the best: the lowest ``loss`` on validation chunks, or the highest median ``si_sdr`` of the
        instrument over whole validation songs, separated as `splitstrument separate` does. Early stopping and the
        plateau schedule go by the loss.
    licence
        Of the weights, for ``model.yaml``; nobody's to guess, so null unless said.
    doctor
        A training that learns nothing: ``stop`` it with a diagnosis, ``warn`` in the log, or ``off``.
    published
        The thesis's numbers for this training.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,80}$")
    summary: str = ""
    seed: int = Field(0, ge=0, lt=2**31)
    model: ModelSettings = ModelSettings()
    datasets: tuple[DatasetSource, ...] = Field(min_length=1)
    validation_ratio: float = Field(0.2, ge=0, lt=1)
    data: DataSettings = DataSettings()
    augmentation: AugmentationSettings = AugmentationSettings()
    mixing: MixingSettings = MixingSettings()
    loss: LossSettings = LossSettings()
    optimizer: OptimizerSettings = OptimizerSettings()
    batch_size: int = Field(4, ge=1, le=4096)
    epochs: int = Field(36, ge=1, le=1_000_000)
    steps_per_epoch: int | None = Field(None, ge=1)
    early_stopping: EarlyStoppingSettings = EarlyStoppingSettings()
    compute: ComputeSettings = ComputeSettings()
    records: RecordSettings = RecordSettings()
    init_from: str | tuple[str, ...] | None = None
    best_by: Literal["loss", "si_sdr"] = "loss"
    licence: str | None = Field(None, max_length=200)
    doctor: Literal["stop", "warn", "off"] = "stop"
    published: Published | None = None

    @field_validator("doctor", mode="before")
    @classmethod
    def _off_is_no_boolean(cls, value: Any) -> Any:
        """Take YAML's bare ``off``, which it reads as false, for what it says."""
        return "off" if value is False else value

    @field_validator("datasets", mode="before")
    @classmethod
    def _paths_alone(cls, value: Any) -> Any:
        """Let a recipe list plain paths."""
        return [{"path": item} if isinstance(item, str) else item for item in value] if _is_list(value) else value

    @model_validator(mode="after")
    def _consistent(self) -> TrainingSettings:
        labels = [source.label for source in self.datasets]
        if len(set(labels)) < len(labels):
            raise ValueError(f"datasets need different names, but these are listed: {', '.join(labels)}")
        if all(source.role == "validation" for source in self.datasets):
            raise ValueError("no dataset is left to train on: give at least one the role 'both' or 'training'")
        self._check_stems()
        if self.model.network.outputs > 2 and self.data.source != "stems":
            raise ValueError(
                "training knows one output (the instrument) or two (instrument and rest); several instruments need "
                "data.source: stems"
            )
        if self.data.place == "device" and self.data.source == "stems":
            raise ValueError("data.place: device is for the sources chunks, segments and joint: set it to files")
        self._check_joint()
        if self.best_by == "si_sdr" and self.data.source in ("joint", "stems"):
            raise ValueError("best_by: si_sdr is for trainings of one instrument: set it to loss")
        return self

    def _check_stems(self) -> None:
        """A network of several instruments, its source and its loss belong together."""
        of_stems = self.data.source == "stems"
        if (self.loss.name == "stem_error") != of_stems:
            raise ValueError("data.source: stems and the loss stem_error need each other")
        if bool(self.model.channels == "mid_side") != of_stems:
            raise ValueError("data.source: stems trains networks with channels: mid_side, and no other source does")
        strange = sorted(set(self.model.names) - set(STEMS)) if of_stems else []
        if strange:
            raise ValueError(f"stem sets have no stem {strange[0]!r}; they have {', '.join(STEMS)}")

    def _check_joint(self) -> None:
        """A second instrument needs a second output, and a dataset that has it."""
        has_second = any(source.second_path is not None for source in self.datasets if source.role != "validation")
        if self.data.source != "joint":
            if any(source.second_path is not None for source in self.datasets):
                raise ValueError("second_path is for data.source: joint; remove it, or train jointly")
            return
        if not has_second:
            raise ValueError("data.source: joint needs a dataset with second_path to train on; none has it")
        if self.model.network.outputs != 2:
            raise ValueError("data.source: joint needs model.network.outputs: 2, one for each instrument")
        if self.loss.name == "energy_conserving":
            raise ValueError("the loss energy_conserving is about an instrument and its rest, not two instruments")


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)
