"""Songs mixed anew from stems: whose take of each stem, where it stands, and what is done to the whole.

Settings and draws only: everything that is random about one segment is drawn here from a generator of that segment
alone, and `splitstrument.training.data.stem_source` plays it. Places are matrices on (mid, side).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from splitstrument.settings import Settings
from splitstrument.training.augment import Probability

Matrix = NDArray[np.float32]

DOUBLED = "guitar"  # the instrument that bands record twice, one take to each side
APART = (0.6, 1.0)  # how far to the sides
WIDTHS = (0.0, 1.6)
MIX_WIDTHS = (0.3, 1.5)
AS_IT_IS = np.eye(2, dtype=np.float32)
EXCHANGE = np.array([[0, 1], [1, 0]], np.float32)  # mid and side, where one channel is inverted
SWAP = np.diag([1, -1]).astype(np.float32)
MONO = np.diag([1, 0]).astype(np.float32)


class MixingSettings(Settings):
    """How segments are mixed from stems; the defaults take songs as they are.

    Attributes
    ----------
    remix
        Share of the segments whose stems come from several songs.
    double
        Share of the segments with two takes of the guitar, hard left and right.
    gain_db
        Least and most that each stem's level changes.
    place
        Share of the stems that get another pan or width.
    width, mono, swap, inverted
        Shares of the mixtures that become wider or narrower, mono, swapped, or have one channel inverted.
    polarity
        Share of the stems that are inverted.
    speed
        Play faster or slower by up to this share, pitch included; what belongs together stays so.
    absent, solo
        Share of the stems that are left out, and of the segments with one stem alone.
    drive, room, comb, formant, envelope
        Shares of the stems that go through an overdrive, a small room, a comb filter, a shift of their resonances by up
        to a third, or a change of attack and decay.
    equalizer_db
        Boost or cut each stem by up to so many dB, smoothly over frequency.
    low_pass
        Share of the mixtures without anything above a frequency between 3.5 and 10 kHz.
    """

    remix: float = Probability
    double: float = Probability
    gain_db: tuple[float, float] = (0.0, 0.0)
    place: float = Probability
    width: float = Probability
    mono: float = Probability
    swap: float = Probability
    inverted: float = Probability
    polarity: float = Probability
    speed: float = Field(0.0, ge=0, le=0.5)
    absent: float = Probability
    solo: float = Probability
    drive: float = Probability
    room: float = Probability
    comb: float = Probability
    formant: float = Probability
    envelope: float = Probability
    equalizer_db: float = Field(0.0, ge=0, le=40)
    low_pass: float = Probability


@dataclass(frozen=True)
class Take:
    """A stretch of one stem.

    Attributes
    ----------
    track
        Index of the song.
    start
        Share of the song, from 0 to 1, that lies before it.
    place
        Matrix on (mid, side), level and polarity included.
    """

    stem: str
    track: int
    start: float
    speed: float
    place: Matrix


@dataclass(frozen=True)
class Mix:
    """One segment: its takes, the place of the whole, and the stems that a loss may look at."""

    takes: tuple[Take, ...]
    place: Matrix
    known: frozenset[str]


class Mixer:
    """Draws mixes of some songs.

    Parameters
    ----------
    contents
        Stems that each song has, and stems that are known of it.
    probabilities
        Chance of each song.
    """

    def __init__(
        self,
        settings: MixingSettings,
        contents: Sequence[tuple[frozenset[str], frozenset[str]]],
        probabilities: NDArray[np.float64],
    ) -> None:
        self.settings, self.contents, self.probabilities = settings, contents, probabilities
        self.chances = {stem: self._chances(stem) for stem in sorted(frozenset.union(*(has for has, _ in contents)))}

    def _chances(self, stem: str) -> NDArray[np.float64] | None:
        """Chance of each song to lend a stem: it must hold all of it."""
        lends = np.array([stem in has & known for has, known in self.contents])
        return self.probabilities * lends / np.sum(self.probabilities * lends) if lends.any() else None

    def draw(self, rng: np.random.Generator) -> Mix:
        """Draw who plays, then where they stand."""
        settings = self.settings
        sources, known = self._remixed(rng) if rng.random() < settings.remix else self._one_song(rng)
        left_out = rng.random(len(sources)) < settings.absent
        if rng.random() < settings.solo:
            left_out = np.arange(len(sources)) != rng.integers(len(sources))
        takes: list[Take] = []
        for (stem, (track, start, speed)), absent in zip(sources.items(), left_out, strict=True):
            takes += [] if absent else self._placed(stem, track, start, speed, rng)
        return Mix(tuple(takes), self._whole(rng), known)

    def _one_song(self, rng: np.random.Generator) -> tuple[dict[str, tuple[int, float, float]], frozenset[str]]:
        """All stems of one song, together."""
        track = int(rng.choice(len(self.contents), p=self.probabilities))
        together = (track, rng.random(), self._speed(rng))
        has, known = self.contents[track]
        return dict.fromkeys(sorted(has), together), known

    def _remixed(self, rng: np.random.Generator) -> tuple[dict[str, tuple[int, float, float]], frozenset[str]]:
        """Stems of several songs; about half of them stay with the song that lends its ``other``.

        What is not known of that song may be anywhere in it, so nobody else plays it.
        """
        sources, known = self._one_song(rng)
        for stem, chances in self.chances.items():
            if stem == "other" or stem not in known or chances is None or (stem in sources and rng.random() < 0.5):
                continue
            if stem in sources or rng.random() < 0.7:
                sources[stem] = (int(rng.choice(len(chances), p=chances)), rng.random(), self._speed(rng))
        return sources, known

    def _speed(self, rng: np.random.Generator) -> float:
        return float(rng.uniform(1 - self.settings.speed, 1 + self.settings.speed))

    def _placed(self, stem: str, track: int, start: float, speed: float, rng: np.random.Generator) -> list[Take]:
        """A take where it stands; or two of them, apart."""
        level = _gain(rng.uniform(*self.settings.gain_db)) * (-1 if rng.random() < self.settings.polarity else 1)
        if stem == DOUBLED and rng.random() < self.settings.double:
            apart = rng.uniform(*APART)
            second = (start + rng.uniform(0.1, 0.9)) % 1.0
            return [
                Take(stem, track, where, speed, (level * panned(side * apart) @ MONO).astype(np.float32))
                for where, side in ((start, -1), (second, 1))
            ]
        place = self._place(rng) if rng.random() < self.settings.place else AS_IT_IS
        return [Take(stem, track, start, speed, (level * place).astype(np.float32))]

    def _place(self, rng: np.random.Generator) -> Matrix:
        """Narrower or wider, then to a side; most often near the middle."""
        width = rng.uniform(*WIDTHS) if rng.random() < 0.7 else 0.0
        return panned(float(np.clip(rng.normal(0, 0.5), -1, 1))) @ np.diag([1, width]).astype(np.float32)

    def _whole(self, rng: np.random.Generator) -> Matrix:
        """Apply the effects of the whole mixture."""
        settings, draws = self.settings, rng.random(4)
        place = AS_IT_IS
        if draws[0] < settings.width:
            place = np.diag([1, rng.uniform(*MIX_WIDTHS)]).astype(np.float32)
        for draw, share, matrix in zip(
            draws[1:], (settings.mono, settings.swap, settings.inverted), (MONO, SWAP, EXCHANGE), strict=True
        ):
            place = matrix @ place if draw < share else place
        return place


def _gain(decibels: float) -> float:
    return float(10 ** (decibels / 20))


def panned(position: float) -> Matrix:
    """Matrix on (mid, side) that moves a sound to the left (-1) or right (1) by levels, at equal power."""
    angle = (position + 1) * np.pi / 4
    left, right = np.sqrt(2) * np.cos(angle), np.sqrt(2) * np.sin(angle)
    both, apart = (left + right) / 2, (left - right) / 2
    return np.array([[both, apart], [apart, both]], np.float32)
