"""Bleed: another class is heard in a stem, through its microphone, its monitor or a wrong export.

Bleed is a delayed and filtered copy, so that its phase stays tied to the other stem's from frame to frame, whereas two
instruments that merely play the same notes drift. The magnitude-squared coherence ``|Sxy|^2 / (Sxx Syy)`` shows it. It
is taken twice for each ordered pair of classes, each time beside the same number with the other class one second
later, which shows what chance and a shared key give:

- over the frames where the stem itself is quiet and the other one plays: most sensitive, and tells the bleed's level;
- over all frames, as the mean of the bins: finds bleed in stems that are never quiet, in the bins that they leave free.
  Coherence has no direction: the receiver is the class whose share of the common sound is the weaker.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import permutations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from splitstrument.audio import Audio
from splitstrument.curation.checks.findings import Finding, spans
from splitstrument.curation.checks.levels import power_db, to_mono
from splitstrument.curation.checks.settings import DEFAULTS, CheckSettings
from splitstrument.spectrogram import hann

FRAME_S = 0.09
RANGE_HZ = (50.0, 12_000.0)
NOISE_FLOOR_DBFS = -85.0  # below this, 16-bit rounding and dither
QUIET_FRAMES, ALL_FRAMES = 20, 100
BIAS = 3.0  # n averages of unrelated noise give a coherence of 1 / n; this many times that is not evidence
TINY = 1e-20


@dataclass(frozen=True)
class Frames:
    """Spectra (n_frames, n_bins) and levels (n_frames,) of one class in one second."""

    spectra: np.ndarray
    levels_dbfs: np.ndarray


class CrossSpectrum:
    """Running cross-spectrum of two classes over chosen frames."""

    def __init__(self, n_bins: int) -> None:
        self.n = 0
        self.xx, self.yy = np.zeros(n_bins), np.zeros(n_bins)
        self.xy = np.zeros(n_bins, np.complex128)

    def add(self, x: np.ndarray, y: np.ndarray) -> None:
        """Add frames (n_frames, n_bins) of both."""
        self.n += len(x)
        self.xx += np.einsum("tf,tf->f", x.conj(), x).real
        self.yy += np.einsum("tf,tf->f", y.conj(), y).real
        self.xy += np.einsum("tf,tf->f", x.conj(), y)

    def mean_coherence(self) -> float:
        """Coherence averaged over the bins, each bin alike."""
        return float(np.mean(np.abs(self.xy) ** 2 / (self.xx * self.yy + TINY))) if self.n else 0.0

    def coherent_share(self) -> float:
        """Share of x's energy that a linear filter of y explains."""
        return float((np.abs(self.xy) ** 2 / (self.yy + TINY)).sum() / (self.xx.sum() + TINY)) if self.n else 0.0

    def hears(self) -> bool:
        """Whether x hears y rather than y x: what the receiver holds of the other is the weaker copy."""
        together = np.abs(self.xy) ** 2
        return bool((together / (self.yy + TINY)).sum() <= (together / (self.xx + TINY)).sum())

    def evidence(self) -> float:
        """The larger of both, less what chance gives for so few frames."""
        return max(self.mean_coherence(), self.coherent_share()) - BIAS / max(self.n, 1)


@dataclass
class PairMeter:
    """Bleed of one class into another."""

    n_bins: int
    quiet: CrossSpectrum = field(init=False)
    quiet_later: CrossSpectrum = field(init=False)
    whole: CrossSpectrum = field(init=False)
    whole_later: CrossSpectrum = field(init=False)
    worst: list[tuple[int, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.quiet, self.quiet_later = CrossSpectrum(self.n_bins), CrossSpectrum(self.n_bins)
        self.whole, self.whole_later = CrossSpectrum(self.n_bins), CrossSpectrum(self.n_bins)

    def add(
        self, second: int, x: Frames, y: Frames, before: Frames | None, is_quiet: np.ndarray, is_heard: np.ndarray
    ) -> None:
        """Add one second; `before` is y one second earlier."""
        for chosen, now, later in ((is_quiet, self.quiet, self.quiet_later), (is_heard, self.whole, self.whole_later)):
            if not chosen.any():
                continue
            now.add(x.spectra[chosen], y.spectra[chosen])
            if before is not None:
                later.add(x.spectra[chosen], before.spectra[chosen])
        if is_quiet.sum() >= 3:
            here = CrossSpectrum(self.n_bins)
            here.add(x.spectra[is_quiet], y.spectra[is_quiet])
            weight = here.coherent_share() * float(np.median(x.levels_dbfs[is_quiet]) - NOISE_FLOOR_DBFS)
            self.worst = sorted([*self.worst, (second, weight)], key=lambda item: -item[1])[:16]

    def score(self, settings: CheckSettings) -> float:
        """Evidence relative to the limits: 1 and more is reported."""
        quiet = whole = 0.0
        if self.quiet.n >= QUIET_FRAMES and self.quiet.evidence() > 2 * max(0.0, self.quiet_later.evidence()):
            quiet = self.quiet.evidence() / settings.bleed_quiet_coherence
        mean = self.whole.mean_coherence() - BIAS / max(self.whole.n, 1)
        if self.whole.n >= ALL_FRAMES and self.whole.hears() and mean > 5 * self.whole_later.mean_coherence():
            whole = mean / settings.bleed_coherence
        return max(quiet, whole)

    def level_db(self) -> float:
        """Level of the bleed relative to the whole stem's mean energy."""
        spectrum = self.quiet if self.quiet.n >= QUIET_FRAMES else self.whole
        coherent = spectrum.coherent_share() * spectrum.xx.sum() / max(spectrum.n, 1)
        return float(power_db(coherent / (self.whole.xx.sum() / max(self.whole.n, 1) + TINY)))


@dataclass
class BleedMeter:
    """Bleed between the classes of one track; feed it seconds of class sums.

    Parameters
    ----------
    active_dbfs
        Level of each class when it plays (the classes that take part).
    target
        With one, only pairs with the target are measured.
    """

    active_dbfs: Mapping[str, float]
    sample_rate_hz: int
    target: str | None = None
    settings: CheckSettings = DEFAULTS
    pairs: dict[tuple[str, str], PairMeter] = field(init=False)
    n_seconds: int = 0
    before: dict[str, Frames] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.n_fft = 2 ** round(np.log2(FRAME_S * self.sample_rate_hz))
        frequencies = np.fft.rfftfreq(self.n_fft, 1 / self.sample_rate_hz)
        self.bins = slice(*np.searchsorted(frequencies, RANGE_HZ))
        names = permutations(self.active_dbfs, 2)
        chosen = [pair for pair in names if self.target is None or self.target in pair]
        self.pairs = {pair: PairMeter(self.bins.stop - self.bins.start) for pair in chosen}

    def update(self, sums: Mapping[str, Audio]) -> None:
        """Add one second of every class, (n_samples, n_channels) each."""
        frames = {name: self._frames(sums[name]) for name in self.active_dbfs if name in sums}
        for (hears, heard), pair in self.pairs.items():
            x, y = frames[hears], frames[heard]
            plays = (y.levels_dbfs > self.active_dbfs[heard] - self.settings.bleed_quiet_db) & (
                x.levels_dbfs > NOISE_FLOOR_DBFS
            )
            quiet = plays & (x.levels_dbfs < self.active_dbfs[hears] - self.settings.bleed_quiet_db)
            before = self.before.get(heard)
            usable = before if before is not None and len(before.levels_dbfs) == len(y.levels_dbfs) else None
            pair.add(self.n_seconds, x, y, usable, quiet, plays)
        self.before = frames
        self.n_seconds += 1

    def _frames(self, block: Audio) -> Frames:
        mono = to_mono(block)
        if len(mono) < self.n_fft:
            mono = np.pad(mono, (0, self.n_fft - len(mono)))
        parts = sliding_window_view(mono, self.n_fft)[:: self.n_fft // 2]
        spectra = np.fft.rfft(parts * hann(self.n_fft), axis=1)[:, self.bins]
        return Frames(spectra, power_db(np.einsum("tn,tn->t", parts, parts) / self.n_fft))

    def findings(self, files: Mapping[str, tuple[str, ...]]) -> list[Finding]:
        """One finding per class that hears others, naming them; `files` are each class's."""
        scores = {names: pair.score(self.settings) for names, pair in self.pairs.items()}
        found = []
        for hears in self.active_dbfs:
            sources = [names for names, score in scores.items() if names[0] == hears and score >= 1]
            if sources:
                sources.sort(key=lambda names: -scores[names])
                found.append(self._finding(hears, sources, scores[sources[0]], files.get(hears, ())))
        return found

    def _finding(self, hears: str, sources: list[tuple[str, str]], score: float, files: tuple[str, ...]) -> Finding:
        worst = self.pairs[sources[0]]
        level = worst.level_db()
        names = ", ".join(heard for _, heard in sources)
        return Finding(
            check="bleed",
            stem_class=hears,
            severity=round(float(np.clip(0.85 + (level + 20) / 60, 0.3, 0.95)), 3),
            message=f"hears {names}: about {-level:.0f} dB below its own level, {score:.1f} times the limit",
            files=files,
            seconds=spans(worst.worst),
            value=score,
        )
