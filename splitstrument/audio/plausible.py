"""What a song can be: outside of these bounds a header or a sample is damaged, and would make the work endless."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from splitstrument.audio.reader import Reader, Samples
from splitstrument.errors import AudioFileError

RATES_HZ = (1000, 1_536_000)
MAX_CHANNELS = 64
LOUDEST = 1e6  # times full scale


def is_rate(sample_rate_hz: float) -> bool:
    """Tell whether a song can have this rate."""
    return RATES_HZ[0] <= sample_rate_hz <= RATES_HZ[1]


def check_header(file: Reader, path: str | Path) -> None:
    """Refuse rates and numbers of channels that no song has.

    Raises
    ------
    AudioFileError
    """
    if not is_rate(file.sample_rate_hz) or file.n_channels > MAX_CHANNELS:
        raise AudioFileError(
            f"{path} says that it has {file.n_channels} channels at {file.sample_rate_hz} Hz; expected at most "
            f"{MAX_CHANNELS} channels at {RATES_HZ[0]} to {RATES_HZ[1]} Hz: it is damaged, or has to be converted "
            "first."
        )


def check_values(block: Samples, path: str | Path) -> None:
    """Refuse what float files can hold and no sound is; a block (n_samples, n_channels) has at least one sample.

    Raises
    ------
    AudioFileError
        For NaN, infinity, and what is above `LOUDEST`.
    """
    if block.dtype == np.int32:
        return
    largest = np.abs(block).max()
    if not np.isfinite(largest):
        raise AudioFileError(f"{path} holds values that are not numbers (NaN or infinity): export the file again.")
    if largest > LOUDEST:
        raise AudioFileError(f"{path} holds values of {largest:.3g} times full scale: it is damaged, get it again.")
