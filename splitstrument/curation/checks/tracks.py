"""The stems of one organised track, read second by second and side by side."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from splitstrument import audio
from splitstrument.audio import Audio, AudioInfo, is_audio_name
from splitstrument.audio.plausible import LOUDEST
from splitstrument.datasets.classes import EXCLUDED, MIX
from splitstrument.errors import AudioFileError
from splitstrument.unread import unread_reason


@dataclass(frozen=True)
class Stem:
    """One audio file of a track and the class it is filed under."""

    stem_class: str
    info: AudioInfo

    @property
    def path(self) -> Path:
        """The file."""
        return self.info.path

    @property
    def name(self) -> str:
        """``<class>/<file>``: how findings call the file."""
        return f"{self.stem_class}/{self.path.name}"


@dataclass(frozen=True)
class TrackStems:
    """The readable stems of a track, and what could not be read.

    Attributes
    ----------
    classes
        Every class that has a folder, also an empty one.
    unreadable
        ``<class>/<file>`` -> the reason.
    """

    folder: Path
    classes: tuple[str, ...]
    stems: tuple[Stem, ...]
    unreadable: dict[str, str]

    @property
    def name(self) -> str:
        """The track's name."""
        return self.folder.name

    @property
    def sample_rate_hz(self) -> int:
        """The highest rate of the track's stems: what they are compared at."""
        return max((stem.info.sample_rate_hz for stem in self.stems), default=44100)

    def of_class(self, stem_class: str) -> tuple[Stem, ...]:
        """Stems of one class."""
        return tuple(stem for stem in self.stems if stem.stem_class == stem_class)

    @property
    def parts(self) -> tuple[Stem, ...]:
        """Stems that sum to the music: neither mix nor excluded."""
        return tuple(stem for stem in self.stems if stem.stem_class not in (MIX, EXCLUDED))


def read_track(folder: str | Path) -> TrackStems:
    """List a track's stems by their headers."""
    folder = Path(folder)
    classes = tuple(path.name for path in sorted(folder.iterdir()) if path.is_dir() and not path.name.startswith("."))
    stems, unreadable = [], {}
    for stem_class in classes:
        for path in sorted((folder / stem_class).iterdir()):
            if reason := unread_reason(path):
                unreadable[f"{stem_class}/{path.name}"] = f"{reason}."
            if reason or not is_audio_name(path):
                continue
            try:
                stems.append(Stem(stem_class, audio.probe(path)))
            except AudioFileError as error:
                unreadable[f"{stem_class}/{path.name}"] = str(error)
    return TrackStems(folder, classes, tuple(stems), unreadable)


def bounded(block: Audio) -> Audio:
    """The same samples, none above `LOUDEST`: squares of float files with values of 1e30 would not be finite."""
    if block.max(initial=0) <= LOUDEST and block.min(initial=0) >= -LOUDEST:
        return block
    return block.clip(-LOUDEST, LOUDEST)


def seconds_of(path: Path, sample_rate_hz: int | None = None) -> Generator[Audio, None, None]:
    """Blocks of a second (the last one shorter), `bounded`, resampled if asked: memory does not grow with the file."""
    info = audio.probe(path)
    rate = sample_rate_hz or info.sample_rate_hz
    blocks = (bounded(block) for block in audio.blocks(path, info.sample_rate_hz))
    if rate == info.sample_rate_hz:
        return blocks
    return rebuffered(audio.resample_blocks(blocks, info.n_channels, info.sample_rate_hz, rate), rate)


def rebuffered(blocks: Iterable[Audio], size: int) -> Generator[Audio, None, None]:
    """The same samples in blocks of `size`, the last one shorter."""
    buffer: Audio | None = None
    for block in blocks:
        buffer = block if buffer is None else np.concatenate([buffer, block])
        while len(buffer) >= size:
            yield buffer[:size]
            buffer = buffer[size:]
    if buffer is not None and len(buffer):
        yield buffer


def aligned_seconds(stems: Iterable[Stem], sample_rate_hz: int) -> Iterator[dict[Stem, Audio]]:
    """Second by second, the block of every stem at a common rate, all of one length and number of channels.

    Stems that have ended go on as silence; a mono stem appears in every channel.
    """
    stems = tuple(stems)
    n_channels = max((stem.info.n_channels for stem in stems), default=1)
    with contextlib.ExitStack() as stack:
        readers = {}
        for stem in stems:
            readers[stem] = seconds_of(stem.path, sample_rate_hz)
            stack.callback(readers[stem].close)
        while True:
            blocks = {stem: next(reader, None) for stem, reader in readers.items()}
            length = max((len(block) for block in blocks.values() if block is not None), default=0)
            if not length:
                return
            yield {stem: _shaped(block, length, n_channels) for stem, block in blocks.items()}


def class_sums(blocks: dict[Stem, Audio]) -> dict[str, Audio]:
    """Sum the stems of each class."""
    sums: dict[str, Audio] = {}
    for stem, block in blocks.items():
        sums[stem.stem_class] = sums[stem.stem_class] + block if stem.stem_class in sums else block
    return sums


def _shaped(block: Audio | None, length: int, n_channels: int) -> Audio:
    if block is None:
        return np.zeros((length, n_channels), np.float32)
    if block.shape[1] == 1 and n_channels > 1:
        block = np.repeat(block, n_channels, axis=1)
    elif block.shape[1] < n_channels:
        block = np.pad(block, ((0, 0), (0, n_channels - block.shape[1])))
    return audio.fit_length(block, length)
