"""BSS Eval version 3 on whole tracks, without permutation: the metric of the thesis.

The estimate is projected on all delayed versions (0 to 511 samples) of its own reference, and of all references
(Vincent, Gribonval, Févotte 2006). With ``target``, ``interference`` and ``artifacts`` the energies of the first
projection, of the difference of both, and of what no projection reaches:

    SDR = target / (interference + artifacts)
    SIR = target / interference
    SAR = (target + interference) / artifacts

in dB. The values are those of ``mir_eval.separation.bss_eval_sources(compute_permutation=False)``, without forming any
filtered signal unless an estimate is so good that its distortion would drown in rounding.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from splitstrument.evaluation.metrics.correlations import (
    FILTER_LENGTH,
    N_FFT,
    Correlations,
    delayed_products,
    gram_matrix,
    sliding_frames,
    solve_normal_equations,
)

Double = NDArray[np.float64]

BLOCK = 1 << 17
# distortion below this share of the estimate's energy is measured on the distortion signal itself
EXACT_BELOW = 1e-4


def bss_eval(
    reference: NDArray, estimate: NDArray, filter_length: int = FILTER_LENGTH
) -> tuple[Double, Double, Double]:
    """Compute SDR, SIR and SAR of estimate j against reference j, in dB.

    Parameters
    ----------
    reference, estimate : (n_sources, n_samples)
        Real signals of any scale; silent ones are refused, as they make the measure ambiguous.
    filter_length
        Number of delays that count as allowed distortion.

    Returns
    -------
    sdr, sir, sar : (n_sources,) float64

    Raises
    ------
    ValueError
        If the shapes differ, or a signal is silent or not finite.
    """
    reference, estimate = np.atleast_2d(reference), np.atleast_2d(estimate)
    _check(reference, estimate)

    def blocks() -> Iterator[tuple[NDArray, NDArray]]:
        for start in range(0, reference.shape[1], BLOCK):
            yield reference[:, start : start + BLOCK], estimate[:, start : start + BLOCK]

    correlations = Correlations(len(reference), len(estimate), filter_length)
    for block in blocks():
        correlations.add(*block)
    whole = WholeTrack(correlations)
    if whole.needs_residual:
        for block in blocks():
            whole.add_again(*block)
    return whole.ratios_db()


class WholeTrack:
    """Energies of target, interference and artifacts of every estimate of a track.

    Parameters
    ----------
    correlations
        Of n references with the estimates of any number of systems: n for each system, in the references' order.

    Attributes
    ----------
    target, interference, artifacts : (n_estimates,)
    needs_residual
        Whether an estimate's distortion lies more than 40 dB below it, so that `add_again` wants the same signals once
        more before `ratios_db` is called.
    """

    def __init__(self, correlations: Correlations) -> None:
        n, n_lags = correlations.n_references, correlations.n_lags
        lagged = correlations.lagged()
        gram, products = gram_matrix(lagged), delayed_products(lagged)
        own, residual = _own_filters(gram, products, n)
        to_interference = solve_normal_equations(gram, residual) if n > 1 else 0 * residual
        self.source = np.arange(correlations.n_estimates) % n
        by_source = products.reshape(n, n_lags, -1)
        self.target = np.array([own[:, e] @ by_source[j, :, e] for e, j in enumerate(self.source)])
        self.interference = np.maximum(0, np.einsum("ae,ae->e", to_interference, residual))
        total = correlations.energy[n:]
        self.artifacts = np.maximum(0, total - self.target - self.interference)
        self._close = np.flatnonzero(total - self.target - self.interference < EXACT_BELOW * total)
        filters = to_interference.reshape(n, n_lags, -1)[..., self._close]
        for position, estimate in enumerate(self._close):
            filters[self.source[estimate], :, position] += own[:, estimate]
        self._residual = Residual(filters)

    @property
    def needs_residual(self) -> bool:
        """Whether a second pass is needed."""
        return len(self._close) > 0

    def add_again(self, references: NDArray, estimates: NDArray) -> None:
        """Take the next samples of the second pass, (n_references, n_samples) and (n_estimates, n_samples)."""
        if self.needs_residual:
            self._residual.add(references, estimates[self._close])

    def ratios_db(self) -> tuple[Double, Double, Double]:
        """SDR, SIR and SAR of every estimate in dB; infinite where there is no distortion at all."""
        if self.needs_residual:
            self.artifacts[self._close] = self._residual.energy()
        return (
            ratio_db(self.target, self.interference + self.artifacts),
            ratio_db(self.target, self.interference),
            ratio_db(self.target + self.interference, self.artifacts),
        )


def _own_filters(gram: Double, products: Double, n_sources: int) -> tuple[Double, Double]:
    """Project each estimate on its own reference.

    Returns
    -------
    filters : (n_lags, n_estimates)
    residual : (n_sources * n_lags, n_estimates)
        Products of all delayed references with what the projection leaves of each estimate.
    """
    n_lags = len(gram) // n_sources
    filters = np.empty((n_lags, products.shape[1]))
    residual = products.copy()
    for j in range(n_sources):
        own = slice(j * n_lags, (j + 1) * n_lags)
        filters[:, j::n_sources] = solve_normal_equations(gram[own, own], products[own, j::n_sources])
        residual[:, j::n_sources] -= gram[:, own] @ filters[:, j::n_sources]
    return filters, residual


class Residual:
    """Energy of ``estimate - filtered references``, formed block by block.

    Parameters
    ----------
    filters : (n_references, n_lags, n_estimates)
    """

    def __init__(self, filters: Double) -> None:
        n_references, self.n_lags, n_estimates = filters.shape
        self.filters = filters
        self._history = np.zeros((n_references, self.n_lags - 1))
        self._energy = np.zeros(n_estimates)

    def add(self, references: NDArray, estimates: NDArray) -> None:
        """Add the next samples, (n_references, n_samples) and (n_estimates, n_samples)."""
        joined = np.concatenate([self._history, references], axis=1)
        difference = estimates - _filtered(joined, self.filters)
        self._energy += np.einsum("et,et->e", difference, difference)
        self._history = joined[:, joined.shape[1] - self.n_lags + 1 :]

    def energy(self) -> Double:
        """(n_estimates,): of everything that was added, and of what the filters ring on."""
        tail = np.concatenate([self._history, np.zeros_like(self._history)], axis=1)
        rung = _filtered(tail, self.filters)
        return self._energy + np.einsum("et,et->e", rung, rung)


def ratio_db(numerator: Double, denominator: Double) -> Double:
    """Ratio of energies in dB; infinite where the denominator is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return 10 * np.log10(np.where(denominator == 0, np.inf, numerator / denominator))


def _filtered(joined: Double, filters: Double) -> Double:
    """Convolve (n_references, n_lags - 1 + n_samples) with the filters; the n_samples that need no more history."""
    n_lags = filters.shape[1]
    n_fft = max(N_FFT, 1 << (4 * n_lags - 1).bit_length())
    hop_length, n_samples = n_fft - n_lags + 1, joined.shape[1] - n_lags + 1
    n_frames = -(-n_samples // hop_length)
    padded = np.zeros((len(joined), n_frames * hop_length + n_lags - 1))
    padded[:, : joined.shape[1]] = joined
    response = np.fft.rfft(filters, n_fft, axis=1)
    spectrum = np.einsum("rbf,rfe->ebf", np.fft.rfft(sliding_frames(padded, n_fft, hop_length)), response)
    return np.fft.irfft(spectrum, n_fft)[:, :, n_lags - 1 :].reshape(filters.shape[2], -1)[:, :n_samples]


def _check(reference: NDArray, estimate: NDArray) -> None:
    if reference.shape != estimate.shape or reference.ndim != 2:
        raise ValueError(
            "reference and estimate must have the same shape (n_sources, n_samples). "
            f"Received: reference.shape={reference.shape}, estimate.shape={estimate.shape}"
        )
    for name, signals in (("reference", reference), ("estimate", estimate)):
        silent = np.flatnonzero(~np.any(signals, axis=1))
        if silent.size:
            raise ValueError(f"{name} {silent[0]} is silent, so its ratios are undefined: leave it out.")
        if not np.isfinite(signals).all():
            raise ValueError(f"{name} holds NaN or infinity: mend the signal before scoring it.")
