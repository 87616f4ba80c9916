"""Clipping, also after rescaling, resampling or soft saturation: samples pile up at the peak.

Near the crest of any smooth wave, the time spent above ``1 - e`` of the peak grows with the root of ``e``: a quarter of
the samples above ``1 - 16 e`` are above ``1 - e`` for a sine, and far fewer for music, whose crests differ in height.
A clipped crest is flat, so that this share comes near 1 whatever the file was scaled by afterwards. It is taken for
each second, channel and side, at a fine step (hard clipping) and at coarser ones (clipping softened by a tape or a
resampler). Waves that are flat by nature, such as a synthesiser's square wave, are reported too.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from splitstrument.audio import Audio
from splitstrument.curation.checks.findings import Finding, spans
from splitstrument.curation.checks.settings import DEFAULTS, CheckSettings
from splitstrument.curation.checks.tracks import Stem

WIDER = 16
# step, smallest peak at which it is not finer than 16-bit rounding, times the smallest count
STEPS = ((1 / 2048, 0.04, 1), (1 / 512, 0.01, 2), (1 / 128, 0.01, 4))


def clipped_share(side: np.ndarray, step: float, min_samples: int) -> float:
    """Share of the samples within ``16 * step`` of the peak that lie within `step` of it, for (n_samples,) values.

    0 where fewer than `min_samples` lie within `step`. A sine gives 0.25, music less, a flat top up to 1.
    """
    peak = float(side.max(initial=0.0))
    near = side[side >= peak * (1 - WIDER * step)]
    at_peak = int(np.count_nonzero(near >= peak * (1 - step)))
    return at_peak / len(near) if peak > 0 and at_peak >= min_samples else 0.0


def second_clipping(block: Audio, min_samples: int) -> float:
    """Largest `clipped_share` over channels, sides and steps of one block (n_samples, n_channels)."""
    worst = 0.0
    for channel in block.T:
        for side in (channel, -channel):
            peak = float(side.max(initial=0.0))
            for step, smallest, times in STEPS:
                if peak >= smallest:
                    worst = max(worst, clipped_share(side, step, times * min_samples))
    return worst


@dataclass
class ClippingMeter:
    """Clipped seconds of one stem."""

    stem: Stem
    settings: CheckSettings = DEFAULTS
    n_seconds: int = 0
    n_clipped: int = 0
    worst: list[tuple[int, float]] = field(default_factory=list)

    def update(self, block: Audio) -> None:
        """Add the next second."""
        share = second_clipping(block, self.settings.clip_min_samples)
        if share > self.settings.clip_share:
            self.n_clipped += 1
            self.worst = sorted([*self.worst, (self.n_seconds, share)], key=lambda second: -second[1])[:32]
        self.n_seconds += 1

    def findings(self) -> list[Finding]:
        """The stem's clipping, if it passes the limit."""
        if self.n_clipped < min(self.settings.clip_seconds, max(1, self.n_seconds // 2)):
            return []
        part = self.n_clipped / self.n_seconds
        return [
            Finding(
                check="clipping",
                stem_class=self.stem.stem_class,
                severity=round(min(0.9, 0.35 + 0.55 * part), 3),
                message=f"flat crests in {self.n_clipped} of {self.n_seconds} seconds",
                files=(self.stem.name,),
                seconds=spans(self.worst),
                value=part,
            )
        ]
