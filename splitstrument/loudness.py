"""Loudness by ITU-R BS.1770-4 and EBU R 128: integrated, momentary, short-term, range and true peak.

Audio passes in blocks of any size; what is kept is one number for each tenth of a second, so that an hour of music
takes some hundred kilobytes. Levels are in LUFS, ranges in LU, peaks in dBTP. What is too short or too quiet to be
measured is None, never minus infinity.

References
----------
ITU-R BS.1770-4 (2015): filters, gates and channel weights; its filters are given for 48 kHz, and
De Man, "Evaluation of implementations of the EBU R128 loudness measurement" (AES 2018) gives them at any rate.
EBU Tech 3341 (2016): momentary (0.4 s) and short-term (3 s) windows. EBU Tech 3342 (2016): loudness range.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soxr
from numpy.typing import NDArray

from splitstrument import audio
from splitstrument.audio import Audio
from splitstrument.errors import AudioFileError

STEPS_PER_S = 10
LOWEST_RATE_HZ = 8000
MOMENTARY_STEPS, SHORT_TERM_STEPS = 4, 30
ABSOLUTE_GATE_LUFS = -70.0
RELATIVE_GATE_LU, RANGE_GATE_LU = -10.0, -20.0
RANGE_PERCENTILES = (10, 95)
OFFSET_DB = -0.691  # so that a full-scale sine of 997 Hz in one channel reads -3.01 LUFS
SURROUND = 1.41
# weights by number of channels in WAV order; the low-frequency channel of 5.1 and 7.1 does not count
CHANNEL_WEIGHTS = {
    4: (1, 1, SURROUND, SURROUND),
    5: (1, 1, 1, SURROUND, SURROUND),
    6: (1, 1, 1, 0, SURROUND, SURROUND),
    7: (1, 1, 1, 0, SURROUND, SURROUND, SURROUND),
    8: (1, 1, 1, 0, SURROUND, SURROUND, SURROUND, SURROUND),
}
TRUE_PEAK_RATE_HZ = 176_400  # rates below are oversampled to at least this: four times 44.1 kHz


@dataclass(frozen=True)
class Loudness:
    """Loudness of a whole signal; None where it cannot be measured.

    Attributes
    ----------
    integrated_lufs
        Of the whole signal, gated; None for less than 0.4 s or nothing above -70 LUFS.
    range_lu
        Loudness range: between the 10th and the 95th percentile of the gated short-term loudness.
    momentary_max_lufs, short_term_max_lufs
        Loudest 0.4 s and 3 s.
    true_peak_dbtp, sample_peak_dbfs
        Largest magnitude between samples (oversampled at least four times) and at samples.
    """

    integrated_lufs: float | None
    range_lu: float | None
    momentary_max_lufs: float | None
    short_term_max_lufs: float | None
    true_peak_dbtp: float | None
    sample_peak_dbfs: float | None

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON, rounded to hundredths."""
        return {key: None if value is None else round(value, 2) for key, value in asdict(self).items()}


class LoudnessMeter:
    """Measures a signal that comes in blocks.

    Parameters
    ----------
    sample_rate_hz
        At least 8,000.
    n_channels
        Up to three count alike (mono is one channel, as R 128 has it); more are taken in WAV order, with BS.1770's
        weights.
    true_peak
        Whether to look between the samples, half of the work.

    Raises
    ------
    ValueError
        For a rate or number of channels that cannot be.
    """

    def __init__(self, sample_rate_hz: int, n_channels: int, true_peak: bool = True) -> None:
        if sample_rate_hz < LOWEST_RATE_HZ or n_channels < 1:
            raise ValueError(
                "loudness needs a rate of at least 8,000 Hz and one channel. "
                f"Received: {sample_rate_hz} Hz, {n_channels} channels"
            )
        self.sample_rate_hz, self.n_channels = sample_rate_hz, n_channels
        self._weights = np.array(CHANNEL_WEIGHTS.get(n_channels, (1,) * n_channels), np.float64)
        self._filters = k_weighting(sample_rate_hz)
        self._state = np.zeros((len(self._filters), 2, n_channels))
        self._energies: list[NDArray[np.float64]] = []  # of whole steps: sums of squares over samples and channels
        self._open_energy, self._n_samples = 0.0, 0
        self._true_peak = _TruePeak(sample_rate_hz, n_channels) if true_peak else None
        self._sample_peak = 0.0

    def add(self, block: Audio) -> None:
        """Take in (n_samples, n_channels) of any length.

        Raises
        ------
        ValueError
            If the number of channels is another one.
        """
        if block.ndim != 2 or block.shape[1] != self.n_channels:
            raise ValueError(f"expected (n_samples, {self.n_channels}). Received: {block.shape}")
        if not len(block):
            return
        from scipy.signal import sosfilt  # here: half a second that not every command needs

        self._sample_peak = max(self._sample_peak, float(np.abs(block).max()))
        if self._true_peak:
            self._true_peak.add(block)
        weighted, self._state = sosfilt(self._filters, block.astype(np.float64), axis=0, zi=self._state)
        energy = np.zeros(len(block))
        for channel, weight in enumerate(self._weights):  # by columns, which is faster than a product of matrices
            energy += weight * np.square(weighted[:, channel])
        self._collect(energy)

    def _collect(self, energy: NDArray[np.float64]) -> None:
        """Add the energy of each sample (n_samples,) to the steps that it falls into."""
        first = _step_of(self._n_samples, self.sample_rate_hz)
        self._n_samples += len(energy)
        last = _step_of(self._n_samples, self.sample_rate_hz)
        begin = self._n_samples - len(energy)
        edges = [_start_of(step, self.sample_rate_hz) - begin for step in range(first + 1, last + 1)]
        sums = np.add.reduceat(np.append(energy, 0.0), [0, *edges])  # an edge may lie behind the last sample
        sums[0] += self._open_energy
        if len(sums) > 1:
            self._energies.append(sums[:-1])
        self._open_energy = float(sums[-1])

    def momentary(self) -> NDArray[np.float64]:
        """Loudness of every 0.4 s, a tenth of a second apart, in LUFS: (n,); silence is minus infinity."""
        return self._windows(MOMENTARY_STEPS)

    def short_term(self) -> NDArray[np.float64]:
        """Loudness of every 3 s, a tenth of a second apart, in LUFS: (n,)."""
        return self._windows(SHORT_TERM_STEPS)

    def result(self) -> Loudness:
        """The loudness of the signal; it ends here."""
        momentary, short_term = self.momentary(), self.short_term()
        true_peak = self._true_peak.peak() if self._true_peak else None
        return Loudness(
            _gated_mean(momentary),
            loudness_range(short_term),
            _largest(momentary),
            _largest(short_term),
            None if true_peak is None else _decibels(max(true_peak, self._sample_peak)),
            _decibels(self._sample_peak),
        )

    def energies(self) -> NDArray[np.float64]:
        """Weighted energy of each whole tenth of a second, (n,): what all loudness is made of."""
        return np.concatenate([*self._energies, np.zeros(0)])

    def _windows(self, n_steps: int) -> NDArray[np.float64]:
        return _windows_of(self.energies(), n_steps, self.sample_rate_hz)


def integrated_lufs(energies: NDArray[np.float64], sample_rate_hz: int) -> float | None:
    """Integrated loudness of a signal whose `LoudnessMeter.energies` are known; None for silence."""
    return _gated_mean(_windows_of(energies, MOMENTARY_STEPS, sample_rate_hz))


def _windows_of(energies: NDArray[np.float64], n_steps: int, sample_rate_hz: int) -> NDArray[np.float64]:
    """Loudness of every `n_steps` tenths of a second, in LUFS."""
    if len(energies) < n_steps:
        return np.zeros(0)
    starts = np.array([_start_of(step, sample_rate_hz) for step in range(len(energies) + 1)])
    n_samples = starts[n_steps:] - starts[:-n_steps]
    with np.errstate(divide="ignore"):
        return OFFSET_DB + 10 * np.log10(np.convolve(energies, np.ones(n_steps), "valid") / n_samples)


def measure(blocks: Iterable[Audio], sample_rate_hz: int, n_channels: int, true_peak: bool = True) -> Loudness:
    """Measure a signal that is read block by block; see `LoudnessMeter`."""
    meter = LoudnessMeter(sample_rate_hz, n_channels, true_peak)
    for block in blocks:
        meter.add(block)
    return meter.result()


def measure_file(path: str | Path, advance: Callable[[float], None] | None = None) -> tuple[Loudness, LoudnessMeter]:
    """Measure a file in flat memory; the meter has the loudness over time.

    Parameters
    ----------
    advance
        Called with the seconds that each block took of the file.

    Raises
    ------
    AudioFileError
        If it cannot be read, or has less than 8,000 Hz.
    """
    info = audio.probe(path)
    if info.sample_rate_hz < LOWEST_RATE_HZ:
        raise AudioFileError(f"{path} has {info.sample_rate_hz} Hz: loudness is measured from {LOWEST_RATE_HZ} Hz on.")
    meter = LoudnessMeter(info.sample_rate_hz, info.n_channels)
    for block in audio.blocks(path):
        meter.add(block)
        if advance:
            advance(len(block) / info.sample_rate_hz)
    return meter.result(), meter


def k_weighting(sample_rate_hz: int) -> NDArray[np.float64]:
    """The filters of BS.1770 at any rate, as second-order sections (2, 6): a high shelf, then a high-pass."""
    shelf = _shelf(sample_rate_hz, 1681.974450955533, 3.999843853973347, 0.7071752369554196)
    return np.array([shelf, _high_pass(sample_rate_hz, 38.13547087602444, 0.5003270373238773)])


def _shelf(sample_rate_hz: int, hertz: float, gain_db: float, quality: float) -> list[float]:
    k = math.tan(math.pi * hertz / sample_rate_hz)
    high = 10 ** (gain_db / 20)
    band = high**0.4996667741545416
    scale = 1 + k / quality + k * k
    top = [high + band * k / quality + k * k, 2 * (k * k - high), high - band * k / quality + k * k]
    return [value / scale for value in (*top, scale, 2 * (k * k - 1), 1 - k / quality + k * k)]


def _high_pass(sample_rate_hz: int, hertz: float, quality: float) -> list[float]:
    k = math.tan(math.pi * hertz / sample_rate_hz)
    scale = 1 + k / quality + k * k
    return [1.0, -2.0, 1.0, 1.0, 2 * (k * k - 1) / scale, (1 - k / quality + k * k) / scale]


class _TruePeak:
    """The largest magnitude of the signal, oversampled to at least `TRUE_PEAK_RATE_HZ`."""

    def __init__(self, sample_rate_hz: int, n_channels: int) -> None:
        self.factor = 1
        while sample_rate_hz * self.factor < TRUE_PEAK_RATE_HZ or (self.factor < 4 and sample_rate_hz <= 48_000):
            self.factor *= 2
        self.n_channels, self._peak = n_channels, 0.0
        self._stream = soxr.ResampleStream(1, self.factor, n_channels, dtype="float32", quality="HQ")

    def add(self, block: Audio, last: bool = False) -> None:
        if self.factor > 1:
            block = self._stream.resample_chunk(np.ascontiguousarray(block, np.float32), last=last)
        self._peak = max(self._peak, float(np.abs(block).max(initial=0.0)))

    def peak(self) -> float:
        """Largest so far; the resampler is asked for what it still holds."""
        if self.factor > 1:
            self.add(np.zeros((0, self.n_channels), np.float32), last=True)
            self._stream.clear()
        return self._peak


def _start_of(step: int, sample_rate_hz: int) -> int:
    """First sample of a step, at rates too that tenths of a second do not divide."""
    return -(-step * sample_rate_hz // STEPS_PER_S)


def _step_of(sample: int, sample_rate_hz: int) -> int:
    """Step that a sample falls into."""
    return sample * STEPS_PER_S // sample_rate_hz


def _gated_mean(momentary: NDArray[np.float64]) -> float | None:
    """Mean energy of the windows above -70 LUFS, then of those above the mean's relative gate, in LUFS."""
    heard = momentary[momentary > ABSOLUTE_GATE_LUFS]
    if not len(heard):
        return None
    heard = heard[heard > _mean_lufs(heard) + RELATIVE_GATE_LU]
    return _mean_lufs(heard)


def loudness_range(short_term: NDArray[np.float64]) -> float | None:
    """Loudness range of Tech 3342 in LU: 10th to 95th percentile above -70 LUFS and 20 LU below the mean.

    Parameters
    ----------
    short_term
        Short-term loudness (n_windows,) in LUFS, a tenth of a second apart.

    Returns
    -------
    None where nothing is above -70 LUFS.
    """
    heard = short_term[short_term > ABSOLUTE_GATE_LUFS]
    if not len(heard):
        return None
    heard = heard[heard > _mean_lufs(heard) + RANGE_GATE_LU]
    low, high = np.percentile(heard, RANGE_PERCENTILES)
    return float(high - low)


def _mean_lufs(levels: NDArray[np.float64]) -> float:
    return float(10 * np.log10(np.mean(10 ** (levels / 10))))


def _largest(levels: NDArray[np.float64]) -> float | None:
    return float(levels.max()) if len(levels) and math.isfinite(levels.max()) else None


def _decibels(magnitude: float) -> float | None:
    return 20 * math.log10(magnitude) if magnitude > 0 else None
