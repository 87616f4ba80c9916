"""Settings of a remix: what is done to each stem, and to the whole."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from splitstrument.mixing.practice import PracticeSettings
from splitstrument.mixing.words import Word
from splitstrument.settings import Settings


class WordStep(Settings):
    """An equalizer by a word of `splitstrument.mixing.words`."""

    word: str
    amount: float = 1.0


class BandStep(Settings):
    """A peak of a parametric equalizer."""

    hertz: float = Field(gt=0, le=20_000)
    gain_db: float = Field(ge=-30, le=30)
    quality: float = Field(1.0, gt=0, le=30)


class CurveStep(Settings):
    """A curve by its points, in Hz and dB: one that a user saved, or that people were measured to set.

    Attributes
    ----------
    name
        Where it is from, for the record.
    """

    name: str = Field(max_length=100)
    points: tuple[tuple[float, float], ...] = Field(min_length=1, max_length=200)
    amount: float = 1.0

    @classmethod
    def of(cls, word: Word, amount: float = 1.0) -> CurveStep:
        """The curve of a word that is not in the table."""
        return cls(name=word.name, points=tuple(zip(word.hertz, word.gains_db, strict=True)), amount=amount)


class StemMix(Settings):
    """Changes to one stem; the defaults leave it alone.

    Attributes
    ----------
    pan
        -1 left to 1 right; turns down the other side.
    mute
        Leave it out.
    solo
        Leave out every stem that is not solo.
    quiet
        From and to, in seconds of the song, where the stem is silent.
    """

    gain_db: float = Field(0.0, ge=-120, le=30)
    pan: float = Field(0.0, ge=-1, le=1)
    mute: bool = False
    solo: bool = False
    quiet: tuple[tuple[float, float], ...] = Field((), max_length=100)
    equalizer: tuple[WordStep | BandStep | CurveStep, ...] = ()


class RemixSettings(Settings):
    """A remix.

    Attributes
    ----------
    stems
        By the name of the stem; those that are not named stay as they are.
    loudness
        ``same`` as the song (integrated), ``off``: as it comes, or LUFS.
    ceiling_dbtp
        Highest true peak, unless the song's own is higher.
    practice
        Part, repetitions, speed, key and count-in of what is written; None writes the song once as it is.
    """

    stems: dict[str, StemMix] = Field(default_factory=dict)
    loudness: Literal["same", "off"] | Annotated[float, Field(ge=-70, le=0)] = "same"
    ceiling_dbtp: float = Field(-1.0, ge=-20, le=0)
    practice: PracticeSettings | None = None

    @property
    def is_neutral(self) -> bool:
        """Whether the song is to come back as it is."""
        unchanged = all(mix == StemMix() for mix in self.stems.values())
        return self.loudness in ("same", "off") and self.practice is None and unchanged

    def of(self, name: str) -> StemMix:
        """Changes to one stem, muted where others are solo and it is not."""
        mix = self.stems.get(name, StemMix())
        soloed = any(other.solo for other in self.stems.values())
        return mix.model_copy(update={"mute": True}) if soloed and not mix.solo else mix
