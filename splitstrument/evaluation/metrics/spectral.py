"""Distances of magnitude spectra that need a track once.

- **log-spectral distance**: per STFT frame the root mean square over bins of the difference of both power spectra in
  dB, each floored at `LSD_FLOOR_DB` below a full-scale sine; the mean over frames where the reference is audible;
- **L1 frequency**: ``100 / (1 + 10 m)`` with m the mean absolute difference of magnitudes, rectangular windows of 2048
  samples, hop 1024, as in MSST;
- **multi-resolution STFT distance**: spectral convergence ``|E - S| / |S|`` (Frobenius norms over the track) plus the
  mean absolute difference of the natural logarithms of magnitudes (floored at 1e-4), the mean over Hann windows of
  1024, 2048 and 4096 samples with half as much hop. It is the distance that auraloss computes for these windows.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from splitstrument.evaluation.metrics.leakage import SILENCE_DBFS
from splitstrument.evaluation.metrics.metric import Block, Family, Metric, OnePass, Track, Values
from splitstrument.evaluation.metrics.spectra import Frames, Framing, magnitudes, systems_of

LSD_N_FFT = 2048
LSD_FLOOR_DB = -80.0
RESOLUTIONS = (1024, 2048, 4096)
LOG_FLOOR = 1e-4
L1_FRAMING = Framing(2048, 1024, "boxcar", "reflect")
DB_PER_NEPER = 20 / np.log(10)
METRICS = (
    Metric(
        "lsd", "LSD", "dB", "lower", True,
        "log-spectral distance: root mean square over bins of the difference in dB, mean over audible frames",
        "Gray, Markel 1976; floor and frames are this project's", "phase, delays of a few milliseconds",
    ),
    Metric(
        "l1_freq", "L1 freq", "", "higher", False,
        "100 / (1 + 10 times the mean absolute difference of STFT magnitudes)", "MSST and MVSEP",
        "phase, everything quiet: the level of the song decides",
    ),
    Metric(
        "mr_stft", "MR-STFT", "", "lower", False,
        "spectral convergence plus mean difference of log magnitudes, mean over three window lengths",
        "Yamamoto, Song, Kim 2020; Steinmetz, Reiss 2020 (auraloss)", "phase, delays of a few milliseconds",
    ),
)  # fmt: skip


class Spectral(OnePass):
    """Meter of the distances of this module; each framing is cut once for all that use it."""

    def __init__(self, track: Track) -> None:
        resolutions = [MultiResolution(track, n_fft) for n_fft in RESOLUTIONS]
        self.resolutions = resolutions
        self.lsd, self.l1 = LogSpectralDistance(track), L1Frequency(track)
        parts: list[_Part] = [*resolutions, self.lsd, self.l1]
        self.groups: list[tuple[Frames, list[_Part]]] = [
            (Frames(framing), [part for part in parts if part.framing == framing])
            for framing in dict.fromkeys(part.framing for part in parts)
        ]

    def add(self, block: Block) -> None:
        """Take the next samples."""
        for frames, parts in self.groups:
            _measure(frames.add(block), frames.framing, parts)

    def end_pass(self) -> bool:
        """Take the frames at the end; no second pass."""
        for frames, parts in self.groups:
            _measure(frames.end(), frames.framing, parts)
        return False

    def scores(self, system: int, source: int) -> Values:
        """Values of one estimate."""
        distances = [part.score(system, source) for part in self.resolutions]
        known = [distance for distance in distances if distance is not None]
        mean = float(np.mean(known)) if len(known) == len(distances) else None
        return {"lsd": self.lsd.score(system, source), "l1_freq": self.l1.score(system, source), "mr_stft": mean}


FAMILY = Family(METRICS, Spectral)


class _Part(Protocol):
    framing: Framing

    def begin(self, frames: NDArray, reference: NDArray) -> None: ...

    def add(self, system: int, estimate: NDArray) -> None: ...


def _measure(frames: NDArray | None, framing: Framing, parts: list[_Part]) -> None:
    if frames is None:
        return
    reference = magnitudes(frames[:2], framing)
    for part in parts:
        part.begin(frames[:2], reference)
    for system, estimate in enumerate(systems_of(frames, framing)):
        for part in parts:
            part.add(system, estimate)


class LogSpectralDistance:
    """Mean distance of the log spectra over the audible frames of each source."""

    def __init__(self, track: Track, n_fft: int = LSD_N_FFT) -> None:
        self.framing = Framing(n_fft, n_fft // 2)
        self.total, self.n_frames = np.zeros((track.n_systems, 2)), np.zeros(2, int)
        self._floor = np.float32(n_fft / 4 * 10 ** (LSD_FLOOR_DB / 20))

    def begin(self, frames: NDArray, reference: NDArray) -> None:
        """Find the audible frames and the reference's levels there."""
        power = np.einsum("scft,scft->scf", frames, frames) / frames.shape[-1]
        self._audible = power > 10 ** (SILENCE_DBFS / 10)
        self.n_frames += self._audible.sum(axis=(1, 2))
        self._level = [
            np.log(np.maximum(mag[on], self._floor)) for mag, on in zip(reference, self._audible, strict=True)
        ]

    def add(self, system: int, estimate: NDArray) -> None:
        """Add the distances of one system."""
        for source, (mag, on, level) in enumerate(zip(estimate, self._audible, self._level, strict=True)):
            if len(level):
                difference = np.log(np.maximum(mag[on], self._floor)) - level
                squares = np.einsum("fb,fb->f", difference, difference) / difference.shape[1]
                self.total[system, source] += DB_PER_NEPER * float(np.sqrt(squares).sum(dtype=np.float64))

    def score(self, system: int, source: int) -> float | None:
        """Distance in dB; None where the reference is never audible."""
        return float(self.total[system, source] / self.n_frames[source]) if self.n_frames[source] else None


class L1Frequency:
    """Mean absolute difference of magnitudes, as a mark out of 100."""

    framing = L1_FRAMING

    def __init__(self, track: Track) -> None:
        self.total, self.n_values = np.zeros((track.n_systems, 2)), 0

    def begin(self, frames: NDArray, reference: NDArray) -> None:
        """Keep the reference's magnitudes."""
        self._reference = reference
        self.n_values += reference[0].size

    def add(self, system: int, estimate: NDArray) -> None:
        """Add the differences of one system."""
        self.total[system] += np.abs(estimate - self._reference).sum(axis=(1, 2, 3), dtype=np.float64)

    def score(self, system: int, source: int) -> float | None:
        """100 for a perfect estimate; None for a track without samples."""
        return 100 / (1 + 10 * float(self.total[system, source]) / self.n_values) if self.n_values else None


class MultiResolution:
    """Spectral convergence plus log magnitude distance at one length of window."""

    def __init__(self, track: Track, n_fft: int) -> None:
        self.framing = Framing(n_fft, n_fft // 2)
        self.difference, self.logs = np.zeros((2, track.n_systems, 2))
        self.energy, self.n_values = np.zeros(2), 0

    def begin(self, frames: NDArray, reference: NDArray) -> None:
        """Keep the reference's magnitudes and their logarithms."""
        self._reference, self._log = reference, np.log(np.maximum(reference, LOG_FLOOR))
        self.energy += _energy(reference)
        self.n_values += reference[0].size

    def add(self, system: int, estimate: NDArray) -> None:
        """Add the distances of one system."""
        self.difference[system] += _energy(estimate - self._reference)
        logs = np.abs(np.log(np.maximum(estimate, LOG_FLOOR)) - self._log)
        self.logs[system] += logs.sum(axis=(1, 2, 3), dtype=np.float64)

    def score(self, system: int, source: int) -> float | None:
        """Distance without unit; None where the reference is silent or the track shorter than a window."""
        if not self.energy[source]:
            return None
        convergence = np.sqrt(self.difference[system, source] / self.energy[source])
        return float(convergence + self.logs[system, source] / self.n_values)


def _energy(magnitude: NDArray) -> NDArray[np.float64]:
    return (magnitude**2).sum(axis=(1, 2, 3), dtype=np.float64)
