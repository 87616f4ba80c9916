"""BSS Eval version 4, framewise, as ``museval.metrics.bss_eval`` computes it by default.

The distortion filters are fitted once on the whole track; the energies are taken in windows of one second, and the
number of a track is the median over its windows. The filters mix all channels of all sources, and SDR here compares
with the reference itself, not with its projection: so the values differ from version 3 for the same signals.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from splitstrument.evaluation.metrics.bss import ratio_db
from splitstrument.evaluation.metrics.correlations import (
    FILTER_LENGTH,
    Correlations,
    delayed_products,
    gram_matrix,
    solve_normal_equations,
)
from splitstrument.streams import ArrayQueue

Double = NDArray[np.float64]
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
    framewise = Framewise(correlations, n_sources, window)
    framewise.add_again(*flat)
    sdr, isr, sir, sar = framewise.ratios()[:, 0]
    return sdr, isr, sir, sar


class Framewise:
    """Ratios per window of the estimates of any number of systems.

    Parameters
    ----------
    correlations
        Of the n_sources * n_channels reference signals, the channels of a source side by side, with as many estimates
        for each system in the same order.
    """

    def __init__(self, correlations: Correlations, n_sources: int, window: int) -> None:
        everything, own = distortion_filters(correlations, n_sources)
        self.n_sources, self.window = n_sources, min(window, correlations.n_samples)
        self.n_fft = fast_length(self.window + everything.shape[1] - 1)
        self.everything = np.fft.rfft(everything.transpose(2, 0, 1), self.n_fft)
        self.own = np.fft.rfft(own.transpose(2, 0, 1), self.n_fft)
        self._queue = ArrayQueue(axis=1)
        self._values: list[Double] = []

    def add_again(self, references: NDArray, estimates: NDArray) -> None:
        """Take the next samples of the second pass, (n_signals, n_samples) each."""
        self._queue.push(np.concatenate([references, estimates]))
        while len(self._queue) >= self.window:
            signals = self._queue.pop(self.window)
            self._values.append(self._ratios(signals[: len(references)], signals[len(references) :]))

    def ratios(self) -> Double:
        """(4, n_systems, n_sources, n_windows): SDR, ISR, SIR and SAR; NaN in windows where any signal is silent."""
        return np.stack(self._values, axis=-1)

    def _ratios(self, references: NDArray, estimates: NDArray) -> Double:
        """(4, n_systems, n_sources) of one window, from spectra (Parseval), so that nothing is filtered back."""
        spectra = np.fft.rfft(references, self.n_fft)
        repeated = np.tile(references, (len(estimates) // len(references), 1))
        true = self._by_source(_squares(repeated))
        distortion = self._by_source(_squares(estimates - repeated))
        everything = np.einsum("rf,erf->ef", spectra, self.everything)
        artifacts = self._energy(np.fft.rfft(estimates, self.n_fft) - everything)
        kept = self._energy(everything)
        own, own_spectra = self._own(spectra)
        everything -= own
        of_own = self._energy(own)
        own -= own_spectra
        values = np.array(
            [
                ratio_db(true, distortion),
                ratio_db(true, self._energy(own)),
                ratio_db(of_own, self._energy(everything)),
                ratio_db(kept, artifacts),
            ]
        )
        values[:, self._silent(references)[0] | self._silent(estimates)] = np.nan
        return values

    def _own(self, spectra: NDArray) -> tuple[NDArray, NDArray]:
        """Each estimate projected on the references of its own source, and the spectrum of its own reference."""
        n_references, n_channels = len(spectra), self.own.shape[1]
        own = np.empty((len(self.own), spectra.shape[1]), spectra.dtype)
        for source in range(self.n_sources):
            references = spectra[source * n_channels : (source + 1) * n_channels]
            for first in range(source * n_channels, len(own), n_references):
                estimates = slice(first, first + n_channels)
                own[estimates] = np.einsum("rf,erf->ef", references, self.own[estimates])
        return own, np.tile(spectra, (len(own) // n_references, 1))

    def _energy(self, spectra: NDArray) -> Double:
        """Energy of each source of each system, summed over its channels."""
        power = spectra.real**2 + spectra.imag**2
        power[:, 1 : (self.n_fft + 1) // 2] *= 2
        return self._by_source(power.sum(axis=1) / self.n_fft)

    def _by_source(self, values: NDArray) -> Double:
        """(n_signals,) -> (n_systems, n_sources): sums over channels."""
        return values.reshape(-1, self.n_sources, self.own.shape[1]).sum(axis=2)

    def _silent(self, signals: NDArray) -> NDArray[np.bool_]:
        """(n_systems,): a source counts as silent, as in museval, where its channels sum to 0 at every sample."""
        summed = signals.reshape(-1, self.n_sources, self.own.shape[1], signals.shape[1]).sum(axis=2)
        return ~np.any(summed, axis=2).all(axis=1)


def distortion_filters(correlations: Correlations, n_sources: int) -> tuple[Double, Double]:
    """Filters that project the estimates on all references, and on the references of their own source.

    Returns
    -------
    everything : (n_references, n_lags, n_estimates)
    own : (n_references / n_sources, n_lags, n_estimates)
    """
    lagged, n_lags, n = correlations.lagged(), correlations.n_lags, correlations.n_references
    gram, products = gram_matrix(lagged), delayed_products(lagged)
    gram.flat[:: len(gram) + 1] += EPSILON
    everything = solve_normal_equations(gram, products)
    n_channels = n // n_sources
    source = np.arange(products.shape[1]) // n_channels % n_sources
    own = np.empty((n_channels * n_lags, products.shape[1]))
    for index in range(n_sources):
        rows, columns = slice(index * len(own), (index + 1) * len(own)), source == index
        own[:, columns] = solve_normal_equations(gram[rows, rows], products[rows][:, columns])
    return everything.reshape(n, n_lags, -1), own.reshape(n_channels, n_lags, -1)


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


def _squares(signals: NDArray) -> Double:
    """Energy of each signal."""
    return np.einsum("et,et->e", signals, signals, dtype=np.float64)


def _channels_first(signals: NDArray) -> NDArray:
    return np.asarray(signals, np.float64).transpose(0, 2, 1).reshape(-1, signals.shape[1])
