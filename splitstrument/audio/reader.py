"""The one interface of everything that reads sound, and errors that say what is wrong with a file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from splitstrument.audio.tags import Tags
from splitstrument.errors import AudioFileError

Dtype = Literal["float32", "float64", "int32"]
Samples = NDArray[Any]
SKIP_BLOCK = 1 << 16
DENSEST = 1 << 16  # samples a byte: no format packs more, so a header that states more is wrong
FULL_SCALE = 2.0**31


class Reader(ABC):
    """An open file of sound, read from the start to the end.

    Attributes
    ----------
    format, subtype
        libsndfile's names of container and sample type, or FFmpeg's where libsndfile does not know the container.
    n_samples
        Length where it is known; None where only decoding tells.
    promised
        Length in samples that the header states where that is not believed; None where it states none.
    cut_off
        There is less sound than the header promises, and the file was not ended on purpose.
    is_exact
        Whether fewer samples than `n_samples` mean that the file is damaged.
    warnings
        Sentences about what is odd; there may be more when everything has been read.
    channel_mask
        Loudspeakers of the channels, as WAV counts them; None where the file does not say.
    """

    path: Path
    sample_rate_hz: int
    n_channels: int
    format: str
    subtype: str
    n_samples: int | None = None
    promised: int | None = None
    cut_off: bool = False
    is_exact: bool = True
    channel_mask: int | None = None
    tags: Tags = Tags()
    position: int = 0

    @property
    def estimate(self) -> int | None:
        """Length as far as it is known or stated; None where nothing is, or what is stated cannot be."""
        if self.n_samples is not None:
            return self.n_samples
        if self.promised is None or not 0 < self.promised <= self.path.stat().st_size * DENSEST:
            return None
        return self.promised

    def __init__(self) -> None:
        self.warnings: list[str] = []

    @abstractmethod
    def read(self, n_samples: int, dtype: Dtype = "float32") -> Samples:
        """Read the next (n_samples, n_channels), fewer only at the end; integers are left-aligned in 32 bits."""

    @abstractmethod
    def rewind(self) -> None:
        """Go to the first sample."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the file."""

    def seek(self, position: int) -> None:
        """Go to a sample, or to the end if there is none."""
        if position < self.position:
            self.rewind()
        while self.position < position and len(self.read(min(SKIP_BLOCK, position - self.position))):
            pass


def from_int32(samples: NDArray[np.int32], dtype: Dtype) -> Samples:
    """Left-aligned integers as `dtype` at full scale 1.0."""
    if dtype == "int32":
        return samples
    return (samples * (1 / FULL_SCALE)).astype(dtype)


def cut_off(path: Path, left_s: float) -> AudioFileError:
    """The error of a file whose end is missing; `left_s` seconds are there."""
    return AudioFileError(
        f"{path} ends before the length that its header gives: it is cut off, get it again "
        f"(or take what there is by --duration {left_s:.2f})."
    )


def changed(path: Path, before: tuple[int, int], after: tuple[int, int], position: int) -> AudioFileError:
    """The error of a file whose rate or channels (both in this order) change in the middle."""
    say = "{} Hz with {} channels".format
    return AudioFileError(
        f"{path} changes from {say(*before)} to {say(*after)} at {position / before[0]:.2f} s: "
        "cut it there, or convert it to one rate first."
    )
