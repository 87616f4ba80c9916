"""Are the instruments there at all, and does the separation look as if it had worked?

Two measures that cost nothing: the level of every stem over time (`ActivityMeter`), and how good the masks themselves
lead one to expect the stems to be (`Expectation`). They look only at outputs, so they can be wrong; `warnings_of` says
no more than they show.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from splitstrument.recognition.timeline import Timeline
from splitstrument.spectrogram import Float

STEP_S = 0.1
AUDIBLE_DBFS = -50.0  # the thesis's limit for silence (section 4.3.3)
SILENT_DBFS = -100.0
NONE_SHARE, ALL_DB, HARDLY_DB = 0.02, -20.0, 1.0
MAX_SDR_DB = 100.0


@dataclass(frozen=True)
class Quality:
    """How good an instrument is expected to be, by its masks (see `Expectation`).

    Attributes
    ----------
    confidence
        0 (as if one mask were right for all bins) to 1 (every bin is clearly the instrument's or clearly not): how much
        of the error of the best constant mask the masks are expected to take away.
    sdr_db
        Expected SDR of the instrument. The SDR of the rest is expected to lie as much above that of the song as it is.
    """

    confidence: float
    sdr_db: float

    def summary(self) -> dict[str, float]:
        """Plain numbers for a sidecar."""
        return {"confidence": round(self.confidence, 4), "expected_sdr_db": round(self.sdr_db, 2)}


@dataclass(frozen=True)
class StemActivity:
    """Level of one stem over time.

    Attributes
    ----------
    dbfs
        RMS level of each step, (n_steps,), not below -100.
    quality
        What to expect of an instrument; None for the rest.
    """

    dbfs: Float = field(repr=False)
    quality: Quality | None = None

    @property
    def audible_share(self) -> float:
        """Share of the song in which the stem is above -50 dBFS."""
        return float(np.mean(self.dbfs > AUDIBLE_DBFS)) if len(self.dbfs) else 0.0

    @property
    def mean_dbfs(self) -> float:
        """Level of the mean power."""
        if not len(self.dbfs):
            return SILENT_DBFS
        return float(10 * np.log10(np.mean(10 ** (self.dbfs.astype(np.float64) / 10))))

    def summary(self) -> dict[str, float]:
        """Plain numbers for a sidecar."""
        numbers = {"dbfs": round(self.mean_dbfs, 2), "audible_share": round(self.audible_share, 4)}
        return numbers if self.quality is None else numbers | self.quality.summary()


@dataclass(frozen=True)
class Activity:
    """Levels over time.

    Attributes
    ----------
    step_s
        Distance of the values in seconds.
    stems
        Stem -> its activity; the instruments, then the rest.
    """

    step_s: float
    stems: dict[str, StemActivity]

    @property
    def confidence(self) -> float:
        """The confidence of the instrument; of several instruments the lowest."""
        return min(stem.quality.confidence for stem in self.stems.values() if stem.quality is not None)

    def summary(self) -> dict[str, dict[str, float]]:
        """Plain numbers for a sidecar, stem by stem."""
        return {name: stem.summary() for name, stem in self.stems.items()}

    def curves(self) -> dict[str, list[float]]:
        """Stem -> level of each step in dBFS, rounded to a tenth of a dB."""
        return {name: np.round(stem.dbfs, 1).tolist() for name, stem in self.stems.items()}


class ActivityMeter:
    """Collects the levels of a stream, one value per `STEP_S` and stem.

    Parameters
    ----------
    stems
        Names of the stems, in the order in which they come; the rest last.
    """

    def __init__(self, sample_rate_hz: int, stems: Sequence[str]) -> None:
        self._step = max(1, round(STEP_S * sample_rate_hz))
        self.step_s = self._step / sample_rate_hz
        self.stems = tuple(stems)
        self._energies = array("f")  # 80 bytes a second for two stems, where a list of tuples would be 1,500
        self._open = np.zeros(len(self.stems))
        self._filled = 0

    def add(self, *stems: Float) -> None:
        """Add (n_samples, n_channels) of each stem."""
        length, n_channels = stems[0].shape
        to_fill = (self._step - self._filled) % self._step
        n_whole = max(0, length - to_fill) // self._step
        middle = to_fill + n_whole * self._step
        self._add_part([stem[:to_fill] for stem in stems])
        if n_whole:
            n_values = self._step * n_channels
            steps = [stem[to_fill:middle].reshape(n_whole, n_values) for stem in stems]
            powers = np.stack([np.einsum("ij,ij->i", step, step) / n_values for step in steps], axis=1)
            self._energies.extend(powers.ravel())
        self._add_part([stem[middle:] for stem in stems])

    def _add_part(self, stems: Sequence[Float]) -> None:
        """Add less than a step, or what fills one."""
        length, n_channels = stems[0].shape
        if not length:
            return
        energies = [float(np.einsum("ij,ij->", stem, stem, dtype=np.float64)) for stem in stems]
        self._open += np.array(energies) / n_channels
        self._filled += length
        if self._filled == self._step:
            self._close()

    def finish(self, qualities: Iterable[Quality]) -> Activity:
        """The curves, with the quality of each instrument; a last step that is not full counts by its own length."""
        if self._filled:
            self._close()
        powers = np.array(self._energies, np.float64).reshape(-1, len(self.stems))
        levels = 10 * np.log10(powers + 10 ** (SILENT_DBFS / 10)).T.astype(np.float32)
        stems = zip(self.stems, levels, [*qualities, None], strict=True)
        return Activity(self.step_s, {name: StemActivity(dbfs, quality) for name, dbfs, quality in stems})

    def _close(self) -> None:
        self._energies.extend(self._open / self._filled)
        self._open, self._filled = np.zeros(len(self.stems)), 0


class Expectation:
    """What the masks lead one to expect of the stems.

    A mask that is right is the instrument's share of the energy of its bin, with phases that nobody knows. Then
    ``mask * mixture`` is the best estimate there is, and its error has on average ``mask * (1 - mask)`` of the bin's
    energy (the Wiener filter's error): none where it is sure, a quarter where it is not. On stems that are known, the
    rank correlation of what is expected with what came out is in docs/models.md.
    """

    def __init__(self, n_stems: int) -> None:
        self._share, self._square, self._energy = np.zeros(n_stems), np.zeros(n_stems), 0.0

    def add(self, powers: Float, masks: Float) -> None:
        """Add a block of powers (see `splitstrument.separation.hearing`) with its masks (n_stems, n_views, ...)."""
        if masks.shape[1] == 1:
            powers = powers.sum(axis=0, keepdims=True)
        flat = masks.reshape(len(masks), -1)
        self._energy += float(powers.sum(dtype=np.float64))
        self._share += flat @ powers.ravel()
        self._square += np.square(flat) @ powers.ravel()

    @property
    def qualities(self) -> list[Quality]:
        """Of each stem; in silence there is nothing to be wrong about."""
        return [self._quality(*sums) for sums in zip(self._share, self._square, strict=True)]

    def _quality(self, instrument: float, square: float) -> Quality:
        """Energies of the instrument and of what its masks keep of that."""
        error, undecided = instrument - square, instrument * (self._energy - instrument)
        if error <= 1e-10 * self._energy:
            return Quality(1.0, MAX_SDR_DB if instrument else 0.0)
        confidence = float(np.clip(1 - error * self._energy / undecided, 0, 1))
        return Quality(confidence, float(10 * np.log10(instrument / error)))


def warnings_of(activity: Activity, names: Sequence[str], timeline: Timeline | None = None) -> list[str]:
    """Plain sentences where the separation has probably failed; empty where nothing looks wrong.

    Parameters
    ----------
    names
        What to call the instruments, in the order of the stems.
    timeline
        What the recogniser heard in the song: whether an instrument is there is its to say, not the masks'.
    """
    if max(stem.dbfs.max(initial=SILENT_DBFS) for stem in activity.stems.values()) <= AUDIBLE_DBFS:
        return ["The song is silent."]
    instruments = list(activity.stems)[:-1]
    found = (
        (timeline and timeline.absent(name)) or _warning_of(activity, stem, name)
        for stem, name in zip(instruments, names, strict=True)
    )
    return [warning for warning in found if warning]


def _warning_of(activity: Activity, stem: str, name: str) -> str | None:
    """Return what looks wrong with one instrument."""
    own = activity.stems[stem]
    others = [10 ** (other.mean_dbfs / 10) for key, other in activity.stems.items() if key != stem]
    if own.audible_share < NONE_SHARE:
        return f"Hardly any {name} was found: perhaps there is none in this song."
    if 10 * np.log10(sum(others)) - own.mean_dbfs < ALL_DB:
        return f"Nearly everything was taken for {name}: the song is {name} alone, or the separation has failed."
    if own.quality is not None and own.quality.sdr_db < HARDLY_DB:
        return (
            f"The model is unsure what in this song is {name}: without it, the rest is expected to be only "
            f"{own.quality.sdr_db:.1f} dB closer to a song without {name} than the song itself."
        )
    return None
