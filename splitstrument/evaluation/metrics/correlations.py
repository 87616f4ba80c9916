"""Correlations of references and estimates at short lags, accumulated block by block in float64.

Every BSS Eval number is a ratio of energies of projections on delayed references, and those energies are quadratic
forms in the correlations at lags below the filter length. So nothing but these correlations is kept of a song, and
memory does not grow with its length.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Double = NDArray[np.float64]

FILTER_LENGTH = 512
N_FFT = 8192  # fastest per sample for 512 lags, measured
BATCH = 32


class Correlations:
    """Correlations of references with references and with estimates.

    Attributes
    ----------
    n_references, n_estimates
        Number of reference and estimate signals (channels count as signals of their own).
    energy : (n_references + n_estimates,)
        Sum of squares of each signal, references first.
    n_samples
        Samples added so far.
    """

    def __init__(self, n_references: int, n_estimates: int, n_lags: int = FILTER_LENGTH) -> None:
        self.n_references, self.n_estimates, self.n_lags = n_references, n_estimates, n_lags
        self.n_fft = max(N_FFT, 1 << (4 * n_lags - 1).bit_length())
        self.hop_length = self.n_fft - n_lags + 1
        self.n_samples = 0
        self.energy = np.zeros(n_references + n_estimates)
        self._spectrum = np.zeros((n_references, n_references + n_estimates, self.n_fft // 2 + 1), np.complex128)
        self._pending = np.zeros((n_references + n_estimates, 0))

    def add(self, references: NDArray, estimates: NDArray) -> None:
        """Add the next samples: (n_references, n_samples) and (n_estimates, n_samples)."""
        block = np.concatenate([np.asarray(references, np.float64), np.asarray(estimates, np.float64)])
        self.energy += np.einsum("ij,ij->i", block, block)
        self.n_samples += block.shape[1]
        signals = np.concatenate([self._pending, block], axis=1)
        n_frames = max(0, (signals.shape[1] - self.n_fft) // self.hop_length + 1)
        self._accumulate(signals, n_frames)
        self._pending = signals[:, n_frames * self.hop_length :].copy()

    def subset(self, sources: list[int]) -> Correlations:
        """Keep only these references, and of each system's estimates those of the same numbers."""
        n = self.n_references
        estimates = [index for index in range(self.n_estimates) if index % n in sources]
        part = Correlations(len(sources), len(estimates), self.n_lags)
        signals = [*sources, *(n + index for index in estimates)]
        part.n_samples, part.energy = self.n_samples, self.energy[signals]
        part._spectrum = self._spectrum[sources][:, signals].copy()
        part._pending = self._pending[signals]
        return part

    def lagged(self) -> Double:
        """Correlations ``sum_t r_i(t) x_j(t + lag)``: (n_references, n_references + n_estimates, n_lags).

        `x` are the references followed by the estimates. More samples may be added afterwards.
        """
        rest = self._pending
        tail = np.zeros((len(rest), self.n_fft * (1 + rest.shape[1] // self.hop_length)))
        tail[:, : rest.shape[1]] = rest
        spectrum = self._spectrum.copy()
        self._accumulate(tail, -(-rest.shape[1] // self.hop_length))
        spectrum, self._spectrum = self._spectrum, spectrum
        return np.fft.irfft(spectrum, n=self.n_fft, axis=-1)[..., : self.n_lags]

    def _accumulate(self, signals: Double, n_frames: int) -> None:
        """Add the cross-spectra of `n_frames` frames; a frame's own part is its first `hop_length` samples."""
        if not n_frames:
            return
        frames = sliding_frames(signals, self.n_fft, self.hop_length)[:, :n_frames]
        for start in range(0, n_frames, BATCH):
            batch = frames[:, start : start + BATCH]
            whole = np.fft.rfft(batch)
            own = np.fft.rfft(batch[: self.n_references, :, : self.hop_length], n=self.n_fft)
            self._spectrum += np.einsum("ibf,jbf->ijf", own.conj(), whole)


def sliding_frames(signals: Double, size: int, hop_length: int) -> Double:
    """View (n_signals, n_samples) as overlapping frames (n_signals, n_frames, size)."""
    return sliding_window_view(signals, size, axis=1)[:, ::hop_length]


def gram_matrix(lagged: Double, references: slice | None = None) -> Double:
    """Inner products of all delayed references, a block-Toeplitz matrix (n * n_lags, n * n_lags).

    Row ``i * n_lags + a`` is reference i delayed by a. `references` picks some of them.
    """
    chosen = np.arange(lagged.shape[0])[references or slice(None)]
    auto = lagged[chosen][:, chosen]
    n, n_lags = len(chosen), lagged.shape[2]
    both_ways = np.concatenate([auto.transpose(1, 0, 2)[..., :0:-1], auto], axis=-1)  # lags -(n_lags-1) .. n_lags-1
    blocks = sliding_window_view(both_ways, n_lags, axis=-1)[..., ::-1]  # [i, j, a, b] = lag a - b
    return np.ascontiguousarray(blocks.transpose(0, 2, 1, 3)).reshape(n * n_lags, n * n_lags)


def delayed_products(lagged: Double) -> Double:
    """Inner products of the delayed references with the estimates: (n_references * n_lags, n_estimates)."""
    n_references, n_signals, n_lags = lagged.shape
    cross = lagged[:, n_references:]
    return cross.transpose(0, 2, 1).reshape(n_references * n_lags, n_signals - n_references)


def solve_normal_equations(gram: Double, products: Double) -> Double:
    """Least-squares filters; where references are linearly dependent, the shortest ones (as mir_eval does)."""
    try:
        return np.linalg.solve(gram, products).astype(np.float64, copy=False)
    except np.linalg.LinAlgError:
        return np.linalg.lstsq(gram, products, rcond=None)[0].astype(np.float64, copy=False)
