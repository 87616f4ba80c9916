"""BSS Eval v3 and v4 of all systems of a track, from correlations that are accumulated once.

Version 3 sees the mean of the channels, as in the thesis; version 4 all channels together. Silent references are left
out of version 3 as if they did not exist; version 4 is then undefined.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from splitstrument.evaluation.metrics.bss import WholeTrack
from splitstrument.evaluation.metrics.bss_framewise import Framewise
from splitstrument.evaluation.metrics.correlations import Correlations
from splitstrument.evaluation.metrics.metric import (
    SOURCES,
    Block,
    Family,
    Metric,
    Track,
    Values,
    mean_channels,
    split_channels,
)

V3, V4 = ("sdr", "sir", "sar"), ("sdr_v4", "isr_v4", "sir_v4", "sar_v4")
VINCENT = "Vincent, Gribonval, Févotte 2006, as mir_eval.separation.bss_eval_sources without permutation"
SISEC = "Stöter, Liutkus, Ito 2018, as museval.metrics.bss_eval"
FORGIVES = "level, and any filter of 512 samples: equalization, short delays"
METRICS = (
    Metric(
        "sdr", "SDR", "dB", "higher", True,
        "target over interference and artifacts on the whole track, BSS Eval v3 (the thesis's)", VINCENT, FORGIVES,
    ),
    Metric("sir", "SIR", "dB", "higher", True, "target over interference, BSS Eval v3", VINCENT, FORGIVES),
    Metric(
        "sar", "SAR", "dB", "higher", True, "target and interference over artifacts, BSS Eval v3", VINCENT,
        "the other source: the mixture itself has an enormous SAR",
    ),
    Metric(
        "sdr_v4", "SDR v4", "dB", "higher", True,
        "reference over difference, median over seconds, BSS Eval v4 (also called cSDR)", SISEC,
        "seconds in which a source is silent",
    ),
    Metric(
        "isr_v4", "ISR v4", "dB", "higher", False, "reference over its spatial distortion, BSS Eval v4", SISEC, FORGIVES
    ),
    Metric("sir_v4", "SIR v4", "dB", "higher", False, "target over interference, BSS Eval v4", SISEC, FORGIVES),
    Metric(
        "sar_v4", "SAR v4", "dB", "higher", False, "projections over artifacts, BSS Eval v4", SISEC,
        "the other source; collapses where bands are empty",
    ),
)  # fmt: skip


class BssEval:
    """Meter of BSS Eval v3 and, where its metrics are wanted, of v4."""

    def __init__(self, track: Track) -> None:
        self.track, self.framewise_wanted = track, bool(track.wanted & set(V4))
        n = len(SOURCES)
        self.mono = Correlations(n, n * track.n_systems)
        signals = n * track.n_channels
        several = self.framewise_wanted and track.n_channels > 1
        self.channels = Correlations(signals, signals * track.n_systems) if several else self.mono
        self.audible: list[int] = []
        self.whole: WholeTrack | None = None
        self.framewise: Framewise | None = None
        self._v3: NDArray | None = None
        self._v4: NDArray | None = None

    def add(self, block: Block) -> None:
        """Accumulate the correlations."""
        self.mono.add(*_mono(block))
        if self.channels is not self.mono:
            self.channels.add(*_channels(block))

    def end_pass(self) -> bool:
        """Solve for the filters; v4 and near-perfect estimates need the signals once more."""
        self.audible = [index for index in range(len(SOURCES)) if self.mono.energy[index] > 0]
        if self.audible:
            self.whole = WholeTrack(self.mono.subset(self.audible))
        if self.framewise_wanted and len(self.audible) == len(SOURCES) and self.mono.n_samples:
            self.framewise = Framewise(self.channels, len(SOURCES), self.track.sample_rate_hz)
        return self.framewise is not None or (self.whole is not None and self.whole.needs_residual)

    def add_again(self, block: Block) -> None:
        """Take the windows of v4, and the residuals of near-perfect estimates."""
        if self.whole is not None and self.whole.needs_residual:
            references, estimates = _mono(block)
            columns = [index for index in range(len(estimates)) if index % len(SOURCES) in self.audible]
            self.whole.add_again(references[self.audible], estimates[columns])
        if self.framewise is not None:
            self.framewise.add_again(*_channels(block))

    def finish(self) -> None:
        """Form the ratios."""
        self._v3 = None if self.whole is None else np.array(self.whole.ratios_db())
        self._v4 = None if self.framewise is None else self.framewise.ratios()

    def scores(self, system: int, source: int) -> Values:
        """Values of one estimate; v4 as the median over the seconds in which no signal is silent."""
        return self._whole_track(system, source) | self._framewise(system, source)

    def _whole_track(self, system: int, source: int) -> Values:
        n = len(SOURCES)
        if self._v3 is None or source not in self.audible or not self.mono.energy[n + n * system + source] > 0:
            return dict.fromkeys(V3)
        column = len(self.audible) * system + self.audible.index(source)
        values: Values = {key: float(ratio) for key, ratio in zip(V3, self._v3[:, column], strict=True)}
        return values if len(self.audible) == n else values | {"sir": None}

    def _framewise(self, system: int, source: int) -> Values:
        n = len(SOURCES)
        if self._v4 is None or not np.all(self.mono.energy[n + n * system : n + n * (system + 1)] > 0):
            return dict.fromkeys(V4)
        return {key: _median(values[system, source]) for key, values in zip(V4, self._v4, strict=True)}


FAMILY = Family(METRICS, BssEval)


def _mono(block: Block) -> tuple[NDArray, NDArray]:
    """(2, n_samples) and (2 * n_systems, n_samples)."""
    return mean_channels(block.references), mean_channels(block.estimates).reshape(-1, block.references.shape[1])


def _channels(block: Block) -> tuple[NDArray, NDArray]:
    """(2 * n_channels, n_samples) and (2 * n_channels * n_systems, n_samples)."""
    estimates = block.estimates.reshape(-1, *block.references.shape[1:])
    return split_channels(block.references), split_channels(estimates)


def _median(values: NDArray) -> float | None:
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else None
