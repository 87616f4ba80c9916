"""Prepare the process for a Keras backend, before any of it is imported."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from splitstrument.errors import missing_extra

BACKENDS = {"tensorflow": "tensorflow", "jax": "jax", "torch": "torch"}


def choose_backend(start: bool = True, deterministic: bool = True) -> str:
    """Give the Keras backend to use: what KERAS_BACKEND says, or the first that is installed.

    Also keeps TensorFlow's start-up notes off the terminal.

    Parameters
    ----------
    start
        Let TensorFlow compute something first; not where processes are still to be joined into a team.
    deterministic
        Let TensorFlow compute one operation at a time (`one_operation_at_a_time`).

    Raises
    ------
    MissingExtraError
        If Keras or every backend is missing.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    installed = [name for name, module in BACKENDS.items() if importlib.util.find_spec(module)]
    if not installed or not importlib.util.find_spec("keras"):
        raise missing_extra("Training", "train")
    backend = os.environ.setdefault("KERAS_BACKEND", installed[0])
    if backend == "tensorflow":
        with silent_stderr():
            import tensorflow as tf

            if deterministic:
                one_operation_at_a_time()
            if start:
                tf.zeros(1)  # the first operation starts the runtime, which notes what the processor can do
    return backend


def one_operation_at_a_time() -> bool:
    """Give TensorFlow one thread between operations, which alone makes a training exact; False if it is too late.

    With several, the order in which operations end depends on the machine's load, and ``AddN`` of three or more
    gradients (those of batch normalization) begins with the one whose memory nobody else holds any longer: another
    order of rounding. Each operation still uses all cores.
    """
    import tensorflow as tf

    with contextlib.suppress(RuntimeError):  # it has begun to compute
        tf.config.threading.set_inter_op_parallelism_threads(1)
    return tf.config.threading.get_inter_op_parallelism_threads() == 1


@contextlib.contextmanager
def silent_stderr() -> Iterator[None]:
    """Drop what native code writes to the error stream; TensorFlow's first notes ignore its log levels."""
    sys.stderr.flush()
    kept = os.dup(2)
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
