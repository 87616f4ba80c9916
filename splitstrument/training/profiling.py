"""A trace of some training steps, by the profiler of the backend."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from splitstrument.errors import SettingsError

WARM_UP_STEPS = 5  # the first ones build the graph
FOLDER = "profile"


class StepProfiler:
    """Traces `steps` steps of this process, after the first few, into ``profile/`` of the run folder; 0 traces none.

    Raises
    ------
    SettingsError
        If the backend has no profiler here.
    """

    def __init__(self, run: Path, steps: int) -> None:
        self.folder, self.steps, self.done = run / FOLDER, steps, 0
        self._profiler = _profiler() if steps else None

    @contextlib.contextmanager
    def step(self) -> Iterator[None]:
        """Put this around each step."""
        if self._profiler is None or self.done >= WARM_UP_STEPS + self.steps:
            yield
            return
        start, stop = self._profiler
        if self.done == WARM_UP_STEPS:
            start(str(self.folder))
        yield
        self.done += 1
        if self.done == WARM_UP_STEPS + self.steps:
            stop()


def _profiler() -> tuple[Any, Any]:
    """What starts a trace in a folder, and what ends it."""
    import keras

    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        return tf.profiler.experimental.start, tf.profiler.experimental.stop
    if backend == "jax":
        import jax

        return jax.profiler.start_trace, jax.profiler.stop_trace
    raise SettingsError(f"Setting records.profile_steps: there is no profiler for {backend}: set it to 0.")
