"""All measures of one track: instrument and rest, in one pass over blocks (a second one for BSS Eval v4).

A score is a mapping ``{"instrument": {...}, "rest": {...}}`` with the keys of `MEASURES`, in dB. A measure that is
undefined is None, never NaN: SDR, SIR, SAR and the scale-invariant ones of a silent reference or estimate, SIR where
there is nothing else in the mixture, leakage of a reference that is never silent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from splitstrument.evaluation.metrics.bss import energies
from splitstrument.evaluation.metrics.bss_framewise import framewise_ratios
from splitstrument.evaluation.metrics.correlations import Correlations
from splitstrument.evaluation.metrics.distortion import Distortion, Leakage, LogSpectralDistance
from splitstrument.evaluation.metrics.registry import MEASURES, SOURCES

BLOCK = 1 << 17

Score = dict[str, dict[str, float | None]]
# gives (references, estimates), each (2, n_samples, n_channels), block after block; can be called again
PairBlocks = Callable[[], Iterator[tuple[NDArray, NDArray]]]


def score_pair(references: NDArray, estimates: NDArray, sample_rate_hz: int, framewise: bool = True) -> Score:
    """Score one track that is in memory.

    Parameters
    ----------
    references, estimates : (2, n_samples, n_channels)
        Instrument and rest.
    sample_rate_hz
        Needed for what is counted in seconds.
    framewise
        Also compute BSS Eval v4, which takes a second pass.

    Returns
    -------
    score
        See the module's docstring.

    Examples
    --------
    >>> score_pair(np.stack([guitar, rest]), np.stack([estimate, mixture - estimate]), 22050)["instrument"]["si_sdr"]
    """
    references, estimates = np.asarray(references), np.asarray(estimates)
    if references.shape != estimates.shape or references.ndim != 3 or len(references) != 2:
        raise ValueError(
            "references and estimates must both be (2, n_samples, n_channels): instrument and rest. "
            f"Received: {references.shape} and {estimates.shape}"
        )
    return score_blocks(lambda: array_blocks(references, estimates), references.shape[2], sample_rate_hz, framewise)


def array_blocks(references: NDArray, estimates: NDArray) -> Iterator[tuple[NDArray, NDArray]]:
    """Cut arrays (2, n_samples, n_channels) into blocks."""
    for start in range(0, references.shape[1], BLOCK):
        yield references[:, start : start + BLOCK], estimates[:, start : start + BLOCK]


def score_blocks(blocks: PairBlocks, n_channels: int, sample_rate_hz: int, framewise: bool = True) -> Score:
    """Score one track of any length; memory does not grow with it.

    BSS Eval v3 sees the mean of the channels, as in the thesis; every other measure all channels together.
    """
    tracker = _Tracker(n_channels, sample_rate_hz)
    for references, estimates in blocks():
        tracker.add(references, estimates)
    score = {source: tracker.simple_scores(index) for index, source in enumerate(SOURCES)}
    for source, values in zip(SOURCES, _whole_track(tracker.mono, blocks), strict=True):
        score[source].update(values)
    if framewise:
        for source, values in zip(SOURCES, _framewise(tracker, blocks), strict=True):
            score[source].update(values)
    return {source: {key: score[source].get(key) for key in MEASURES} for source in SOURCES}


class _Tracker:
    """Everything that is accumulated in the first pass."""

    def __init__(self, n_channels: int, sample_rate_hz: int) -> None:
        self.sample_rate_hz = sample_rate_hz
        self.mono = Correlations(2, 2)
        self.channels = Correlations(2 * n_channels, 2 * n_channels) if n_channels > 1 else self.mono
        self.distortion = [Distortion() for _ in SOURCES]
        self.spectral = [LogSpectralDistance(n_channels) for _ in SOURCES]
        self.leakage = [Leakage(sample_rate_hz, n_channels) for _ in SOURCES]

    def add(self, references: NDArray, estimates: NDArray) -> None:
        mixture = references.sum(axis=0)
        self.mono.add(mean_channels(references), mean_channels(estimates))
        if self.channels is not self.mono:
            self.channels.add(split_channels(references), split_channels(estimates))
        for index in range(len(SOURCES)):
            self.distortion[index].add(references[index], estimates[index])
            self.spectral[index].add(references[index], estimates[index])
            self.leakage[index].add(references[index], estimates[index], mixture)

    def simple_scores(self, index: int) -> dict[str, float | None]:
        silence = self.leakage[index].scores()
        return {
            **self.distortion[index].scores(),
            "lsd": self.spectral[index].score(),
            "leakage_db": silence.leakage_db,
            "silent_s": silence.silent_s,
            "silent_share": silence.silent_share,
        }


def _whole_track(correlations: Correlations, blocks: PairBlocks) -> list[dict[str, float | None]]:
    """SDR, SIR and SAR of version 3; silent references are left out, as if they did not exist."""
    n = len(SOURCES)
    audible = [index for index in range(n) if correlations.energy[index] > 0]
    values: list[dict[str, float | None]] = [dict.fromkeys(("sdr", "sir", "sar")) for _ in range(n)]
    if not audible:
        return values

    def mono_blocks() -> Iterator[tuple[NDArray, NDArray]]:
        for references, estimates in blocks():
            yield mean_channels(references)[audible], mean_channels(estimates)[audible]

    ratios = energies(correlations.subset(audible), mono_blocks).ratios_db()
    for position, index in enumerate(audible):
        if correlations.energy[n + index] > 0:
            values[index] = {
                key: float(ratio[position]) for key, ratio in zip(("sdr", "sir", "sar"), ratios, strict=True)
            }
            if len(audible) < n:
                values[index]["sir"] = None
    return values


def _framewise(tracker: _Tracker, blocks: PairBlocks) -> list[dict[str, float | None]]:
    """Medians over the seconds in which no signal is silent."""

    def channel_blocks() -> Iterator[tuple[NDArray, NDArray]]:
        for references, estimates in blocks():
            yield split_channels(references), split_channels(estimates)

    keys = ("sdr_v4", "isr_v4", "sir_v4", "sar_v4")
    if not np.all(tracker.mono.energy > 0):
        return [dict.fromkeys(keys) for _ in SOURCES]
    ratios = framewise_ratios(tracker.channels, channel_blocks, len(SOURCES), tracker.sample_rate_hz)
    return [
        {key: _median(ratio[index]) for key, ratio in zip(keys, ratios, strict=True)} for index in range(len(SOURCES))
    ]


def mean_channels(signals: NDArray) -> NDArray:
    """(n_signals, n_samples, n_channels) -> (n_signals, n_samples)."""
    return signals.mean(axis=-1, dtype=np.float64) if signals.shape[-1] > 1 else signals[..., 0]


def split_channels(signals: NDArray) -> NDArray:
    """(n_signals, n_samples, n_channels) -> (n_signals * n_channels, n_samples)."""
    return signals.transpose(0, 2, 1).reshape(-1, signals.shape[1])


def _median(values: NDArray) -> float | None:
    finite = values[~np.isnan(values)]
    return float(np.median(finite)) if len(finite) else None
