"""A compressor: what is louder than a threshold is turned down, by a ratio, in its time.

Feed-forward, in decibels, with a smoothed detector that is the same for all channels, so that the stereo image stays
(Giannoulis, Massberg and Reiss, "Digital dynamic range compressor design", JAES 2012: section 2, smooth branching).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from splitstrument.audio import Audio
from splitstrument.mixing.effects.chain import Delayed

STEP = 32  # samples that share a detector value; between values the gain goes straight
FLOOR_DB = -120.0


class Compressor:
    """Turns down what is above `threshold_dbfs`.

    Parameters
    ----------
    threshold_dbfs
        Peak level from which on it works.
    ratio
        So many decibels more at the input are one more at the output; 1 does nothing.
    attack_s, release_s
        Time constants of gain going down and up: after one of them, 63 % of the way in decibels.
    knee_db
        Width of the bend around the threshold; 0 is a corner.
    look_ahead_s
        How much earlier than the sound the gain may start to move.
    make_up_db
        Added to everything.

    Raises
    ------
    ValueError
        For a ratio below 1 or a time that is negative.
    """

    def __init__(
        self,
        sample_rate_hz: int,
        n_channels: int,
        threshold_dbfs: float = -20.0,
        ratio: float = 4.0,
        attack_s: float = 0.03,
        release_s: float = 0.15,
        knee_db: float = 0.0,
        look_ahead_s: float = 0.0,
        make_up_db: float = 0.0,
    ) -> None:
        if ratio < 1 or min(attack_s, release_s, knee_db, look_ahead_s) < 0:
            raise ValueError(
                "a compressor has a ratio of at least 1 and no negative times. Received: ratio "
                f"{ratio}, attack {attack_s} s, release {release_s} s, knee {knee_db} dB, look-ahead {look_ahead_s} s"
            )
        self.threshold_dbfs, self.ratio, self.knee_db, self.make_up_db = threshold_dbfs, ratio, knee_db, make_up_db
        self._attack, self._release = (_coefficient(time_s, sample_rate_hz) for time_s in (attack_s, release_s))
        look_ahead = STEP * math.ceil(look_ahead_s * sample_rate_hz / STEP)
        self._delayed = Delayed(look_ahead + STEP, n_channels)  # a step of its own, to go straight to the next value
        self._undetected = np.zeros((0, n_channels), np.float32)
        self._gains_db = np.zeros(1)  # at the beginning of each step that has not been given out
        self._look_ahead_steps = look_ahead // STEP
        self._reduction_db, self._n_detected = 0.0, 0
        self._offset = 0  # samples of the first step that have been given out

    def static_db(self, level_dbfs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Gain in dB, at most 0, that a steady level gets."""
        over = level_dbfs - self.threshold_dbfs
        slope = 1 / self.ratio - 1
        bent = slope * np.square(np.clip(over + self.knee_db / 2, 0, self.knee_db)) / (2 * self.knee_db or 1)
        return np.where(over >= self.knee_db / 2, slope * over, bent)

    def process(self, block: Audio) -> Audio:
        """See `splitstrument.mixing.effects`."""
        self._detect(block)
        return self._shaped(self._delayed.push(block))

    def finish(self) -> Audio:
        """See `splitstrument.mixing.effects`."""
        rest = self._delayed.flush()
        missing = (2 + self._look_ahead_steps) * STEP + len(rest)
        self._detect(np.zeros((missing, rest.shape[1]), np.float32))
        return self._shaped(rest)

    def _detect(self, block: Audio) -> None:
        """Append a smoothed gain for every whole step."""
        waiting = np.concatenate([self._undetected, block])
        n_steps = len(waiting) // STEP
        self._undetected = waiting[n_steps * STEP :]
        peaks = np.abs(waiting[: n_steps * STEP]).reshape(n_steps, STEP * waiting.shape[1]).max(axis=1, initial=0.0)
        levels = np.maximum(20 * np.log10(np.maximum(peaks, 1e-12)), FLOOR_DB)
        gains = []
        for wanted in self.static_db(levels).tolist():
            coefficient = self._attack if wanted < self._reduction_db else self._release
            self._reduction_db = coefficient * self._reduction_db + (1 - coefficient) * wanted
            gains.append(self._reduction_db)
        begin = max(0, self._look_ahead_steps - self._n_detected)  # the first values belong to before the signal
        self._n_detected += n_steps
        self._gains_db = np.append(self._gains_db, gains[begin:])

    def _shaped(self, ready: Audio) -> Audio:
        """Multiply samples by their gains, which go straight from step to step."""
        at = (self._offset + np.arange(len(ready))) / STEP
        gains_db = np.interp(at, np.arange(len(self._gains_db)), self._gains_db) + self.make_up_db
        self._offset += len(ready)
        used = self._offset // STEP
        self._gains_db, self._offset = self._gains_db[used:], self._offset - used * STEP
        return ready * (10 ** (gains_db / 20)).astype(np.float32)[:, None]


def _coefficient(time_s: float, sample_rate_hz: int) -> float:
    """Factor by which the distance to the goal shrinks in a step."""
    return math.exp(-STEP / (time_s * sample_rate_hz)) if time_s else 0.0
