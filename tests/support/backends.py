"""The Keras backends that are installed, and programs run under one of them."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

from splitstrument.training.backend import BACKENDS

INSTALLED = [name for name, module in BACKENDS.items() if importlib.util.find_spec(module)]


def run(name, *command):
    """Run a Python program under a backend; its output."""
    done = subprocess.run(
        [sys.executable, *map(str, command)],
        env={**os.environ, "KERAS_BACKEND": name},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout
