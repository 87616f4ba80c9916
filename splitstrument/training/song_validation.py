"""Validation as a listener hears it: whole songs through the separation that ships, scored by SI-SDR.

A loss is of chunks that lie end to end; a separation lets them overlap, knows polarity and gates, and ends in samples.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from splitstrument import audio
from splitstrument.model_folder import ModelDescription, ModelFolder
from splitstrument.network.registry import predict_masks
from splitstrument.network.settings import ModelSettings
from splitstrument.pairs import Pair, check_pair
from splitstrument.separation.options import SeparationOptions
from splitstrument.separation.pipeline import LoadedModel
from splitstrument.separation.samples import Native
from splitstrument.separation.separator import Separator, SongStream
from splitstrument.spectrogram import Float

TINY = 1e-20


class LiveNetwork:
    """A network in training as an engine of separation."""

    name, chunks_at_once = "keras", 1

    def __init__(self, network: Any) -> None:
        self._network = network

    def predict(self, magnitudes: Float) -> Float:
        """See `splitstrument.separation.engines.Engine`."""
        return predict_masks(self._network, magnitudes)


@dataclass
class Products:
    """The three sums that SI-SDR is made of, over all channels."""

    reference: float = 0.0
    estimate: float = 0.0
    both: float = 0.0

    def add(self, reference: Float, estimate: Float) -> None:
        """Take the next samples of both, (n_samples, n_channels)."""
        wanted, got = reference.astype(np.float64).ravel(), estimate.astype(np.float64).ravel()
        self.reference += float(wanted @ wanted)
        self.estimate += float(got @ got)
        self.both += float(wanted @ got)

    @property
    def si_sdr(self) -> float:
        """In dB (Le Roux et al. 2019, means not removed); -200 for silence."""
        target = self.both**2 / (self.reference + TINY)
        return 10 * float(np.log10((target + TINY) / (max(self.estimate - target, 0) + TINY)))


def song_si_sdr(network: Any, settings: ModelSettings, songs: Sequence[Pair]) -> float:
    """Return the median SI-SDR in dB of the instrument over whole songs, separated block by block."""
    folder = ModelFolder(Path(), ModelDescription(name="in training", model=settings))
    model = LoadedModel(folder, LiveNetwork(network))
    return statistics.median(_si_sdr(model, song) for song in songs)


def _si_sdr(model: LoadedModel, song: Pair) -> float:
    info, products = check_pair(song), Products()
    reference = _Reference(song)

    def compare(block: Native, instruments: Sequence[Float]) -> list[Native]:
        products.add(reference.take(len(block)), instruments[0])
        return [instruments[0], block - instruments[0]]

    stream = SongStream(_mixture(song), info.n_channels, info.sample_rate_hz, info.n_samples)
    Separator.by_network(model, SeparationOptions()).run(stream, compare)
    return products.si_sdr


class _Reference:
    """The instrument's samples in blocks of any length."""

    def __init__(self, song: Pair) -> None:
        self._blocks = audio.blocks(song.instrument)
        self._left = next(self._blocks)

    def take(self, n_samples: int) -> Float:
        while len(self._left) < n_samples:
            self._left = np.concatenate([self._left, next(self._blocks)])
        taken, self._left = self._left[:n_samples], self._left[n_samples:]
        return taken


def _mixture(song: Pair) -> Iterator[Float]:
    for instrument, rest in zip(audio.blocks(song.instrument), audio.blocks(song.rest), strict=False):
        n_samples = min(len(instrument), len(rest))
        yield instrument[:n_samples] + rest[:n_samples]
