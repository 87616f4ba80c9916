"""Processes that train together: who they are, and what they tell each other. Imports no TensorFlow by itself.

Every process holds the whole network and computes its part of every batch; sums over all parts keep them equal, so
that the result is that of one process with the whole batch. TensorFlow's collectives carry the sums.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from splitstrument.errors import SettingsError, SplitstrumentError, TrainingError, missing_extra
from splitstrument.training.settings import TrainingSettings

JOIN_TIMEOUT_S = 300.0  # for all workers to have been started
COLLECTIVE_TIMEOUT_S = 600.0  # for the slowest one at any sum; that one has died is noticed within seconds


@dataclass(frozen=True)
class Member:
    """One process of a team.

    Attributes
    ----------
    index
        Which of the processes; 0 is the chief, who alone writes the run folder.
    addresses
        ``host:port`` of every process, in order.
    """

    index: int
    addresses: tuple[str, ...]

    def __post_init__(self) -> None:
        for address in self.addresses:
            host, _, port = address.rpartition(":")
            if not host or not port.isdecimal() or not 0 < int(port) < 65536:
                raise SettingsError(f"{address!r} is no address of a worker: expected HOST:PORT, as in 10.0.0.2:21000.")
        if len(set(self.addresses)) < len(self.addresses):
            raise SettingsError(f"Two workers have the same address in {', '.join(self.addresses)}.")
        if not 0 <= self.index < len(self.addresses):
            raise SettingsError(
                f"There is no worker {self.index} among {len(self.addresses)} addresses: count from 0, the chief."
            )

    def __str__(self) -> str:
        return f"{self.index}@{','.join(self.addresses)}"

    @classmethod
    def parse(cls, text: str) -> Member:
        """Read back what ``str`` wrote."""
        index, _, addresses = text.partition("@")
        return cls(int(index), tuple(addresses.split(",")))


class Team(Protocol):
    """Interface of the processes that train together."""

    index: int
    size: int

    def sum(self, values: np.ndarray) -> np.ndarray:
        """Sum of every process's `values` (float32), the same for all."""


class Alone:
    """The team of one process."""

    index, size = 0, 1

    def sum(self, values: np.ndarray) -> np.ndarray:
        """The values themselves."""
        return values


class Workers:
    """A team of several processes, joined by TensorFlow's multi-worker strategy.

    Blocks until all of them are there, and ends the process if they do not come. Must be made before TensorFlow has
    computed anything.
    """

    def __init__(self, member: Member) -> None:
        try:
            import tensorflow as tf
        except ImportError:
            raise missing_extra("Training over several processes", "train") from None
        self.index, self.size, self.tf = member.index, len(member.addresses), tf
        cards = tf.config.list_physical_devices("GPU")
        if cards:  # one graphics card for each process, in the order of the workers
            tf.config.set_visible_devices(cards[member.index % len(cards)], "GPU")
        resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
            tf.train.ClusterSpec({"worker": list(member.addresses)}),
            task_type="worker",
            task_id=member.index,
            rpc_layer="grpc",
        )
        options = tf.distribute.experimental.CommunicationOptions(timeout_seconds=COLLECTIVE_TIMEOUT_S)
        with _giving_up(member), self.watching():
            self.strategy = tf.distribute.MultiWorkerMirroredStrategy(resolver, options)
        self._sum = tf.function(self._sum_of, autograph=False)

    def sum(self, values: np.ndarray) -> np.ndarray:
        """Sum of every process's `values`, the same for all."""
        with self.watching():
            return self._sum(self.tf.constant(values, "float32")).numpy()

    def _sum_of(self, values: Any) -> Any:
        return self.strategy.run(self.all_reduce, args=([values],))[0]

    def all_reduce(self, values: list[Any]) -> list[Any]:
        """Sum tensors over the processes; call it inside ``strategy.run``."""
        context = self.tf.distribute.get_replica_context()
        placed = [self.tf.identity(value) for value in values]  # an argument of a tf.function lies on no device yet
        return context.all_reduce(self.tf.distribute.ReduceOp.SUM, placed)

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Turn what TensorFlow raises when another process is gone into one sentence.

        Raises
        ------
        TrainingError
            Another process ended, or did not answer in time.
        """
        errors = self.tf.errors
        try:
            yield
        except (errors.UnavailableError, errors.AbortedError, errors.CancelledError) as error:
            raise TrainingError(lost(self.index)) from error
        except errors.DeadlineExceededError as error:
            raise TrainingError(lost(self.index, f" within {COLLECTIVE_TIMEOUT_S:.0f} s")) from error


@contextlib.contextmanager
def _giving_up(member: Member) -> Iterator[None]:
    """End the process if the block takes too long: TensorFlow itself waits for an hour."""
    error = TrainingError(
        f"Worker {member.index} waited {JOIN_TIMEOUT_S:.0f} s in vain for the others of {', '.join(member.addresses)}: "
        "start all of them, and let each reach the others' ports."
    )
    timer = threading.Timer(JOIN_TIMEOUT_S, end_with, [error])
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def end_with(outcome: dict[str, Any] | SplitstrumentError) -> None:
    """Tell the parent how a worker's training ended, in one line, and end the process at once.

    No shutdown message: a worker that lost the others would wait for them there.
    """
    failed = isinstance(outcome, SplitstrumentError)
    answer = {"error": str(outcome), "kind": type(outcome).__name__} if failed else {"result": outcome}
    print(json.dumps(answer), flush=True)
    sys.stderr.flush()
    os._exit(1 if failed else 0)


def lost(index: int, when: str = "") -> str:
    """Return the message of worker `index` when it lost the others."""
    return (
        f"Worker {index} lost the others{when}: one of them ended, or the network between them failed; the training "
        "goes on from its last save with --resume, on all workers."
    )


def any_of(team: Team, flag: bool) -> bool:
    """Tell whether `flag` is true in any process; all of them must ask."""
    return bool(team.sum(np.array([flag], np.float32))[0]) if team.size > 1 else flag


def check_shareable(settings: TrainingSettings, size: int) -> None:
    """Refuse what `size` processes cannot share.

    Raises
    ------
    SettingsError
        If the batch cannot be cut into equal parts, is made on the device or of stem sets, or XLA is asked for.
    """
    if size > 1 and settings.data.place == "device":
        raise SettingsError("Setting data.place: device is for one process: set it to files for a training on several.")
    if size > 1 and settings.data.source == "stems":
        # a mean over the stems that are known: parts of a batch may know other numbers of them and would not add up
        raise SettingsError("Setting data.source: stems is for one process: train with one.")
    if settings.batch_size % size:
        raise SettingsError(
            f"A batch_size of {settings.batch_size} cannot be shared by {size} processes: choose a multiple of {size}."
        )
    if size > 1 and settings.compute.xla:
        raise SettingsError("Setting compute.xla: true does not work over several processes: set it to false.")


def rows_of(team: Team, batch_size: int) -> slice:
    """The part of a batch that a process computes."""
    part = batch_size // team.size
    return slice(team.index * part, (team.index + 1) * part)
