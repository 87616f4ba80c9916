"""Optimizers and learning rates."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from splitstrument.training.settings import OptimizerSettings, ScheduleSettings


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


NOT_HIDDEN = ("fold_",)  # in the name of the first and last layers, which Muon's authors leave to AdamW


@keras.saving.register_keras_serializable(package="splitstrument")
class ConvolutionalMuon(keras.optimizers.Muon):
    """`keras.optimizers.Muon` that also orthogonalises the kernels of convolutions; biases and scales go by AdamW."""

    def __init__(self, learning_rate=1e-3, weight_decay=4e-3, **kwargs) -> None:
        """Decay all weights alike, those that go by AdamW too."""
        super().__init__(learning_rate, weight_decay=weight_decay, **(kwargs | {"adam_weight_decay": weight_decay}))

    def _should_use_adamw(self, variable) -> bool:
        """Keras asks this when it makes its variables: vectors, and first and last layers."""
        return len(variable.shape) < 2 or any(name in variable.path for name in NOT_HIDDEN)

    def zeropower_via_newtonschulz5(self, x, steps: int):
        """The nearest orthogonal matrix to an update, in the shape of its kernel."""
        matrix = super().zeropower_via_newtonschulz5(ops.reshape(x, (-1, x.shape[-1])), steps)
        return ops.reshape(matrix, x.shape)

    def lr_adjust(self, x):
        """Scale an update by the larger side of its matrix, so that its entries are as large as AdamW's."""
        return ops.reshape(super().lr_adjust(ops.reshape(x, (-1, x.shape[-1]))), x.shape)


def rate_factor(schedule: ScheduleSettings, step: int, total_steps: int, drops: int = 0) -> float:
    """Factor on the optimizer's learning rate at `step` (counted from 0 over all epochs), in (0, 1].

    Parameters
    ----------
    drops
        How often a ``plateau`` schedule has lowered the rate so far.
    """
    warmup = min(1.0, (step + 1) / schedule.warmup_steps) if schedule.warmup_steps else 1.0
    after = max(1, total_steps - schedule.warmup_steps)
    done = min(1.0, max(0, step - schedule.warmup_steps) / after)
    if schedule.kind == "cosine":
        return warmup * (schedule.floor + (1 - schedule.floor) * (1 + math.cos(math.pi * done)) / 2)
    if schedule.kind == "exponential":
        return warmup * schedule.floor**done
    return warmup * schedule.factor**drops
