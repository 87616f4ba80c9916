"""A mix as one practises with it: a part of the song, several times over, slower, in another key, after a count-in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from splitstrument.mixing.effects.stretch import Stretch
from splitstrument.settings import Settings

SEAM_S = 0.005  # of a repetition
CLICK_S, CLICK_HZ, FIRST_CLICK_HZ, CLICK_LEVEL, CLICK_DECAY_PER_S = 0.03, 1000.0, 1600.0, 0.4, 150.0

Mix = NDArray[np.float64]


class PracticeSettings(Settings):
    """How a mix is played; the defaults play it once as it is.

    Attributes
    ----------
    start_s, end_s
        The part of the song; None is its end.
    times
        How often the part is played, without a gap.
    speed
        1 is the song's own; the pitch stays.
    semitones
        Transpose; fractions are cents.
    count_in, beat_s
        Clicks before the music, and the time from one to the next as it is heard.
    """

    start_s: float = Field(0.0, ge=0, le=86_400)
    end_s: float | None = Field(None, gt=0, le=86_400)
    times: int = Field(1, ge=1, le=50)
    speed: float = Field(1.0, ge=0.25, le=1.5)
    semitones: float = Field(0.0, ge=-13, le=13)
    count_in: int = Field(0, ge=0, le=16)
    beat_s: float = Field(0.5, ge=0.1, le=8)

    @model_validator(mode="after")
    def _check_part(self) -> PracticeSettings:
        if self.end_s is not None and self.end_s <= self.start_s:
            raise ValueError(f"end_s must be after start_s ({self.start_s:g} s); it is {self.end_s:g} s")
        return self

    @property
    def is_stretched(self) -> bool:
        """Whether speed or key is not the song's own."""
        return self.speed != 1 or self.semitones != 0

    def part_s(self, song_s: float) -> float:
        """Return how long the part is in a song of this length."""
        return min(self.end_s or song_s, song_s) - min(self.start_s, song_s)

    def length_s(self, song_s: float) -> float:
        """Return how long a song of this length becomes."""
        return self.count_in * self.beat_s + self.times * self.part_s(song_s) / self.speed


def practised(
    song: Callable[[], Iterable[Mix]], sample_rate_hz: int, n_channels: int, settings: PracticeSettings
) -> Iterator[Mix]:
    """Play a mix as the settings say, block by block.

    Parameters
    ----------
    song
        Gives the blocks of the mix, (n_samples, n_channels), from its start each time that it is called.
    """
    if settings.count_in:
        yield count_in(settings.count_in, settings.beat_s, sample_rate_hz, n_channels)
    part = repeated(song, sample_rate_hz, settings)
    if not settings.is_stretched:
        yield from part
        return
    stretch = Stretch(sample_rate_hz, n_channels, settings.speed, settings.semitones)
    for block in part:
        yield stretch.process(block.astype(np.float32)).astype(np.float64)
    yield stretch.finish().astype(np.float64)


def repeated(song: Callable[[], Iterable[Mix]], sample_rate_hz: int, settings: PracticeSettings) -> Iterator[Mix]:
    """Play the part of a mix as often as the settings say; each time takes exactly as long."""
    first = round(settings.start_s * sample_rate_hz)
    end = None if settings.end_s is None else round(settings.end_s * sample_rate_hz)
    seam = round(SEAM_S * sample_rate_hz)
    for number in range(settings.times):
        held = np.zeros((0, 1))  # the last samples, which fade into what lies before the part
        before = np.zeros((0, 1))
        for position, block in _positions(song()):
            if end is not None and position >= end:
                break
            before = _append(before, block[: max(0, first - position)], seam)
            inside = block[max(0, first - position) : None if end is None else max(0, end - position)]
            if len(inside):
                held = inside if not len(held) else np.concatenate([held, inside])
                yield held[: max(0, len(held) - seam)]
                held = held[max(0, len(held) - seam) :]
        yield held if number == settings.times - 1 else _joined(held, before)


def _positions(blocks: Iterable[Mix]) -> Iterator[tuple[int, Mix]]:
    position = 0
    for block in blocks:
        yield position, block
        position += len(block)


def _append(kept: Mix, block: Mix, n_samples: int) -> Mix:
    return (np.concatenate([kept, block]) if len(kept) else block)[-n_samples:] if len(block) else kept


def _joined(end: Mix, before: Mix) -> Mix:
    """The end of a part, faded into what lies before its start."""
    if not len(end):
        return end
    lead = np.zeros_like(end)
    lead[len(end) - min(len(end), len(before)) :] = before[-len(end) :] if len(before) else 0
    share = ((np.arange(len(end)) + 0.5) / len(end))[:, None]
    return end * (1 - share) + lead * share


def count_in(n_clicks: int, beat_s: float, sample_rate_hz: int, n_channels: int) -> Mix:
    """Clicks on every beat, the first one higher."""
    step = round(beat_s * sample_rate_hz)
    time_s = np.arange(min(step, round(CLICK_S * sample_rate_hz))) / sample_rate_hz
    audio = np.zeros((n_clicks * step, n_channels))
    for click in range(n_clicks):
        pitch_hz = CLICK_HZ if click else FIRST_CLICK_HZ
        tone = CLICK_LEVEL * np.exp(-CLICK_DECAY_PER_S * time_s) * np.sin(2 * np.pi * pitch_hz * time_s)
        audio[click * step :][: len(tone)] += tone[:, None]
    return audio
