"""libsndfile as a reader: chained streams to their end, lengths by what the streams hold."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from splitstrument.audio.channels import from_vorbis, mask_of_wav
from splitstrument.audio.layouts import layout_of, mogg_start
from splitstrument.audio.promises import is_cut_off
from splitstrument.audio.reader import DENSEST, Dtype, Reader, Samples, changed
from splitstrument.audio.sections import Layout, SectionFile
from splitstrument.audio.tags import Tags

CAREFUL_BLOCK = 4096  # of a file that is cut off: what a failing read has got so far is lost
MOST_SECTIONS = 256  # whose lengths are looked up beforehand
HEAD_BYTES = 4096


class _Sequential(soundfile.SoundFile):
    """A file that soundfile does not seek in after every block, which fails where the length is not known."""

    def seekable(self) -> bool:
        return False


class SoundFileReader(Reader):
    """See `Reader`.

    Raises
    ------
    soundfile.LibsndfileError
        If libsndfile does not know the file.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path, self._size = path, path.stat().st_size
        self._layout = layout_of(path)
        self._plain = self._layout.is_plain(self._size)
        self.warnings += self._layout.warnings
        self._number, self._file = 0, self._open(0)
        self._describe(self._file)

    def _describe(self, file: soundfile.SoundFile) -> None:
        self.sample_rate_hz, self.n_channels = file.samplerate, file.channels
        self.format, self.subtype = file.format, file.subtype
        self.is_exact = not self.subtype.startswith("MPEG")
        self.tags = Tags.of_sound_file(file)
        with self.path.open("rb") as head:
            first = head.read(HEAD_BYTES)
        self._order = from_vorbis(self.n_channels) if self._is_vorbis_order(first) else None
        self.channel_mask = mask_of_wav(first)
        self.cut_off = self._layout.cut_off or (len(self._layout.sections) == 1 and is_cut_off(file))
        self.n_samples = self._length(self._layout)
        promises = [section.promised for section in self._layout.sections if section.promised is not None]
        self.promised = sum(promises) if promises else None

    def _is_vorbis_order(self, head: bytes) -> bool:
        """Tell whether channels are loudspeakers in Vorbis's order; not those of a game."""
        opus = head.find(b"OpusHead")
        if self.subtype == "OPUS":
            return opus >= 0 and head[opus + 18 : opus + 19] == b"\x01"
        return self.subtype == "VORBIS" and not mogg_start(head[:12], head)

    def _length(self, layout: Layout) -> int | None:
        """Length of all sections; None if one's is not known."""
        if layout.cut_off or (self.format != "MP3" and not self.is_exact):
            return None
        lengths = [self._section_length(number) for number in range(len(layout.sections))[:MOST_SECTIONS]]
        if None in lengths or len(layout.sections) > MOST_SECTIONS:
            return None
        return sum(length for length in lengths if length is not None)

    def _section_length(self, number: int) -> int | None:
        section = self._layout.sections[number]
        if section.n_samples is not None:
            return section.n_samples
        try:
            with contextlib.nullcontext(self._file) if number == 0 else self._open(number) as file:
                frames = file.frames
        except soundfile.LibsndfileError:
            return None
        if section.patches and self.format == "OGG":
            return None
        return frames if frames <= self._size * DENSEST else None

    def _open(self, number: int) -> soundfile.SoundFile:
        if self._plain:  # by a descriptor, since names would lead libsndfile to guess
            descriptor = os.open(self.path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
            try:
                return _Sequential(descriptor, closefd=True)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.close(descriptor)
                raise
        return _Sequential(SectionFile(self.path, self._layout.sections[number]))

    def read(self, n_samples: int, dtype: Dtype = "float32") -> Samples:
        """See `Reader`."""
        parts, left = [], n_samples
        while left:
            part = self._read(min(left, CAREFUL_BLOCK) if self.cut_off else left, dtype)
            if len(part):
                parts.append(part)
                left -= len(part)
                self.position += len(part)
            elif not self._next_section():
                break
        if not parts:
            return np.empty((0, self.n_channels), dtype)
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _read(self, n_samples: int, dtype: Dtype) -> Samples:
        try:
            samples = self._file.read(n_samples, dtype=dtype, always_2d=True)
        except soundfile.LibsndfileError:
            if not self.cut_off:
                raise
            return np.empty((0, self.n_channels), dtype)
        return samples if self._order is None else np.ascontiguousarray(samples[:, self._order])

    def _next_section(self) -> bool:
        """Go on with the stream that follows; False if there is none."""
        while self._number + 1 < len(self._layout.sections):
            self._number += 1
            try:
                following = self._open(self._number)
            except soundfile.LibsndfileError:
                missing_s = self.position / self.sample_rate_hz
                self._warn(f"What follows after {missing_s:.2f} s cannot be read and is missing.")
                continue
            self._file.close()
            self._file = following
            before, after = (self.sample_rate_hz, self.n_channels), (following.samplerate, following.channels)
            if before != after:
                raise changed(self.path, before, after, self.position)
            return True
        return False

    def _warn(self, sentence: str) -> None:
        if sentence not in self.warnings:
            self.warnings.append(sentence)

    def rewind(self) -> None:
        """See `Reader`."""
        self._file.close()
        self._number, self.position = 0, 0
        self._file = self._open(0)

    def seek(self, position: int) -> None:
        """See `Reader`."""
        if position == self.position:
            return
        sections = self._layout.sections
        is_plain = len(sections) == 1 and not sections[0].is_changed
        if is_plain and self.n_samples is not None and soundfile.SoundFile.seekable(self._file):
            self.position = self._file.seek(min(position, self.n_samples))
        else:
            super().seek(position)

    def close(self) -> None:
        """See `Reader`."""
        self._file.close()


def knows(error: Any) -> str:
    """libsndfile's reason, as part of a sentence."""
    return str(getattr(error, "error_string", error)).strip().rstrip(".")
