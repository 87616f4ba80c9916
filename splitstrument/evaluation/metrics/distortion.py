"""Ratios that need no distortion filter, from inner products alone.

With reference s, the other reference r, estimate e, ``d = e - s`` and the best scale ``a = <e, s> / <s, s>``:

- **SI-SDR** ``|a s|^2 / |e - a s|^2`` and **SD-SDR** ``|a s|^2 / |d|^2`` (Le Roux et al. 2019; means are not removed);
- **SI-SIR** and **SI-SAR**: e - a s parted into what both references explain and what they do not;
- **uSDR** ``(|s|^2 + 1e-7) / (|d|^2 + 1e-7)``, the SDR of the Music Demixing Challenge 2021 (all channels together),
  defined for silence too.
"""

from __future__ import annotations

import numpy as np

from splitstrument.evaluation.metrics.metric import Block, Family, Metric, OnePass, Track, Values, db

USDR_EPSILON = 1e-7
LE_ROUX = "Le Roux, Wisdom, Erdogan, Hershey, ICASSP 2019"
METRICS = (
    Metric(
        "si_sdr", "SI-SDR", "dB", "higher", True, "energy of the scaled reference over that of everything else",
        LE_ROUX, "the level of the estimate",
    ),
    Metric(
        "si_sir", "SI-SIR", "dB", "higher", False,
        "energy of the scaled reference over that of what a scaled rest explains", LE_ROUX, "level, artifacts",
    ),
    Metric(
        "si_sar", "SI-SAR", "dB", "higher", False,
        "energy of the scaled reference over that of what no scaled source explains", LE_ROUX,
        "level, what is left of the other source",
    ),
    Metric(
        "sd_sdr", "SD-SDR", "dB", "higher", False, "energy of the scaled reference over that of the whole difference",
        LE_ROUX, "nothing: it punishes a wrong level twice",
    ),
    Metric(
        "usdr", "uSDR", "dB", "higher", True,
        "energy of the reference over that of the difference, no filter, no scale: the SDR of the Music Demixing "
        "Challenges, of MSST and of MVSEP",
        "Mitsufuji et al., Music Demixing Challenge 2021", "what is wrong: less of a bad estimate is better",
    ),
)  # fmt: skip


class Distortion(OnePass):
    """Meter of all ratios of this module."""

    def __init__(self, track: Track) -> None:
        self.references = np.zeros((2, 2))  # <s_i, s_j>
        self.estimate = np.zeros((track.n_systems, 2))
        self.difference = np.zeros((track.n_systems, 2))
        self.products = np.zeros((track.n_systems, 2, 2))  # <d_j, s_i>

    def add(self, block: Block) -> None:
        """Add the next samples."""
        s = np.asarray(block.references, np.float64).reshape(2, -1)
        self.references += np.einsum("it,jt->ij", s, s)
        for system, estimates in enumerate(block.estimates):
            e = np.asarray(estimates, np.float64).reshape(2, -1)
            self.estimate[system] += np.einsum("jt,jt->j", e, e)
            d = e - s
            self.difference[system] += np.einsum("jt,jt->j", d, d)
            self.products[system] += np.einsum("jt,it->ji", d, s)

    def scores(self, system: int, source: int) -> Values:
        """Ratios in dB; all but uSDR are None where reference or estimate is silent."""
        reference, difference = self.references[source, source], self.difference[system, source]
        usdr = db(reference + USDR_EPSILON, difference + USDR_EPSILON)
        if not reference or not self.estimate[system, source]:
            return {metric.key: None for metric in METRICS} | {"usdr": usdr}
        product = self.products[system, source, source]
        target = (1 + product / reference) ** 2 * reference
        interference, artifacts = self._parts(system, source)
        return {
            "si_sdr": _si_sdr(reference, difference, product),
            "si_sir": db(target, interference) if self.references[1 - source, 1 - source] else None,
            "si_sar": db(target, artifacts),
            "sd_sdr": db(target, difference),
            "usdr": usdr,
        }

    def _parts(self, system: int, source: int) -> tuple[float, float]:
        """Energies of the difference beside its own reference: what the other reference explains, and what is left."""
        reference, product = self.references[source, source], self.products[system, source, source]
        error = max(0.0, self.difference[system, source] - product**2 / reference)
        overlap = self.references[0, 1]
        other = self.references[1 - source, 1 - source] - overlap**2 / reference  # energy that is not in s
        if other <= 1e-12 * self.references[1 - source, 1 - source]:
            return 0.0, error
        along = self.products[system, source, 1 - source] - product * overlap / reference
        return along**2 / other, max(0.0, error - along**2 / other)


FAMILY = Family(METRICS, Distortion)


def _si_sdr(reference: float, difference: float, product: float) -> float:
    # not <e, e> - <a s, a s>: that would lose all digits where the estimate is good
    return db((1 + product / reference) ** 2 * reference, max(0.0, difference - product**2 / reference))
