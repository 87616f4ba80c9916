"""FFmpeg's libraries as a reader, through PyAV (extra ``[media]``): what phones, shops and films hold.

Only demuxers of single files are let in: no playlists, no manifests, nothing that would open another file or address.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitstrument.audio.channels import mask_of_names
from splitstrument.audio.layouts import layout_of
from splitstrument.audio.reader import FULL_SCALE, Dtype, Reader, Samples, changed, from_int32
from splitstrument.audio.sections import SectionFile
from splitstrument.audio.tags import Tags
from splitstrument.errors import AudioFileError

DEMUXERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,asf,aac,ac3,eac3,amr,amrnb,amrwb,ape,wv,tta,mpc,mpc8,dsf,iff,ogg,flac,mp3,"
    "wav,w64,aiff,au,caf,avi,mpegts,mpeg,flv,tak,dts,dtshd,truehd,mlp,loas,voc,xwma,oma,rm,qcp,nistsphere,shn"
)
OPTIONS = {"format_whitelist": DEMUXERS, "protocol_whitelist": "none", "enable_drefs": "0", "use_absolute_path": "0"}
INDEXED = "mov"  # a container whose index lists every sample: less than that is a file cut off
MISSING_S = 0.5
MOST_ERRORS = 0.5  # share of packets that fail: above it the file is no sound
SUBTYPES = {"u8": "PCM_U8", "s16": "PCM_16", "s32": "PCM_32", "s64": "PCM_32", "flt": "FLOAT", "dbl": "DOUBLE"}


class MediaError(Exception):
    """FFmpeg's libraries do not know a file; the message is part of a sentence."""


def is_installed() -> bool:
    """Tell whether PyAV can be imported."""
    from importlib.util import find_spec

    return find_spec("av") is not None


class MediaReader(Reader):
    """See `Reader`.

    Raises
    ------
    MediaError
        If the file holds no sound that can be decoded.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path, self._layout = path, layout_of(path)
        self.warnings += self._layout.warnings
        self._stack = contextlib.ExitStack()
        try:
            self.rewind()
            self._describe()
        except BaseException:
            self.close()
            raise

    def _start(self, number: int) -> None:
        """Open one of the file's streams and decode its first frame."""
        import av

        self._stack.close()
        self._number, self._errors, self._packets = number, 0, 0
        self._held: Samples | None = None
        file = self._stack.enter_context(SectionFile(self.path, self._layout.sections[number]))
        try:
            self._container = self._stack.enter_context(
                av.open(file, "r", options=dict(OPTIONS), metadata_errors="replace")
            )
        except (av.error.FFmpegError, ValueError, OSError) as error:
            raise MediaError(_reason(error)) from None
        streams = self._container.streams.audio
        if not streams:
            raise MediaError("it holds no sound")
        self._stream = streams[0]
        if self._stream.codec_context is None:
            raise MediaError("its sound is in a code that is not known, or protected")
        self._frames = self._decoded()
        self._first: Any = next(self._frames, None)
        if self._first is None:
            raise MediaError("no sound could be decoded")

    def _describe(self) -> None:
        frame, codec = self._first, self._stream.codec_context
        self.sample_rate_hz, self.n_channels = frame.sample_rate, len(frame.layout.channels)
        self.format = self._container.format.name.split(",")[0]
        kind = frame.format.name.removesuffix("p")
        self.subtype = "PCM_24" if kind == "s32" and _bits(codec) <= 24 else SUBTYPES[kind]
        self.channel_mask = mask_of_names(channel.name for channel in frame.layout.channels)
        self.tags = Tags.of({**self._container.metadata, **self._stream.metadata})
        if self._stream.duration and self._stream.time_base:
            self.promised = round(self._stream.duration * self._stream.time_base * self.sample_rate_hz)
        elif self._container.duration:
            self.promised = round(self._container.duration / 1e6 * self.sample_rate_hz)
        if len(self._layout.sections) > 1:
            self.promised = None
        if (n_streams := len(self._container.streams.audio)) > 1:
            self.warnings.append(f"The file holds {n_streams} streams of sound; the first was read.")

    def _decoded(self) -> Iterator[Any]:
        """Frames in order; packets that cannot be decoded are passed over and counted."""
        import av

        try:
            for packet in self._container.demux(self._stream):
                self._packets += 1
                try:
                    yield from packet.decode()
                except av.error.FFmpegError:
                    self._errors += packet.size > 0
        except av.error.FFmpegError as error:
            raise AudioFileError(f"{self.path} is damaged ({_reason(error)}): get the file again.") from None
        if self._errors > max(1, MOST_ERRORS * self._packets):
            raise AudioFileError(
                f"{self.path} is damaged: {self._errors} of {self._packets} packets cannot be decoded."
            )
        if self._errors:
            self._warn(f"{self._errors} of {self._packets} packets of the file are damaged and missing.")

    def _warn(self, sentence: str) -> None:
        if sentence not in self.warnings:
            self.warnings.append(sentence)

    def read(self, n_samples: int, dtype: Dtype = "float32") -> Samples:
        """See `Reader`."""
        parts, left = [], n_samples
        while left and (part := self._next(dtype)) is not None:
            if len(part) > left:
                part, self._held = part[:left], part[left:]
            parts.append(part)
            left -= len(part)
            self.position += len(part)
        if left:
            self._check_end()
        return np.concatenate(parts) if parts else np.empty((0, self.n_channels), dtype)

    def _next(self, dtype: Dtype) -> Samples | None:
        """Return the frame that was held back, or the next one."""
        if self._held is not None:
            held, self._held = self._held, None
            return held
        frame, self._first = self._first or next(self._frames, None), None
        if frame is None:
            return self._next(dtype) if self._next_section() else None
        before, after = (self.sample_rate_hz, self.n_channels), (frame.sample_rate, len(frame.layout.channels))
        if before != after:
            raise changed(self.path, before, after, self.position)
        return _samples(frame, self.n_channels, dtype)

    def _next_section(self) -> bool:
        """Go on with the stream that was joined to this one; False if there is none."""
        if self._number + 1 >= len(self._layout.sections):
            return False
        try:
            self._start(self._number + 1)
        except MediaError:
            left = f"What follows after {self.position / self.sample_rate_hz:.2f} s cannot be read and is missing."
            self._warn(left)
            return False
        return True

    def _check_end(self) -> None:
        """Compare what was read with the index."""
        missing_s = ((self.promised or 0) - self.position) / self.sample_rate_hz
        if missing_s <= MISSING_S:
            return
        if self.format == INDEXED:
            self.cut_off = True
        else:
            self._warn(f"The song ends {missing_s:.1f} s before the length that its file states: it may be cut off.")

    def rewind(self) -> None:
        """See `Reader`."""
        self.position = 0
        self._start(0)

    def close(self) -> None:
        """See `Reader`."""
        self._stack.close()


def _bits(codec: Any) -> int:
    """Bits of a sample that is decoded to 32, where the codec says."""
    extra = bytes(codec.extradata or b"")
    if codec.name == "alac" and len(extra) > 17:
        return extra[17]
    if codec.name == "flac" and len(extra) > 13:
        return ((extra[12] & 1) << 4 | extra[13] >> 4) + 1
    return 24 if "24" in codec.name else 32


def _samples(frame: Any, n_channels: int, dtype: Dtype) -> Samples:
    """A frame as (n_samples, n_channels)."""
    values: NDArray[Any] = frame.to_ndarray()
    values = values.T if frame.format.is_planar else values.reshape(-1, n_channels)
    if values.dtype.kind == "f":
        if dtype == "int32":
            return np.clip(np.rint(values * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1).astype(np.int32)
        return values.astype(dtype)
    if values.dtype == np.uint8:
        return from_int32((values.astype(np.int32) - 128) << 24, dtype)
    if values.dtype == np.int64:
        return from_int32((values >> 32).astype(np.int32), dtype)
    return from_int32(values.astype(np.int32) << (32 - 8 * values.dtype.itemsize), dtype)


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).strip().rstrip(".") or type(error).__name__
