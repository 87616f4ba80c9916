"""BSS Eval version 4, framewise, as ``museval.metrics.bss_eval`` computes it by default.

The distortion filters are fitted once on the whole track; the energies are taken in windows of one second, and the
number of a track is the median over its windows. The filters mix all channels of all sources, and SDR here compares
with the reference itself, not with its projection: so the values differ from version 3 for the same signals.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from splitstrument.evaluation.metrics.bss import Blocks, ratio_db
from splitstrument.evaluation.metrics.correlations import (
    FILTER_LENGTH,
    Correlations,
    delayed_products,
    gram_matrix,
    solve_normal_equations,
)

Double = NDArray[np.float64]
MEASURES = ("sdr", "isr", "sir", "sar")
EPSILON = np.finfo(float).eps  # museval loads the diagonal with this


def bss_eval_framewise(
    reference: NDArray, estimate: NDArray, window: int, filter_length: int = FILTER_LENGTH
) -> tuple[Double, ...]:
    """Compute SDR, ISR, SIR and SAR per window, in dB.

    Parameters
    ----------
    reference, estimate : (n_sources, n_samples, n_channels)
    window
        Samples in a window (museval's default is one second); the next one starts where it ends.

    Returns
    -------
    sdr, isr, sir, sar : (n_sources, n_windows)
        NaN in windows where any signal is silent. Samples after the last whole window do not count; a track shorter
        than one window is one window.
    """
    n_sources, _, n_channels = reference.shape
    flat = (_channels_first(reference), _channels_first(estimate))
    correlations = Correlations(n_sources * n_channels, n_sources * n_channels, filter_length)
    correlations.add(*flat)
    return framewise_ratios(correlations, lambda: iter([flat]), n_sources, window)


def framewise_ratios(
    correlations: Correlations, blocks: Blocks, n_sources: int, window: int
) -> tuple[Double, Double, Double, Double]:
    """The same from correlations of all channels, with `blocks` giving the signals once more.

    Blocks hold (n_sources * n_channels, n_samples) of references and estimates, the channels of a source side by side.
    """
    everything, own = distortion_filters(correlations, n_sources)
    window = min(window, correlations.n_samples)
    analysis = _Windows(everything, own, n_sources, window)
    values = [analysis.ratios(*pair) for pair in windows_of(blocks(), window)]
    sdr, isr, sir, sar = np.array(values).transpose(1, 2, 0)
    return sdr, isr, sir, sar


def distortion_filters(correlations: Correlations, n_sources: int) -> tuple[Double, Double]:
    """Filters that project the estimates on all references, and on the references of their own source.

    Returns
    -------
    everything, own : (n_references, n_lags, n_estimates)
        `own` is 0 where reference and estimate belong to different sources.
    """
    lagged, n_lags, n = correlations.lagged(), correlations.n_lags, correlations.n_references
    gram, products = gram_matrix(lagged), delayed_products(lagged)
    gram.flat[:: len(gram) + 1] += EPSILON
    everything = solve_normal_equations(gram, products)
    own = np.zeros_like(everything)
    for source in range(n_sources):
        rows = slice(source * n * n_lags // n_sources, (source + 1) * n * n_lags // n_sources)
        columns = slice(source * n // n_sources, (source + 1) * n // n_sources)
        own[rows, columns] = solve_normal_equations(gram[rows, rows], products[rows, columns])
    return everything.reshape(n, n_lags, n), own.reshape(n, n_lags, n)


def windows_of(blocks: Iterator[tuple[NDArray, NDArray]], window: int) -> Iterator[tuple[NDArray, NDArray]]:
    """Cut a stream of blocks (n_signals, n_samples) into windows; an incomplete last one is dropped."""
    pending: list[NDArray] | None = None
    for block in blocks:
        joined = (
            block if pending is None else [np.concatenate(pair, axis=1) for pair in zip(pending, block, strict=True)]
        )
        n_windows = joined[0].shape[1] // window
        for index in range(n_windows):
            cut = slice(index * window, (index + 1) * window)
            yield joined[0][:, cut], joined[1][:, cut]
        pending = [signal[:, n_windows * window :] for signal in joined]


class _Windows:
    """Energies of the parts of one window, taken from spectra (Parseval), so that nothing is filtered back."""

    def __init__(self, everything: Double, own: Double, n_sources: int, window: int) -> None:
        self.n_sources = n_sources
        self.n_fft = fast_length(window + everything.shape[1] - 1)
        self.everything = np.fft.rfft(everything.transpose(2, 0, 1), self.n_fft)
        self.own = np.fft.rfft(own.transpose(2, 0, 1), self.n_fft)

    def ratios(self, references: NDArray, estimates: NDArray) -> Double:
        """(4, n_sources): SDR, ISR, SIR and SAR of one window."""
        if self._any_source_silent(references) or self._any_source_silent(estimates):
            return np.full((4, self.n_sources), np.nan)
        spectra = np.fft.rfft(references, self.n_fft)
        everything = np.einsum("rf,erf->ef", spectra, self.everything)
        own = np.einsum("rf,erf->ef", spectra, self.own)
        true = self._energy(spectra)
        distortion = self._energy(np.fft.rfft(estimates - references, self.n_fft))
        artifacts = self._energy(np.fft.rfft(estimates, self.n_fft) - everything)
        return np.array(
            [
                ratio_db(true, distortion),
                ratio_db(true, self._energy(own - spectra)),
                ratio_db(self._energy(own), self._energy(everything - own)),
                ratio_db(self._energy(everything), artifacts),
            ]
        )

    def _energy(self, spectra: NDArray) -> Double:
        """Energy of each source, summed over its channels."""
        power = spectra.real**2 + spectra.imag**2
        power[:, 1 : (self.n_fft + 1) // 2] *= 2
        return power.sum(axis=1).reshape(self.n_sources, -1).sum(axis=1) / self.n_fft

    def _any_source_silent(self, signals: NDArray) -> bool:
        """A source counts as silent, as in museval, where its channels sum to 0 at every sample."""
        return bool(np.any(~np.any(signals.reshape(self.n_sources, -1, signals.shape[1]).sum(axis=1), axis=1)))


def fast_length(n: int) -> int:
    """Smallest length of at least n with no prime factor above 5."""
    while True:
        rest = n
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return n
        n += 1


def _channels_first(signals: NDArray) -> NDArray:
    return np.asarray(signals, np.float64).transpose(0, 2, 1).reshape(-1, signals.shape[1])
