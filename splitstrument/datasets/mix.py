"""Organised stems to instrument/rest pairs: equal proportion, any rates, one gain on both, flat memory.

The instrument is the sum of all stems of the target class (and of classes merged into it), the rest the sum of all
others; ``mix`` and ``excluded`` go nowhere. Stems are decoded block by block; both sides travel as channels of one
stream through one resampler per rate, so that they stay aligned to the sample. Where the pair's mixture, instrument or
rest would pass `MixSettings.peak_dbfs`, one gain is applied to both, the same at all rates.
"""

from __future__ import annotations

import contextlib
import glob
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import tee, zip_longest
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, field_validator

from splitstrument import audio
from splitstrument.audio import Audio, AudioInfo, AudioWriter, is_audio_name
from splitstrument.datasets.classes import NOT_MUSIC
from splitstrument.datasets.index import check_stems, stems_of
from splitstrument.datasets.marks import CHECKED, DEFECTS, is_usable, read_marks
from splitstrument.errors import DatasetError
from splitstrument.settings import Settings
from splitstrument.streams import reblock, to_channels

BLOCK = 1 << 14  # `tee` keeps up to 57 of them

Rate = Annotated[int, Field(ge=1000, le=768_000)]


class MixOptions(Settings):
    """How pairs are made, whatever the target.

    Attributes
    ----------
    also
        Classes merged into the target.
    channels
        ``mono``, ``stereo``, or ``keep``: as many as the track's widest stem.
    require_checked
        Take only tracks that a person marked as ``checked``; defects exclude a track in any case.
    length
        Stems of different length: ``pad`` the shorter ones with silence, or ``cut`` all to the shortest.
    max_difference_s
        Refuse a track whose stems differ by more than this; None takes any.
    empty_rest
        A track whose every stem is the target: ``skip`` it, or make the rest ``silence`` (solo recordings).
    peak_dbfs
        Highest peak that mixture, instrument and rest may have.
    """

    also: tuple[str, ...] = ()
    sample_rates_hz: tuple[Rate, ...] = Field((44100, 22050), min_length=1)
    channels: Literal["mono", "stereo", "keep"] = "stereo"
    format: Literal["flac", "wav"] = "flac"
    subtype: Literal["PCM_16", "PCM_24", "FLOAT"] = "PCM_24"
    require_checked: bool = True
    length: Literal["pad", "cut"] = "pad"
    max_difference_s: float | None = Field(None, ge=0)
    empty_rest: Literal["skip", "silence"] = "skip"
    peak_dbfs: float = Field(-1.0, ge=-60, le=0)

    @field_validator("sample_rates_hz")
    @classmethod
    def _each_rate_once(cls, rates_hz: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(dict.fromkeys(rates_hz))


class MixSettings(MixOptions):
    """How pairs of one target (the class to extract) are made."""

    target: str


@dataclass(frozen=True)
class MixReport:
    """Outcome of one track.

    Attributes
    ----------
    skipped
        Why there is no pair; empty if there is one.
    gain_db
        The gain applied to both files, 0 where nothing would have clipped.
    length_difference_s
        Between the longest and the shortest stem.
    """

    track: str
    skipped: str = ""
    files: tuple[Path, ...] = ()
    gain_db: float = 0.0
    duration_s: float = 0.0
    length_difference_s: float = 0.0
    instrument_stems: tuple[str, ...] = ()
    rest_stems: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Plan:
    """Stems of instrument and rest, with their common rate and length."""

    instrument: list[AudioInfo]
    rest: list[AudioInfo]
    n_channels: int
    sample_rate_hz: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sample_rate_hz", max(stem.sample_rate_hz for stem in self.stems))

    @property
    def stems(self) -> list[AudioInfo]:
        return self.instrument + self.rest

    def lengths(self) -> list[int]:
        """Length of each stem at the common rate, in samples."""
        return [audio.resampled_length(stem.n_samples, stem.sample_rate_hz, self.sample_rate_hz) for stem in self.stems]


class _TooLoudError(Exception):
    """Resampling raised a peak above full scale: start again with less gain."""

    def __init__(self, peak: float) -> None:
        super().__init__(peak)
        self.peak = peak


def mix_track(track_folder: str | Path, output: str | Path, settings: MixSettings) -> MixReport:
    """Write ``tracks_<rate>hz/<track>/{instrument,rest}_<track>`` for every rate, or say why not.

    A pair that an earlier run made of a track that is now skipped is removed at these rates.

    Raises
    ------
    AudioFileError, DatasetError
        If a stem cannot be read or the stems do not fit together.
    """
    track_folder, output = Path(track_folder), Path(output)
    check_stems(track_folder)
    if reason := unusable(track_folder, settings):
        for rate in settings.sample_rates_hz:
            _remove_pair(output, rate, track_folder.name)
        return MixReport(track_folder.name, skipped=reason)
    plan = _plan(track_folder, settings)
    n_samples = _common_length(track_folder.name, plan, settings)
    gain = min(1.0, 10 ** (settings.peak_dbfs / 20) / max(_peak(plan, n_samples), 1e-12))
    while True:
        try:
            files = _write(plan, n_samples, gain, output, track_folder.name, settings)
            break
        except _TooLoudError as loud:
            gain *= 0.99 / loud.peak
    lengths = plan.lengths()
    return MixReport(
        track_folder.name,
        files=tuple(files),
        gain_db=float(20 * np.log10(gain)),
        duration_s=n_samples / plan.sample_rate_hz,
        length_difference_s=(max(lengths) - min(lengths)) / plan.sample_rate_hz,
        instrument_stems=_relative(plan.instrument, track_folder),
        rest_stems=_relative(plan.rest, track_folder),
    )


def unusable(track_folder: Path, settings: MixSettings) -> str:
    """Return why a track gives no pair (no target, no rest, its marks); empty if it does."""
    stems = stems_of(track_folder)
    targets = (settings.target, *settings.also)
    if not any(name in stems for name in targets):
        return f"no {settings.target}"
    for name in targets:
        marks = read_marks(track_folder, name)
        if name in stems and not is_usable(marks, settings.require_checked):
            defects = [mark for mark in DEFECTS if mark in marks]
            return f"marked {', '.join(defects)}" if defects else f"{name} is not marked {CHECKED}"
    if settings.empty_rest == "skip" and not set(stems).difference(targets, NOT_MUSIC):
        return f"nothing but {settings.target}"
    return ""


def _plan(track_folder: Path, settings: MixSettings) -> _Plan:
    sides: tuple[list[AudioInfo], list[AudioInfo]] = ([], [])
    for name, paths in stems_of(track_folder).items():
        if name not in NOT_MUSIC:
            sides[name not in (settings.target, *settings.also)].extend(audio.probe(path) for path in paths)
    widest = max(stem.n_channels for side in sides for stem in side)
    return _Plan(*sides, {"mono": 1, "stereo": 2, "keep": widest}[settings.channels])


def _common_length(track: str, plan: _Plan, settings: MixSettings) -> int:
    lengths = plan.lengths()
    difference_s = (max(lengths) - min(lengths)) / plan.sample_rate_hz
    if settings.max_difference_s is not None and difference_s > settings.max_difference_s:
        raise DatasetError(
            f"{track}: the stems differ by {difference_s:.2f} s in length, more than {settings.max_difference_s:g} s: "
            "check that they belong together, or raise max_difference_s."
        )
    n_samples = max(lengths) if settings.length == "pad" else min(lengths)
    if n_samples == 0:
        raise DatasetError(f"{track}: a stem holds no samples: get the track again or set length to pad.")
    return n_samples


def _peak(plan: _Plan, n_samples: int) -> float:
    """Highest absolute value of instrument, rest and their sum."""
    peak = 0.0
    for block in _both_sides(plan, n_samples):
        instrument, rest = np.split(block, 2, axis=1)
        peak = max(peak, _magnitude(block), _magnitude(instrument + rest))
    return peak


def _write(plan: _Plan, n_samples: int, gain: float, output: Path, track: str, settings: MixSettings) -> list[Path]:
    """Decode once, write every rate; all files appear together, each rest before its instrument."""
    files: list[Path] = []
    with contextlib.ExitStack() as stack:
        streams, writers = [], []
        copies = tee(_both_sides(plan, n_samples), len(settings.sample_rates_hz))
        for rate, blocks in zip(settings.sample_rates_hz, copies, strict=True):
            paths = pair_paths(output, rate, track, settings.format)
            clear_pair(paths[0].parent)
            length = audio.resampled_length(n_samples, plan.sample_rate_hz, rate)
            pair = [AudioWriter(path, rate, plan.n_channels, settings.subtype, length) for path in paths]
            writers.append([stack.enter_context(writer) for writer in pair])
            streams.append(audio.resample_blocks(blocks, 2 * plan.n_channels, plan.sample_rate_hz, rate))
            files.extend(paths)
        # in step, so that `tee` never holds more than a block or two
        for row in zip_longest(*streams):
            for block, pair in zip(row, writers, strict=True):
                _write_block(block, gain, pair)
    return files


def _write_block(block: Audio | None, gain: float, pair: list[AudioWriter]) -> None:
    if block is None:
        return
    scaled = block * np.float32(gain)
    instrument, rest = np.split(scaled, 2, axis=1)
    peak = max(_magnitude(scaled), _magnitude(instrument + rest))
    if peak > 1:
        raise _TooLoudError(peak)
    for writer, side in zip(pair, (instrument, rest), strict=True):
        writer.write(side)


def pair_paths(output: Path, rate_hz: int, track: str, suffix: str) -> tuple[Path, Path]:
    """Paths of a pair's instrument and rest."""
    folder = output / f"tracks_{rate_hz}hz" / track
    return folder / f"instrument_{track}.{suffix}", folder / f"rest_{track}.{suffix}"


def clear_pair(folder: Path) -> None:
    """Remove an old pair, instrument first, so that half a pair is never seen as one."""
    for pattern in ("instrument_*", "rest_*", ".*.part.*"):
        for path in folder.glob(pattern):
            path.unlink()


def _remove_pair(output: Path, rate_hz: int, track: str) -> None:
    """Remove the pair of one track, whatever its format, and its folder unless something else lies there."""
    folder = pair_paths(output, rate_hz, track, "")[0].parent
    for side in ("instrument", "rest"):  # in this order, so that half a pair is never seen as one
        for path in folder.glob(f"{side}_{glob.escape(track)}.*"):
            if path.stem == f"{side}_{track}" and is_audio_name(path):
                path.unlink()
    with contextlib.suppress(OSError):
        folder.rmdir()


def _both_sides(plan: _Plan, n_samples: int) -> Iterator[Audio]:
    """Blocks of (n, 2 * n_channels): instrument channels, then rest channels, at the common rate."""
    stems = [
        (_stem_blocks(stem, plan), column) for column, side in enumerate((plan.instrument, plan.rest)) for stem in side
    ]
    for start in range(0, n_samples, BLOCK):
        size = min(BLOCK, n_samples - start)
        block = np.zeros((size, 2 * plan.n_channels), np.float32)
        for blocks, column in stems:
            part = next(blocks, None)
            if part is not None:
                part = part[:size]
                block[: len(part), column * plan.n_channels : (column + 1) * plan.n_channels] += part
        yield block


def _stem_blocks(stem: AudioInfo, plan: _Plan) -> Iterator[Audio]:
    """One stem at the plan's rate and channels, in blocks of exactly `BLOCK` samples but the last."""
    blocks = (to_channels(block, plan.n_channels) for block in audio.blocks(stem.path, BLOCK))
    if stem.sample_rate_hz == plan.sample_rate_hz:
        return blocks
    return reblock(audio.resample_blocks(blocks, plan.n_channels, stem.sample_rate_hz, plan.sample_rate_hz), BLOCK)


def _magnitude(block: Audio) -> float:
    return float(max(block.max(initial=0.0), -block.min(initial=0.0)))  # np.abs would copy the block


def _relative(stems: list[AudioInfo], folder: Path) -> tuple[str, ...]:
    return tuple(stem.path.relative_to(folder).as_posix() for stem in stems)
