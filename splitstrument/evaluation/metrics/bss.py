"""BSS Eval version 3 on whole tracks, without permutation: the metric of the thesis.

The estimate is projected on all delayed versions (0 to 511 samples) of its own reference, and of all references
(Vincent, Gribonval, Févotte 2006). With ``target``, ``interference`` and ``artifacts`` the energies of the first
projection, of the difference of both, and of what no projection reaches:

    SDR = target / (interference + artifacts)
    SIR = target / interference
    SAR = (target + interference) / artifacts

in dB. The values are those of ``mir_eval.separation.bss_eval_sources(compute_permutation=False)``, without forming any
filtered signal unless an estimate is so good that its distortion would drown in rounding: see `bss_eval`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

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
Blocks = Callable[[], Iterator[tuple[NDArray, NDArray]]]

BLOCK = 1 << 17
# distortion below this share of the estimate's energy is measured on the distortion signal itself
EXACT_BELOW = 1e-4


@dataclass(frozen=True)
class Energies:
    """Energies of the parts of each estimate, each (n_sources,)."""

    target: Double
    interference: Double
    artifacts: Double

    def ratios_db(self) -> tuple[Double, Double, Double]:
        """SDR, SIR and SAR in dB; infinite where there is no distortion at all."""
        return (
            ratio_db(self.target, self.interference + self.artifacts),
            ratio_db(self.target, self.interference),
            ratio_db(self.target + self.interference, self.artifacts),
        )


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
    return energies(correlations, blocks).ratios_db()


def energies(correlations: Correlations, blocks: Blocks) -> Energies:
    """Energies of target, interference and artifacts of each estimate.

    Parameters
    ----------
    correlations
        Of n references and the n estimates of the same sources.
    blocks
        Gives the same signals once more, as blocks (n_sources, n_samples) of references and estimates; called only if
        an estimate's distortion lies more than 40 dB below it.
    """
    lagged, n_lags = correlations.lagged(), correlations.n_lags
    products = delayed_products(lagged)
    own, residual = own_filters(lagged, products)
    n_sources = correlations.n_references
    to_interference = solve_normal_equations(gram_matrix(lagged), residual) if n_sources > 1 else 0 * residual
    target = np.array([own[:, j] @ products[j * n_lags : (j + 1) * n_lags, j] for j in range(n_sources)])
    interference = np.maximum(0, np.einsum("aj,aj->j", to_interference, residual))
    total = correlations.energy[n_sources:]
    artifacts = total - target - interference
    if np.any(artifacts < EXACT_BELOW * total):
        filters = to_interference.reshape(n_sources, n_lags, n_sources)
        for j in range(n_sources):
            filters[j, :, j] += own[:, j]
        artifacts = residual_energy(filters, blocks)
    return Energies(target, interference, np.maximum(0, artifacts))


def own_filters(lagged: Double, products: Double) -> tuple[Double, Double]:
    """Project each estimate on its own reference.

    Returns
    -------
    filters : (n_lags, n_sources)
    residual : (n_sources * n_lags, n_sources)
        Products of all delayed references with what the projection leaves of each estimate.
    """
    n_sources, _, n_lags = lagged.shape
    gram = gram_matrix(lagged)
    filters = np.empty((n_lags, n_sources))
    residual = products.copy()
    for j in range(n_sources):
        own = slice(j * n_lags, (j + 1) * n_lags)
        filters[:, j] = solve_normal_equations(gram[own, own], products[own, j])
        residual[:, j] -= gram[:, own] @ filters[:, j]
    return filters, residual


def residual_energy(filters: Double, blocks: Blocks) -> Double:
    """Energy of ``estimate - filtered references``, formed block by block.

    Parameters
    ----------
    filters : (n_references, n_lags, n_estimates)

    Returns
    -------
    (n_estimates,)
    """
    n_references, n_lags, n_estimates = filters.shape
    history = np.zeros((n_references, n_lags - 1))
    energy = np.zeros(n_estimates)
    for references, estimates in blocks():
        joined = np.concatenate([history, references], axis=1)
        energy += np.sum((estimates - _filtered(joined, filters)) ** 2, axis=1)
        history = joined[:, joined.shape[1] - n_lags + 1 :]
    tail = np.concatenate([history, np.zeros((n_references, n_lags - 1))], axis=1)
    return energy + np.sum(_filtered(tail, filters) ** 2, axis=1)


def ratio_db(numerator: Double, denominator: Double) -> Double:
    """Ratio of energies in dB; infinite where the denominator is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return 10 * np.log10(np.where(denominator == 0, np.inf, numerator / denominator))


def _filtered(joined: Double, filters: Double) -> Double:
    """Convolve (n_references, n_lags - 1 + n_samples) with the filters; the n_samples that need no more history."""
    n_lags = filters.shape[1]
    n_fft = max(N_FFT, 1 << (4 * n_lags - 1).bit_length())
    hop, n_samples = n_fft - n_lags + 1, joined.shape[1] - n_lags + 1
    n_frames = -(-n_samples // hop)
    padded = np.zeros((len(joined), n_frames * hop + n_lags - 1))
    padded[:, : joined.shape[1]] = joined
    response = np.fft.rfft(filters, n_fft, axis=1)
    spectrum = np.einsum("rbf,rfe->ebf", np.fft.rfft(sliding_frames(padded, n_fft, hop)), response)
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
