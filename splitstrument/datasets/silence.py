"""Silences of the instrument, and which of them to cut until enough of the track is audible.

Section 4.3.3 of the thesis without its defects. Levels are RMS of short blocks (the loudest channel counts); a
*silence* is a run of blocks under the threshold that lasts at least `SilenceSettings.min_silence_s`; the *audible
share* is the share of blocks at or over the threshold, so that gaps too short to be cut count as silent too. Cuts are
whole silences, longest first, or (a setting, as the thesis's code did) the opening and the ending before the others; as
many as needed and no more.

A cut leaves a cross-fade of `fade_blocks` inside the silence, so that the rest does not click; audible samples stay
as they are. The fades' weights add up to one: no peak grows, and instrument + rest is the cross-faded mixture.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from splitstrument.audio import Audio
from splitstrument.settings import Settings

Ranges = NDArray[np.int64]  # (n, 2): start and end of each, in samples or blocks


class SilenceSettings(Settings):
    """How silences are found and cut.

    Attributes
    ----------
    threshold_dbfs
        A block is silent below this RMS level.
    min_silence_s
        Shorter gaps are never cut.
    block_s
        Length of the blocks whose level is taken.
    below_audible
        Only tracks with a smaller audible share are cut.
    to
        Audible share to reach.
    discard_below
        Drop tracks whose audible share is smaller than this after the cuts; None drops none.
    order
        ``longest`` first, or ``ends_first``: the opening, then the ending, then the longest.
    last
        The last cut takes the ``whole`` silence, or is ``shortened`` to what the target needs.
    fade_blocks
        Length of the cross-fade at each join, in blocks.
    """

    threshold_dbfs: float = Field(-50.0, lt=0)
    min_silence_s: float = Field(1.0, gt=0, le=86_400)
    block_s: float = Field(0.01, gt=0, le=1)
    below_audible: float = Field(0.7, ge=0, le=1)
    to: float = Field(0.7, gt=0, le=1)
    discard_below: float | None = Field(None, ge=0, le=1)
    order: Literal["longest", "ends_first"] = "longest"
    last: Literal["whole", "shortened"] = "whole"
    fade_blocks: int = Field(2, ge=0, le=100)

    @model_validator(mode="after")
    def _silence_holds_fade(self) -> SilenceSettings:
        if self.min_silence_s <= self.fade_blocks * self.block_s:
            raise ValueError("min_silence_s must be longer than the cross-fade, fade_blocks * block_s")
        return self

    def block_samples(self, sample_rate_hz: int) -> int:
        """Samples in one block."""
        return max(1, round(self.block_s * sample_rate_hz))

    def min_blocks(self) -> int:
        """Blocks in the shortest silence."""
        return max(self.fade_blocks + 1, round(self.min_silence_s / self.block_s))


@dataclass(frozen=True)
class CutPlan:
    """Samples to cut.

    Attributes
    ----------
    cuts
        (n, 2) start and end in samples, in order; `fade` samples of each survive in its cross-fade.
    """

    n_samples: int
    cuts: Ranges
    fade: int
    share_before: float
    share_after: float

    @property
    def n_removed(self) -> int:
        """Samples by which the track gets shorter."""
        return int((self.cuts[:, 1] - self.cuts[:, 0] - self.fade).sum())


def silent_blocks(audio_blocks: Iterable[Audio], size: int, threshold_dbfs: float) -> NDArray[np.bool_]:
    """Tell for each `size` samples whether their RMS is below the threshold; the last block may be shorter.

    Parameters
    ----------
    audio_blocks
        Blocks of (n_samples, n_channels) whose lengths, but for the last, are multiples of `size`.
    """
    power = 10 ** (threshold_dbfs / 10)
    return np.concatenate([_power(block, size) < power for block in audio_blocks] or [np.zeros(0, bool)])


def _power(block: Audio, size: int) -> NDArray[np.float64]:
    """Mean square of each `size` samples, in the loudest channel."""
    whole = len(block) - len(block) % size
    squares = np.square(block, dtype=np.float64)
    power = squares[:whole].reshape(-1, size, block.shape[1]).mean(axis=1).max(axis=1)
    if whole == len(block):
        return power
    return np.append(power, squares[whole:].mean(axis=0).max())


def find_silences(silent: NDArray[np.bool_], min_blocks: int) -> Ranges:
    """Runs of at least `min_blocks` silent blocks: (n, 2) start and end in blocks."""
    padded = np.zeros(len(silent) + 2, np.int8)
    padded[1:-1] = silent
    edges = np.flatnonzero(np.diff(padded))
    runs = edges.reshape(-1, 2)
    return runs[runs[:, 1] - runs[:, 0] >= min_blocks]


def plan_cuts(silent: NDArray[np.bool_], n_samples: int, sample_rate_hz: int, settings: SilenceSettings) -> CutPlan:
    """Choose the cuts of a track by the silent blocks of its instrument.

    A track that is silent throughout is left whole: there is nothing to reach a target with.
    """
    size, fade = settings.block_samples(sample_rate_hz), settings.fade_blocks
    n_silent = count_silent(silent, size, n_samples)
    before = _share(n_silent, n_samples)
    cuts = np.zeros((0, 2), np.int64)
    if 0 < before < settings.below_audible:
        silences = np.minimum(find_silences(silent, settings.min_blocks()) * size, n_samples)
        cuts = _choose(silences, n_silent, n_samples, fade * size, size, settings)
    removed = int((_lengths(cuts) - fade * size).sum())
    return CutPlan(n_samples, cuts, fade * size, before, _share(n_silent - removed, n_samples - removed))


def count_silent(silent: NDArray[np.bool_], size: int, n_samples: int) -> int:
    """Samples in silent blocks, of which the last may be shorter than `size`."""
    shorter = len(silent) * size - n_samples if len(silent) and silent[-1] else 0
    return int(silent.sum()) * size - shorter


def _share(n_silent: int, n_samples: int) -> float:
    """Audible share; 0 for a track without samples."""
    return 1 - n_silent / n_samples if n_samples else 0.0


def _choose(silences: Ranges, n_silent: int, n_samples: int, fade: int, size: int, settings: SilenceSettings) -> Ranges:
    """Take silences in order until the share is reached; see `SilenceSettings`."""
    chosen: list[Ranges] = []
    length = n_samples
    for silence in _ordered(silences, n_samples, settings.order):
        if _share(n_silent, length) >= settings.to:
            break
        cut = silence
        if settings.last == "shortened":
            cut = _shortened(silence, n_samples, _needed(n_silent, length, settings.to, size) + fade)
        chosen.append(cut)
        removed = int(cut[1] - cut[0]) - fade
        n_silent, length = n_silent - removed, length - removed
    return np.array(sorted(map(tuple, chosen)), np.int64).reshape(-1, 2)


def _ordered(silences: Ranges, n_samples: int, order: str) -> Ranges:
    """Longest first, earlier ones first among equals; with ``ends_first`` after the opening and the ending."""
    opening = (silences[:, 0] == 0) & (order == "ends_first")
    ending = (silences[:, 1] == n_samples) & (order == "ends_first")
    return silences[np.lexsort((silences[:, 0], -_lengths(silences), ~ending, ~opening))]


def _needed(silent: int, length: int, share: float, size: int) -> int:
    """Whole blocks to remove from `silent` of `length` samples so that ``1 - silent / length`` reaches `share`."""
    samples = (silent - (1 - share) * length) / share
    return int(np.ceil(samples / size - 1e-9)) * size


def _shortened(silence: NDArray[np.int64], n_samples: int, wanted: int) -> NDArray[np.int64]:
    """A cut of `wanted` samples in the outer part of a silence at an end of the track, else in its middle."""
    start, end = int(silence[0]), int(silence[1])
    if wanted >= end - start:
        return silence
    if start == 0:
        return np.array([0, wanted])
    if end == n_samples:
        return np.array([end - wanted, end])
    start += (end - start - wanted) // 2
    return np.array([start, start + wanted])


def _lengths(ranges: Ranges) -> NDArray[np.int64]:
    return ranges[:, 1] - ranges[:, 0]
