"""A song's mask on disk, compact: so that strength and floor can be changed without running the network again.

A zip file of blocks, one byte per bin and frame: ``round(255 * sqrt(mask))``, fine where a mask is small (half a step
is -48 dB or better there), and ``mask.json`` with what the mask belongs to. Written and read block by block.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from splitstrument.errors import AudioFileError, SettingsError
from splitstrument.files import atomic_path
from splitstrument.network.settings import ModelSettings
from splitstrument.settings import Settings, validate
from splitstrument.spectrogram import Complex, Float
from splitstrument.streams import ArrayQueue

HEADER = "mask.json"
MAX_HEADER_BYTES = 100_000
MAX_BLOCK_BYTES = 1 << 28
# what zipfile, zlib and NumPy raise on bytes that are not theirs
DAMAGE = (zipfile.BadZipFile, zlib.error, ValueError, OSError, EOFError, NotImplementedError, RuntimeError)


class MaskHeader(Settings):
    """What a stored mask belongs to.

    Attributes
    ----------
    song_sha256
        Of the file that was separated; another file is refused.
    n_views
        1, or the number of channels where each has a mask of its own.
    """

    format: Literal[1] = 1
    song_sha256: str = Field(pattern="^[0-9a-f]{64}$")
    start_s: float = 0.0
    duration_s: float | None = None
    model_name: str
    model_files: dict[str, str] = Field(default_factory=dict)
    model: ModelSettings
    n_views: int = Field(ge=1, le=1024)


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
        """Append (n_views, n_bins, n_frames)."""
        self._n_views = mask.shape[0]
        codes = np.rint(255 * np.sqrt(mask)).astype(np.uint8)
        self._write(f"{self._n_blocks:08d}", np.ascontiguousarray(codes).tobytes())
        self._n_blocks += 1

    def _write(self, name: str, data: bytes | str) -> None:
        """Add an entry without the time of day, so that the same mask has the same bytes whenever it is written."""
        self._zip.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED, compresslevel=1)

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        try:
            if error is None:
                self._write(HEADER, self.header(max(1, self._n_views)).model_dump_json())
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


def stored_masks(path: str | Path) -> Callable[[Iterator[Complex]], Generator[tuple[Complex, Float], None, None]]:
    """Pair the frames of a stream with the masks of a file, as `masks.estimate_masks` does with the network's."""

    def pair(spectra: Iterator[Complex]) -> Generator[tuple[Complex, Float], None, None]:
        header, queue = read_header(path), ArrayQueue(axis=-1)
        blocks = _blocks(Path(path), header)
        for spectrum in spectra:
            while len(queue) < spectrum.shape[-1]:
                block = next(blocks, None)
                if block is None:
                    raise _damaged(path)
                queue.push(block)
            yield spectrum, queue.pop(spectrum.shape[-1])

    return pair


def _blocks(path: Path, header: MaskHeader) -> Iterator[Float]:
    shape = (header.n_views, header.model.spectrogram.n_bins)
    try:
        with zipfile.ZipFile(path) as archive:
            names = sorted(name for name in archive.namelist() if name != HEADER)
            for name in names:
                if archive.getinfo(name).file_size > MAX_BLOCK_BYTES:
                    raise _damaged(path)
                codes = np.frombuffer(archive.read(name), np.uint8)
                yield np.square(codes.reshape(*shape, -1).astype(np.float32) / 255)
    except DAMAGE:
        raise _damaged(path) from None


def _damaged(path: str | Path) -> AudioFileError:
    return AudioFileError(f"{path} is no mask of Splitstrument, or is damaged: separate the song again.")
