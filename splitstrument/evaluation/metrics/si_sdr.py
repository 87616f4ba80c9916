"""SI-SDR and relative level of whole arrays; `score_pair` has the same SI-SDR for files of any length."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

TINY = 1e-20  # keeps ratios finite: silence is at -200 dB


def si_sdr(reference: NDArray, estimate: NDArray) -> float:
    """Return the scale-invariant SDR in dB, all channels together, in double precision.

    Parameters
    ----------
    reference, estimate
        Arrays of one shape. Means are not removed (Le Roux et al. 2019). A silent reference or estimate gives
        -200 dB.

    Examples
    --------
    >>> round(si_sdr(np.array([1.0, 1.0]), np.array([2.0, 0.0])), 6)
    0.0
    """
    wanted, got = (np.asarray(sound, np.float64).ravel() for sound in (reference, estimate))
    target = wanted * (got @ wanted) / (wanted @ wanted + TINY)
    return _ratio_db(float(target @ target), float(np.sum((got - target) ** 2)))


def level_db(signal: NDArray, reference: NDArray) -> float:
    """Return the level of one signal relative to another's, in dB."""
    energies = [float(np.mean(np.square(sound, dtype=np.float64))) for sound in (signal, reference)]
    return _ratio_db(*energies)


def _ratio_db(energy: float, other: float) -> float:
    return float(10 * np.log10(energy / (other + TINY) + TINY))
