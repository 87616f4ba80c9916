"""Leakage: the level of an estimate where its reference is silent.

**Leakage**: energy of the estimate relative to the mixture's, in dB, over the seconds in which the reference is silent
(under -50 dBFS, the thesis's rule).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from splitstrument.evaluation.metrics.metric import Family, Metric, Track, Values, db, for_each_estimate

SILENCE_DBFS = -50.0
SILENCE_BLOCK_S = 1.0
LEAKAGE_FLOOR_DB = -120.0
OWN = "this project; the rule of silence is the thesis's"
METRICS = (
    Metric(
        "leakage_db", "leakage", "dB", "lower", True,
        "level relative to the mixture over the seconds where the reference is under -50 dBFS", OWN,
        "everything that happens while the reference sounds",
    ),
    Metric("silent_s", "silent", "s", "neither", False, "seconds in which the reference is silent", OWN, "estimates"),
    Metric(
        "silent_share", "silent share", "", "neither", False,
        "share of the track in which the reference is silent", OWN, "estimates",
    ),
)  # fmt: skip


class Leakage:
    """Level of an estimate, relative to the mixture, in the seconds where its reference is silent."""

    def __init__(self, track: Track) -> None:
        self.sample_rate_hz = track.sample_rate_hz
        self.block = max(1, round(SILENCE_BLOCK_S * track.sample_rate_hz))
        self.silent_samples = self.n_samples = 0
        self.estimate = self.mixture = 0.0
        self._pending = np.zeros((3, 0, track.n_channels), np.float32)

    def add(self, reference: NDArray, estimate: NDArray, mixture: NDArray) -> None:
        """Add the next samples (n_samples, n_channels)."""
        signals = np.concatenate([self._pending, np.stack([reference, estimate, mixture])], axis=1)
        n_blocks = signals.shape[1] // self.block
        whole = signals[:, : n_blocks * self.block].reshape(3, n_blocks, self.block * signals.shape[2])
        self._measure(whole, self.block)
        self._pending = signals[:, n_blocks * self.block :].copy()

    def scores(self) -> Values:
        """Leakage is None where the reference is never silent or the mixture is silent as well."""
        left = self._pending.shape[1]
        if left:
            self._measure(self._pending.reshape(3, 1, -1), left)
            self._pending = self._pending[:, :0]
        leakage = max(LEAKAGE_FLOOR_DB, db(self.estimate, self.mixture)) if self.mixture else None
        share = self.silent_samples / self.n_samples if self.n_samples else 0.0
        return {"leakage_db": leakage, "silent_s": self.silent_samples / self.sample_rate_hz, "silent_share": share}

    def _measure(self, blocks: NDArray, n_samples: int) -> None:
        reference = blocks[0].astype(np.float64)
        silent = np.einsum("ij,ij->i", reference, reference) / blocks.shape[2] < 10 ** (SILENCE_DBFS / 10)
        if silent.any():
            quiet = blocks[1:, silent].astype(np.float64)
            self.estimate += float(np.einsum("ij,ij->", quiet[0], quiet[0]))
            self.mixture += float(np.einsum("ij,ij->", quiet[1], quiet[1]))
        self.silent_samples += int(silent.sum()) * n_samples
        self.n_samples += len(silent) * n_samples


FAMILY = Family(METRICS, for_each_estimate(Leakage))
