"""Is the instrument there at all, and does the separation look as if it had worked?

Two measures that cost nothing: the level of instrument and rest over time (`ActivityMeter`), and how decided the
network was (`Certainty`). They look only at outputs, so they can be wrong; `warnings_of` says no more than they show.
"""

from __future__ import annotations

from array import array
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from splitstrument.spectrogram import Complex, Float

STEP_S = 0.1
AUDIBLE_DBFS = -50.0  # the thesis's limit for silence (section 4.3.3)
SILENT_DBFS = -100.0
NONE_SHARE, ALL_DB, UNDECIDED = 0.02, -20.0, 0.35


@dataclass(frozen=True)
class Activity:
    """Levels over time.

    Attributes
    ----------
    step_s
        Distance of the values in seconds.
    instrument_dbfs, rest_dbfs
        RMS level of each step, (n_steps,), not below -100.
    confidence
        0 (the network could not decide anywhere) to 1 (every bin is clearly the instrument's or clearly not), weighted
        by energy.
    """

    step_s: float
    instrument_dbfs: Float = field(repr=False)
    rest_dbfs: Float = field(repr=False)
    confidence: float

    @property
    def audible_share(self) -> float:
        """Share of the song in which the instrument is above -50 dBFS."""
        return float(np.mean(self.instrument_dbfs > AUDIBLE_DBFS)) if len(self.instrument_dbfs) else 0.0

    def summary(self) -> dict[str, float]:
        """Plain numbers for a sidecar."""
        return {
            "audible_share": round(self.audible_share, 4),
            "confidence": round(self.confidence, 4),
            "instrument_dbfs": round(_mean_db(self.instrument_dbfs), 2),
            "rest_dbfs": round(_mean_db(self.rest_dbfs), 2),
        }

    def as_dict(self) -> dict[str, Any]:
        """Plain data with the curves, rounded to a tenth of a dB."""
        curves = {key: np.round(getattr(self, key), 1).tolist() for key in ("instrument_dbfs", "rest_dbfs")}
        return {**asdict(self), **curves, "audible_share": round(self.audible_share, 4)}


class ActivityMeter:
    """Collects the levels of a stream, one value per `STEP_S`."""

    def __init__(self, sample_rate_hz: int) -> None:
        self._step = max(1, round(STEP_S * sample_rate_hz))
        self.step_s = self._step / sample_rate_hz
        self._energies = array("f")  # 80 bytes a second, where a list of tuples would be 1,500
        self._open = np.zeros(2)
        self._filled = 0

    def add(self, instrument: Float, rest: Float) -> None:
        """Add (n_samples, n_channels) of both."""
        to_fill = (self._step - self._filled) % self._step
        n_whole = max(0, len(instrument) - to_fill) // self._step
        middle = to_fill + n_whole * self._step
        self._add_part(instrument[:to_fill], rest[:to_fill])
        if n_whole:
            n_values = self._step * instrument.shape[1]
            steps = [stem[to_fill:middle].reshape(n_whole, n_values) for stem in (instrument, rest)]
            powers = np.stack([np.einsum("ij,ij->i", step, step) / n_values for step in steps], axis=1)
            self._energies.extend(powers.ravel())
        self._add_part(instrument[middle:], rest[middle:])

    def _add_part(self, instrument: Float, rest: Float) -> None:
        """Add less than a step, or what fills one."""
        if not len(instrument):
            return
        energies = [float(np.einsum("ij,ij->", stem, stem, dtype=np.float64)) for stem in (instrument, rest)]
        self._open += np.array(energies) / instrument.shape[1]
        self._filled += len(instrument)
        if self._filled == self._step:
            self._close()

    def finish(self, confidence: float) -> Activity:
        """The curves; a last step that is not full counts by its own length."""
        if self._filled:
            self._close()
        levels = 10 * np.log10(np.array(self._energies, np.float64).reshape(-1, 2) + 10 ** (SILENT_DBFS / 10))
        instrument, rest = levels.T.astype(np.float32)
        return Activity(self.step_s, instrument, rest, confidence)

    def _close(self) -> None:
        self._energies.extend(self._open / self._filled)
        self._open, self._filled = np.zeros(2), 0


class Certainty:
    """How decided the masks are: the energy-weighted mean of ``|2 mask - 1|``."""

    def __init__(self) -> None:
        self._decided = self._energy = 0.0

    def add(self, spectrum: Complex, mask: Float) -> None:
        """Add a block (n_channels, n_bins, n_frames) with its mask (1 or n_channels, ...)."""
        power = np.einsum("cbt,cbt->bt", spectrum.real, spectrum.real)
        power += np.einsum("cbt,cbt->bt", spectrum.imag, spectrum.imag)
        self._energy += float(power.sum(dtype=np.float64))
        self._decided += float(np.einsum("bt,vbt->", power, np.abs(2 * mask - 1), dtype=np.float64) / len(mask))

    @property
    def value(self) -> float:
        """0 to 1; 1 for silence, where there was nothing to decide."""
        return self._decided / self._energy if self._energy > 0 else 1.0


def warnings_of(activity: Activity, target: str) -> list[str]:
    """Plain sentences where the separation has probably failed; empty where nothing looks wrong."""
    instrument, rest = _mean_db(activity.instrument_dbfs), _mean_db(activity.rest_dbfs)
    if max(level.max(initial=SILENT_DBFS) for level in (activity.instrument_dbfs, activity.rest_dbfs)) <= AUDIBLE_DBFS:
        return ["The song is silent."]
    if activity.audible_share < NONE_SHARE:
        return [f"Hardly any {target} was found: perhaps there is none in this song."]
    if rest - instrument < ALL_DB:
        return [f"Nearly everything was taken for {target}: the song is {target} alone, or the separation has failed."]
    if activity.confidence < UNDECIDED:
        return [
            f"The model was undecided for most of the song (confidence {activity.confidence:.2f}): "
            "the separation has probably failed."
        ]
    return []


def _mean_db(levels_db: Float) -> float:
    """Level of the mean power."""
    if not len(levels_db):
        return SILENT_DBFS
    return float(10 * np.log10(np.mean(10 ** (levels_db.astype(np.float64) / 10))))
