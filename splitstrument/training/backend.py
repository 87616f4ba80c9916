"""Prepare the process for a Keras backend, before any of it is imported."""

from __future__ import annotations

import importlib.util
import os

from splitstrument.errors import missing_extra

BACKENDS = {"tensorflow": "tensorflow", "jax": "jax", "torch": "torch"}


def choose_backend() -> str:
    """Give the Keras backend to use: what KERAS_BACKEND says, or the first that is installed.

    Also keeps TensorFlow's start-up notes off the terminal.

    Raises
    ------
    MissingExtraError
        If Keras or every backend is missing.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    installed = [name for name, module in BACKENDS.items() if importlib.util.find_spec(module)]
    if not installed or not importlib.util.find_spec("keras"):
        raise missing_extra("Training", "train")
    return os.environ.setdefault("KERAS_BACKEND", installed[0])
