"""A song's masks on disk, compact: so that strength and floor can be changed without running the network again.

A zip file of blocks, one byte per bin and frame: ``round(255 * sqrt(mask))``, fine where a mask is small (half a step
is -48 dB or better there), and ``mask.json`` with what the mask belongs to. Written and read block by block.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from splitstrument.errors import AudioFileError, SettingsError
from splitstrument.files import atomic_path
from splitstrument.network.settings import ModelSettings, Target
from splitstrument.separation.options import INSTRUMENT
from splitstrument.settings import Settings, validate
from splitstrument.spectrogram import Complex, Float
from splitstrument.streams import ArrayQueue

HEADER = "mask.json"
MAX_HEADER_BYTES = 100_000
# left out where they say nothing: versions that do not know these keys read such a mask, too
NEWER: Any = {"stems": True, "model": {"stems": True, "channels": True, "calibration": True, "network": {"inputs"}}}
WRITTEN_BYTES, MAX_BLOCK_BYTES = 1 << 23, 1 << 26  # of a block unpacked: what is written, and what is read at most
PIECE_FRAMES = 256
MASK_OF_CODE = np.square(np.arange(256, dtype=np.float32) / 255)
# what zipfile, zlib and NumPy raise on bytes that are not theirs
DAMAGE = (zipfile.BadZipFile, zlib.error, ValueError, OSError, EOFError, NotImplementedError, RuntimeError)


class MaskHeader(Settings):
    """Song and model that a stored mask belongs to.

    Attributes
    ----------
    song_sha256
        Of the file that was separated; another file is refused.
    n_views
        Masks of each stem: 1, 2 for mid and side, or the number of channels where each has a mask of its own.
    stems
        The instruments whose masks these are, by the names of their stems.
    """

    format: Literal[1] = 1
    song_sha256: str = Field(pattern="^[0-9a-f]{64}$")
    start_s: float = 0.0
    duration_s: float | None = None
    model_name: str
    model_files: dict[str, str] = Field(default_factory=dict)
    model: ModelSettings
    n_views: int = Field(ge=1, le=1024)
    stems: tuple[Target, ...] = Field((INSTRUMENT,), min_length=1, max_length=8)

    @property
    def is_plain(self) -> bool:
        """Tell whether these are the masks of one instrument by a network that hears in mono."""
        return len(self.model.names) == 1 and self.model.channels == "mono"


class MaskWriter:
    """Writes masks as they come; the file appears only when the ``with`` block ends without an error."""

    def __init__(self, path: Path, header: Callable[[int], MaskHeader]) -> None:
        self.path, self.header = path, header
        self._n_blocks = self._n_views = 0

    def __enter__(self) -> MaskWriter:
        self._temporary = atomic_path(self.path)
        self._zip = zipfile.ZipFile(self._temporary.__enter__(), "w", zipfile.ZIP_DEFLATED, compresslevel=1)
        return self

    def add(self, mask: Float) -> None:
        """Append (n_stems, n_views, n_bins, n_frames)."""
        self._n_views = mask.shape[1]
        n_frames = max(1, WRITTEN_BYTES // max(1, mask[..., 0].size))
        for start in range(0, mask.shape[-1], n_frames):
            codes = np.rint(255 * np.sqrt(mask[..., start : start + n_frames])).astype(np.uint8)
            self._write(f"{self._n_blocks:08d}", np.ascontiguousarray(codes).tobytes())
            self._n_blocks += 1

    def _write(self, name: str, data: bytes | str) -> None:
        """Add an entry without the time of day, so that the same mask has the same bytes whenever it is written."""
        self._zip.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED, compresslevel=1)

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        try:
            if error is None:
                header = self.header(max(1, self._n_views))
                self._write(HEADER, header.model_dump_json(exclude=NEWER if header.is_plain else None))
            self._zip.close()
        finally:
            self._temporary.__exit__(kind, error, trace)


def read_header(path: str | Path) -> MaskHeader:
    """Read what a mask belongs to.

    Raises
    ------
    AudioFileError
        If the file is no mask of ours or damaged.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo(HEADER).file_size > MAX_HEADER_BYTES:
                raise KeyError(HEADER)
            return validate(json.loads(archive.read(HEADER)), MaskHeader, f"{path}/{HEADER}")
    except FileNotFoundError:
        raise AudioFileError(f"There is no mask file {path}: separate the song again with --keep-mask.") from None
    except (*DAMAGE, KeyError, SettingsError):
        raise _damaged(path) from None


def stored_masks(
    path: str | Path, header: MaskHeader, stems: Sequence[str]
) -> Callable[[Iterator[Complex]], Generator[tuple[Complex, Float], None, None]]:
    """Pair the frames of a stream with the masks of `stems` in a file, as `masks.estimate_masks` does the network's.

    Raises
    ------
    SettingsError
        If the file lacks the mask of a stem.
    """
    if missing := [stem for stem in stems if stem not in header.stems]:
        raise SettingsError(
            f"{path} has no mask of {missing[0]}, only of {', '.join(header.stems)}: separate the song again."
        )
    wanted = [header.stems.index(stem) for stem in stems]

    def pair(spectra: Iterator[Complex]) -> Generator[tuple[Complex, Float], None, None]:
        queue = ArrayQueue(axis=-1)
        blocks = _blocks(Path(path), header)
        for spectrum in spectra:
            while len(queue) < spectrum.shape[-1]:
                block = next(blocks, None)
                if block is None:
                    raise _damaged(path)
                queue.push(block[wanted])
            yield spectrum, queue.pop(spectrum.shape[-1])

    return pair


def _blocks(path: Path, header: MaskHeader) -> Iterator[Float]:
    shape = (len(header.stems), header.n_views, header.model.spectrogram.n_bins)
    try:
        with zipfile.ZipFile(path) as archive:
            names = sorted(name for name in archive.namelist() if name != HEADER)
            for name in names:
                if archive.getinfo(name).file_size > MAX_BLOCK_BYTES:
                    raise _damaged(path)
                codes = np.frombuffer(archive.read(name), np.uint8).reshape(*shape, -1)
                for start in range(0, codes.shape[-1], PIECE_FRAMES):
                    yield MASK_OF_CODE[codes[..., start : start + PIECE_FRAMES]]
    except DAMAGE:
        raise _damaged(path) from None


def _damaged(path: str | Path) -> AudioFileError:
    return AudioFileError(f"{path} is no mask of Splitstrument, or is damaged: separate the song again.")
