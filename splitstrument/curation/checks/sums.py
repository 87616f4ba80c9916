"""Do the stems sum to the mix? If not, how far off, by which gains, and where.

One pass collects the products of every stem and the mix (a normal-equations matrix per second, and their total), so
that both errors, with every stem as it is and with the best gain per stem, follow without a second look at the audio.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from splitstrument.audio import Audio
from splitstrument.curation.checks.findings import Finding, spans
from splitstrument.curation.checks.levels import power_db
from splitstrument.curation.checks.settings import DEFAULTS, CheckSettings
from splitstrument.curation.checks.tracks import Stem
from splitstrument.datasets.classes import MIX

RIDGE = 1e-9


@dataclass
class SumMeter:
    """Products of the stems and the mix of one track."""

    parts: tuple[Stem, ...]
    mixes: tuple[Stem, ...]
    settings: CheckSettings = DEFAULTS
    products: np.ndarray = field(init=False)
    seconds: list[np.ndarray] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.products = np.zeros((len(self.parts) + 1,) * 2)

    def update(self, blocks: dict[Stem, Audio]) -> None:
        """Add one second of all stems (`tracks.aligned_seconds`)."""
        mix = sum(blocks[stem] for stem in self.mixes)
        signals = np.stack([blocks[stem].ravel() for stem in self.parts] + [np.ravel(mix)]).astype(np.float64)
        products = signals @ signals.T
        self.products += products
        unit = np.append(np.ones(len(self.parts)), -1.0)
        self.seconds.append(np.array([unit @ products @ unit, products[-1, -1]]))

    def gains(self) -> np.ndarray:
        """Best gain of each stem, (n_parts,), by least squares."""
        gram, target = self.products[:-1, :-1], self.products[:-1, -1]
        ridge = RIDGE * max(np.trace(gram), 1e-12) * np.eye(len(gram))
        return np.linalg.solve(gram + ridge, target)

    def error_db(self, gains: np.ndarray) -> float:
        """Energy of ``sum(gain * stem) - mix`` relative to the mix's."""
        weights = np.append(gains, -1.0)
        energy = self.products[-1, -1]
        return float(power_db(max(weights @ self.products @ weights, 0.0) / energy)) if energy else -np.inf

    def findings(self) -> list[Finding]:
        """The mix's finding, if the plain sum misses it."""
        error = self.error_db(np.ones(len(self.parts)))
        if not self.parts or error < self.settings.sum_error_db:
            return []
        gains = self.gains()
        fitted = self.error_db(gains)
        return [
            Finding(
                check="not_in_mix",
                stem_class=MIX,
                severity=round(float(np.clip(0.5 + (fitted + 20) / 60, 0.2, 0.9)), 3),
                message=_explain(error, fitted, dict(zip(self.parts, gains, strict=True))),
                files=tuple(stem.name for stem in self.mixes),
                seconds=self._worst_seconds(),
                value=error,
            )
        ]

    def _worst_seconds(self) -> tuple[tuple[float, float], ...]:
        errors = [(index, float(power_db(error / max(mix, 1e-9)))) for index, (error, mix) in enumerate(self.seconds)]
        loud = [second for second in errors if second[1] > self.settings.sum_error_db]
        return spans(sorted(loud, key=lambda second: -second[1])[:32])


def _explain(error: float, fitted: float, gains: dict[Stem, float]) -> str:
    text = f"the sum of the stems misses the mix by {error:.1f} dB, with the best gain per stem by {fitted:.1f} dB"
    absent = [stem.name for stem, gain in gains.items() if abs(gain) < 0.1]
    inverted = [stem.name for stem, gain in gains.items() if gain < -0.1]
    odd = [f"{stem.name} x {gain:.2f}" for stem, gain in gains.items() if gain > 0.1 and not 0.8 < gain < 1.25]
    if absent:
        text += f"; not in the mix: {', '.join(absent)}"
    if inverted:
        text += f"; inverted: {', '.join(inverted)}"
    if fitted < error - 10 and odd:
        text += f"; other gain: {', '.join(odd[:4])}"
    return text
