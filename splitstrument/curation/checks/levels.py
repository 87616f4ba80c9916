"""Level, DC and length of one stem, measured second by second in constant memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from splitstrument.audio import Audio
from splitstrument.curation.checks.findings import Finding, spans
from splitstrument.curation.checks.settings import DEFAULTS, CheckSettings
from splitstrument.curation.checks.tracks import Stem, TrackStems, bounded

FLOOR_DBFS = -120


def power_db(power: float | np.ndarray) -> np.ndarray:
    """Power to dB, never below `FLOOR_DBFS`."""
    return 10 * np.log10(np.maximum(power, 10 ** (FLOOR_DBFS / 10)))


def block_powers(block: Audio, n_block: int) -> np.ndarray:
    """Mean square of each `n_block` samples of (n_samples, n_channels), all channels together; the rest is dropped."""
    if not block.size:
        return np.zeros(0)
    n_blocks = len(block) // n_block
    parts = block[: n_blocks * n_block].reshape(n_blocks, -1) if n_blocks else block.reshape(1, -1)
    return np.einsum("ij,ij->i", parts, parts).astype(np.float64) / parts.shape[1]


def to_mono(block: Audio) -> Audio:
    """Mean of the channels, (n_samples,); a product, since numpy's mean over two columns is slow."""
    return block @ np.full(block.shape[1], 1 / block.shape[1], np.float32)


@dataclass
class LevelMeter:
    """Levels of one stem: feed it seconds, then read it.

    Attributes
    ----------
    histogram
        Number of short blocks per dB from -120 to 0 dBFS.
    loudest_dbfs
        RMS of the loudest second.
    loud_s
        Index of that second.
    """

    sample_rate_hz: int
    settings: CheckSettings = DEFAULTS
    histogram: np.ndarray = field(default_factory=lambda: np.zeros(-FLOOR_DBFS + 1, np.int64))
    loudest_dbfs: float = FLOOR_DBFS
    loud_s: int = 0
    peak: float = 0.0
    n_samples: int = 0
    n_seconds: int = 0
    offset: np.ndarray | float = 0.0
    offset_seconds: list[tuple[int, float]] = field(default_factory=list)

    def update(self, block: Audio) -> None:
        """Add the next second."""
        self.peak = max(self.peak, float(block.max()), -float(block.min()))
        block = bounded(block)
        powers = block_powers(block, max(1, round(self.settings.silence_block_s * self.sample_rate_hz)))
        index = np.clip(np.floor(power_db(powers)).astype(int) - FLOOR_DBFS, 0, -FLOOR_DBFS)
        self.histogram += np.bincount(index, minlength=len(self.histogram))
        loudness = float(power_db(powers.mean()))
        if loudness > self.loudest_dbfs:
            self.loudest_dbfs, self.loud_s = loudness, self.n_seconds
        self._add_offset(block)
        self.n_samples += len(block)
        self.n_seconds += 1

    def _add_offset(self, block: Audio) -> None:
        total = (np.ones(len(block), np.float32) @ block).astype(np.float64)
        self.offset = self.offset + total
        mean = float(np.abs(total).max() / len(block))
        if mean > self.dc_limit:
            self.offset_seconds = sorted([*self.offset_seconds, (self.n_seconds, mean)], key=lambda s: -s[1])[:32]

    @property
    def dc_limit(self) -> float:
        """Largest mean that is not reported."""
        return 10 ** (self.settings.dc_dbfs / 20)

    @property
    def dc(self) -> float:
        """Largest mean of a channel."""
        return float(np.abs(self.offset).max() / self.n_samples) if self.n_samples else 0.0

    @property
    def loudest_second(self) -> tuple[tuple[float, float]]:
        """Return the loudest second as a finding's span."""
        return ((float(self.loud_s), self.loud_s + 1.0),)

    @property
    def audible_s(self) -> float:
        """Seconds above the limit of silence."""
        first = int(np.ceil(self.settings.silence_dbfs)) - FLOOR_DBFS
        return float(self.histogram[first:].sum()) * self.settings.silence_block_s

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.n_samples / self.sample_rate_hz

    @property
    def silent_share(self) -> float:
        """Share of the stem below the limit of silence."""
        total = self.histogram.sum()
        return 1 - self.audible_s / (total * self.settings.silence_block_s) if total else 1.0

    def active_dbfs(self, percent: float = 90.0) -> float | None:
        """Level that `percent` of the audible blocks stay below; None for a stem that is never audible."""
        first = int(np.ceil(self.settings.silence_dbfs)) - FLOOR_DBFS
        total = np.cumsum(self.histogram[first:])
        if not total[-1]:
            return None
        return float(FLOOR_DBFS + first + np.searchsorted(total, percent / 100 * total[-1]))


def level_findings(meters: Mapping[Stem, LevelMeter]) -> list[Finding]:
    """Inaudible, low level and DC of the stems of one track.

    A silent file beside an audible one of the same class is harmless, and is listed last.
    """
    heard = {stem.stem_class for stem, meter in meters.items() if meter.audible_s >= meter.settings.audible_s}
    found = []
    for stem, meter in meters.items():
        if meter.audible_s < meter.settings.audible_s:
            found.append(_inaudible(stem, meter, stem.stem_class in heard))
        elif meter.loudest_dbfs < meter.settings.low_level_dbfs:
            found.append(_low_level(stem, meter))
        if meter.dc > meter.dc_limit:
            found.append(_offset(stem, meter))
    return found


def _inaudible(stem: Stem, meter: LevelMeter, class_is_heard: bool) -> Finding:
    limit = meter.settings.silence_dbfs
    return Finding(
        check="inaudible",
        stem_class=stem.stem_class,
        severity=0.1 if class_is_heard else 0.95,
        message=f"{meter.audible_s:.2f} s above {limit:g} dBFS; loudest second {meter.loudest_dbfs:.0f} dBFS",
        files=(stem.name,),
        seconds=meter.loudest_second,
        value=meter.audible_s,
    )


def _low_level(stem: Stem, meter: LevelMeter) -> Finding:
    return Finding(
        check="low_level",
        stem_class=stem.stem_class,
        severity=min(0.9, 0.4 + (meter.settings.low_level_dbfs - meter.loudest_dbfs) / 20),
        message=f"the loudest second has {meter.loudest_dbfs:.0f} dBFS",
        files=(stem.name,),
        seconds=meter.loudest_second,
        value=meter.loudest_dbfs,
    )


def _offset(stem: Stem, meter: LevelMeter) -> Finding:
    return Finding(
        check="dc",
        stem_class=stem.stem_class,
        severity=float(min(0.8, 0.3 + 0.25 * np.log10(meter.dc / meter.dc_limit))),
        message=f"mean {meter.dc:.4f} of full scale (limit {meter.dc_limit:.4f})",
        files=(stem.name,),
        seconds=spans(meter.offset_seconds),
        value=meter.dc,
    )


def missing_findings(track: TrackStems, target: str | None) -> list[Finding]:
    """Classes without a file, and files that cannot be read."""
    expected = [*track.classes, *([target] if target and target not in track.classes else [])]
    found = [
        Finding(check="missing", stem_class=name, severity=1.0, message=f"no {name} stem that can be read")
        for name in expected
        if not track.of_class(name) and not any(file.startswith(f"{name}/") for file in track.unreadable)
    ]
    for file, reason in track.unreadable.items():
        stem_class = file.split("/")[0]
        found.append(Finding(check="missing", stem_class=stem_class, severity=1.0, message=reason, files=(file,)))
    return found


def length_findings(track: TrackStems, settings: CheckSettings) -> list[Finding]:
    """Stems whose length or rate differs from what most stems of their track have."""
    if len(track.stems) < 2:
        return []
    usual = float(np.median([stem.info.duration_s for stem in track.stems]))
    longest = max(stem.info.duration_s for stem in track.stems)
    usual = longest if len(track.stems) == 2 else usual
    found = []
    for stem in track.stems:
        difference = stem.info.duration_s - usual
        if abs(difference) > settings.length_tolerance_s:
            found.append(_length_finding(stem, difference, usual))
        elif stem.info.sample_rate_hz != track.sample_rate_hz:
            message = f"{stem.info.sample_rate_hz} Hz, others of the track {track.sample_rate_hz} Hz"
            found.append(
                Finding(
                    check="wrong_length", stem_class=stem.stem_class, severity=0.2, message=message, files=(stem.name,)
                )
            )
    return found


def _length_finding(stem: Stem, difference: float, usual: float) -> Finding:
    word = "longer" if difference > 0 else "shorter"
    end = stem.info.duration_s
    return Finding(
        check="wrong_length",
        stem_class=stem.stem_class,
        severity=min(0.9, 0.3 + abs(difference) / max(usual, 1.0)),
        message=f"{abs(difference):.2f} s {word} than the other stems ({usual:.2f} s)",
        files=(stem.name,),
        seconds=((max(0.0, round(end - 3, 2)), round(end, 2)),),
        value=difference,
    )
