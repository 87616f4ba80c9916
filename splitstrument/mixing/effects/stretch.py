"""Slow down and transpose: a phase-locked vocoder for the tempo, a resampler behind it for the pitch.

After Puckette (1995), "Phase-locked vocoder": every frame is turned so that it continues the output of the frame
before. How far its phases have moved is measured against a second frame of the input, one output hop earlier, so that
no phase is unwrapped. All bins of a spectral peak turn alike, and so do all channels. Where the energy jumps, phases
start afresh. The practice room's player does the same in the browser (``demonstrator/static/stretch.js``).
"""

from __future__ import annotations

import numpy as np
import soxr
from numpy.typing import NDArray

from splitstrument.audio import Audio

FRAME_S = 0.09
OVERLAP = 4
ATTACK = 3.0  # a frame with this many times the energy of the one before is an attack
LOBE = 2  # bins on either side that a peak exceeds
WINDOWS_SUM = 1.5  # of four squared Hann windows

Spectrum = NDArray[np.complex128]


class Stretch:
    """An effect whose output is ``1 / speed`` times as long as its input.

    Parameters
    ----------
    speed
        Above 1 is faster.
    semitones
        Up or down, in fractions for cents.
    """

    def __init__(self, sample_rate_hz: int, n_channels: int, speed: float, semitones: float = 0.0) -> None:
        self.speed, self.ratio = speed, 2 ** (semitones / 12)
        self.frame = 1 << round(np.log2(FRAME_S * sample_rate_hz))
        self.hop = self.frame // OVERLAP
        self._advance = self.hop * speed / self.ratio
        # a frame stands for its middle, which the output plays half a frame after the frame's start
        self._next = -3 * self._advance - (1 - self._advance / self.hop) * self.frame / 2
        self._window = np.hanning(self.frame + 1)[:-1, None]
        self._first = round(self._next) - self.hop  # position of the first sample that is kept
        self._kept = np.zeros((max(0, -self._first), n_channels))
        self._first = min(self._first, 0)
        self._sum = np.zeros((self.frame, n_channels))
        self._last: Spectrum | None = None
        self._n_in = self._n_out = 0
        self._to_skip = (OVERLAP - 1) * self.hop
        rates = (self.ratio * sample_rate_hz, sample_rate_hz)
        self._resampler = soxr.ResampleStream(*rates, n_channels, dtype="float32") if self.ratio != 1 else None

    def process(self, block: Audio) -> Audio:
        """See `splitstrument.mixing.effects.chain.Effect`."""
        self._n_in += len(block)
        return self._out(self._frames(block), last=False)

    def finish(self) -> Audio:
        """See `splitstrument.mixing.effects.chain.Effect`."""
        n_channels = self._kept.shape[1]
        ahead = int(self._next + self.frame + 4 * self._advance) + self.frame - (self._first + len(self._kept))
        wanted = round(self._n_in / self.speed) - self._n_out
        tail = self._out(self._frames(np.zeros((max(0, ahead) + self.frame, n_channels), np.float32)), last=True)
        return np.pad(tail, ((0, max(0, wanted - len(tail))), (0, 0)))[: max(0, wanted)]

    def _frames(self, block: Audio) -> Audio:
        """Take in a block and give back the samples at the new tempo that are ready."""
        self._kept = np.concatenate([self._kept, block])
        ready = []
        while round(self._next) + self.frame <= self._first + len(self._kept):
            ready.append(self._add_frame(round(self._next)))
            self._next += self._advance
            done = round(self._next) - self.hop - self._first
            if done > self.frame:
                self._kept, self._first = self._kept[done:], self._first + done
        samples = np.concatenate(ready) if ready else np.zeros((0, self._kept.shape[1]))
        skipped = min(self._to_skip, len(samples))
        self._to_skip -= skipped
        return samples[skipped:].astype(np.float32)

    def _out(self, samples: Audio, last: bool) -> Audio:
        if self._resampler is not None:
            samples = self._resampler.resample_chunk(np.ascontiguousarray(samples), last=last)
        self._n_out += len(samples)
        return samples

    def _add_frame(self, position: int) -> NDArray[np.float64]:
        now, energy = self._analyse(position)
        if self._last is not None:
            before, energy_before = self._analyse(position - self.hop)
            if energy < ATTACK * energy_before:
                now = now * turns(now, before, self._last)
        self._last = now
        self._sum += np.fft.irfft(now, self.frame, axis=0) * self._window / WINDOWS_SUM
        ready = self._sum[: self.hop].copy()
        self._sum = np.concatenate([self._sum[self.hop :], np.zeros((self.hop, self._sum.shape[1]))])
        return ready

    def _analyse(self, position: int) -> tuple[Spectrum, float]:
        start = position - self._first
        piece = self._kept[max(0, start) : start + self.frame]
        windowed = np.pad(piece, ((self.frame - len(piece), 0), (0, 0))) * self._window
        return np.fft.rfft(windowed, axis=0), float(np.sum(windowed**2))


def turns(now: Spectrum, before: Spectrum, output: Spectrum) -> Spectrum:
    """Return the factor of magnitude 1 for each bin that makes a frame continue the output, (n_bins, 1).

    Parameters
    ----------
    now, before
        The frame and the one of the input that lies an output hop before it, (n_bins, n_channels).
    output
        The last frame of the output.
    """
    power = np.sum(np.abs(now) ** 2, axis=1)
    near = np.lib.stride_tricks.sliding_window_view(np.pad(power, LOBE, constant_values=-1), 2 * LOBE + 1)
    peaks = np.flatnonzero((power > 0) & (near.argmax(axis=1) == LOBE))
    if not len(peaks):
        return np.ones((len(power), 1), np.complex128)
    along = np.sum(output[peaks] * np.conj(before[peaks]), axis=1)
    size = np.abs(along)
    found = np.where(size > 1e-20, along / np.maximum(size, 1e-20), 1)
    edges = (peaks[1:] + peaks[:-1] + 1) // 2
    return found[np.searchsorted(edges, np.arange(len(power)), side="right")][:, None]
