"""How the steps are computed: precision, XLA and determinism, as they are asked for and as they are in force."""

from __future__ import annotations

from typing import Any

import keras

from splitstrument.errors import SettingsError
from splitstrument.training.backend import one_operation_at_a_time
from splitstrument.training.settings import ComputeSettings


def check_compute(compute: ComputeSettings) -> None:
    """Refuse what the backend would drop in silence.

    Raises
    ------
    SettingsError
        If TensorFlow is to be deterministic and to use XLA.
    """
    if compute.xla and compute.deterministic and keras.backend.backend() == "tensorflow":
        raise SettingsError(
            "Settings compute.xla: true and compute.deterministic: true exclude each other on TensorFlow (Keras would "
            "leave XLA out): set one of them to false, or train with KERAS_BACKEND=jax."
        )


def prepare_backend(compute: ComputeSettings, seed: int) -> None:
    """Seed the backend, make it deterministic and set its precision; call before building anything."""
    if keras.backend.backend() == "tensorflow":
        _prepare_tensorflow(compute)
    keras.utils.set_random_seed(seed)
    policy = "mixed_bfloat16" if compute.precision == "bfloat16" and not _in_onednn(compute) else "float32"
    keras.mixed_precision.set_global_policy(policy)


def _prepare_tensorflow(compute: ComputeSettings) -> None:
    import tensorflow as tf

    if compute.deterministic:
        one_operation_at_a_time()
        tf.config.experimental.enable_op_determinism()
    tf.config.optimizer.set_experimental_options({"auto_mixed_precision_onednn_bfloat16": _in_onednn(compute)})


def _in_onednn(compute: ComputeSettings) -> bool:
    """Whether oneDNN chooses what to compute in bfloat16; Keras's own policy is slow on processors."""
    on_processor = keras.backend.backend() == "tensorflow" and device_kind() == "CPU"
    return compute.precision == "bfloat16" and on_processor


def device_kind() -> str:
    """``GPU`` if the backend computes on a graphics card, else ``CPU``."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        found = bool(tf.config.list_physical_devices("GPU"))
    elif backend == "jax":
        import jax

        found = jax.default_backend() != "cpu"
    else:
        import torch

        found = torch.cuda.is_available()
    return "GPU" if found else "CPU"


def in_force(compute: ComputeSettings) -> dict[str, Any]:
    """Return what a training computes with, for its record: what was asked for may not be what the backend gives.

    Returns
    -------
    ``backend``, ``device``, ``precision``, ``xla``, and ``exact``: whether the weights are the same at any load, in
    one sentence where they may not be.
    """
    backend = keras.backend.backend()
    return {
        "backend": backend,
        "device": device_kind(),
        "precision": f"{compute.precision} by oneDNN" if _in_onednn(compute) else compute.precision,
        "xla": compute.xla or backend == "jax",
        "exact": _exact(compute, backend),
    }


def _exact(compute: ComputeSettings, backend: str) -> bool | str:
    if not compute.deterministic:
        return "no: compute.deterministic is false"
    if backend != "tensorflow":
        return f"not promised by {backend}"
    if not one_operation_at_a_time():
        return "no: TensorFlow had begun to compute, several operations at a time, before this training was set up"
    return True
