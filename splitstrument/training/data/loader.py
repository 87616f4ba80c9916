"""Prepare batches in parallel, ahead of the network, in order and in bounded memory.

Two ways that give the same batches: a `tf.data` pipeline, and plain threads where the network computes with JAX or
PyTorch.
"""

from __future__ import annotations

import collections
import importlib.util
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from splitstrument.errors import SplitstrumentError, missing_extra
from splitstrument.training.data.examples import Batch
from splitstrument.training.settings import DataSettings

MakeBatch = Callable[[int], Batch]


def load_batches(make_batch: MakeBatch, start: int, stop: int, data: DataSettings) -> Iterator[dict[str, Any]]:
    """Yield ``make_batch(i)`` for i in ``[start, stop)``, in order, computed by `data.workers` threads ahead of time.

    At most ``workers + prefetch`` batches are in memory. An error of `make_batch` is raised here, as it was.
    """
    if stop <= start:
        return iter(())
    if data.backend == "threads" or (data.backend == "auto" and not _on_tensorflow()):
        return threaded_batches(make_batch, start, stop, data)
    return tf_data_batches(make_batch, start, stop, data)


def threaded_batches(make_batch: MakeBatch, start: int, stop: int, data: DataSettings) -> Iterator[Batch]:
    """Batches from a thread pool: decoding and FFT release the interpreter's lock."""
    with ThreadPoolExecutor(data.workers, thread_name_prefix="batch") as pool:
        ahead = collections.deque(pool.submit(make_batch, i) for i in range(start, min(stop, start + data.prefetch)))
        try:
            for following in range(start + len(ahead), stop + len(ahead)):
                batch = ahead.popleft().result()
                if following < stop:
                    ahead.append(pool.submit(make_batch, following))
                yield batch
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def tf_data_batches(make_batch: MakeBatch, start: int, stop: int, data: DataSettings) -> Iterator[dict[str, Any]]:
    """Batches from `tf_data_pipeline`, with errors as `make_batch` raised them."""
    errors: list[SplitstrumentError] = []
    try:
        yield from tf_data_pipeline(_noting_errors(make_batch, errors), start, stop, data)
    except Exception:
        if errors:
            raise errors[0] from None
        raise


def tf_data_pipeline(make_batch: MakeBatch, start: int, stop: int, data: DataSettings) -> Any:
    """Make the tf.data.Dataset of the batches ``[start, stop)``: dicts of float32 tensors of known shape."""
    try:
        import tensorflow as tf
    except ImportError:
        raise missing_extra("The tf.data pipeline", "train") from None
    probe = make_batch(start)
    names = list(probe)

    def arrays(index: int) -> list[Any]:
        batch = make_batch(int(index))
        return [batch[name] for name in names]

    def tensors(index: Any) -> dict[str, Any]:
        # stateless, since a batch depends on its index alone: tf.data may then run it in parallel and stay in order
        values = tf.numpy_function(arrays, [index], [tf.float32] * len(names), stateful=False)
        return {name: tf.ensure_shape(value, probe[name].shape) for name, value in zip(names, values, strict=True)}

    options = tf.data.Options()
    options.threading.private_threadpool_size = data.workers + 1  # TensorFlow's own has one, for the network
    indices = tf.data.Dataset.range(start, stop).with_options(options)
    return indices.map(tensors, num_parallel_calls=data.workers, deterministic=True).prefetch(data.prefetch)


def _noting_errors(make_batch: MakeBatch, errors: list[SplitstrumentError]) -> MakeBatch:
    """Keep what `make_batch` raises: TensorFlow would turn it into a page of its own text."""

    def noting(index: int) -> Batch:
        try:
            return make_batch(index)
        except SplitstrumentError as error:
            errors.append(error)
            raise

    return noting


def _on_tensorflow() -> bool:
    """Whether the network computes with TensorFlow, so that loading it for the data costs nothing."""
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    return backend == "tensorflow" and importlib.util.find_spec("tensorflow") is not None
