"""Samples as files hold them, so that instruments + rest are the input to the last bit.

Integer files are handled as integers (left-aligned in 32 bits, as libsndfile gives and takes them), float files in
their own precision. The rest is computed from the instruments *as written*: exact for integers, to one rounding for
floats.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from splitstrument.audio import Dtype
from splitstrument.spectrogram import Float

Native = NDArray[np.int32] | NDArray[np.float32] | NDArray[np.float64]

# bits of the subtypes that hold (or decode to) integers; the compressed ones decode to what is given here
INTEGER_BITS = {
    "PCM_S8": 8, "PCM_U8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32,
    "ULAW": 16, "ALAW": 16, "IMA_ADPCM": 16, "MS_ADPCM": 16, "GSM610": 16,
    "G721_32": 16, "G723_24": 16, "G723_40": 16, "NMS_ADPCM_16": 16, "NMS_ADPCM_24": 16, "NMS_ADPCM_32": 16,
    "VOX_ADPCM": 16, "DPCM_8": 16, "DPCM_16": 16,
    "ALAC_16": 16, "ALAC_20": 20, "ALAC_24": 24, "ALAC_32": 32,
}  # fmt: skip
FULL_SCALE = 2.0**31


@dataclass(frozen=True)
class SampleType:
    """How samples are held: `bits` of an integer, or None and a float of `dtype`."""

    bits: int | None
    dtype: Dtype

    @classmethod
    def of_subtype(cls, subtype: str) -> SampleType:
        """Sample type of a libsndfile subtype; everything that is decoded from a lossy format is float32."""
        if subtype in INTEGER_BITS:
            return cls(INTEGER_BITS[subtype], "int32")
        return cls(None, "float64" if subtype == "DOUBLE" else "float32")

    @property
    def float_version(self) -> SampleType:
        """A float type that holds all of this type's values and their differences."""
        return SampleType(None, "float64" if self.dtype == "float64" or (self.bits or 0) > 24 else "float32")


def to_float32(samples: Native) -> Float:
    """Samples at full scale 1.0."""
    if samples.dtype == np.int32:
        return (samples * np.float32(1 / FULL_SCALE)).astype(np.float32, copy=False)
    return samples.astype(np.float32, copy=False)


def convert(samples: Native, to: SampleType) -> Native | None:
    """Samples in another type, rounded where it is coarser; None where an integer type would clip."""
    if to.bits is None:
        scaled = samples * (1 / FULL_SCALE) if samples.dtype == np.int32 else samples
        return scaled.astype(to.dtype, copy=False)
    if samples.dtype == np.int32:
        return _fit(_round_integers(samples, to.bits), to.bits)
    return _fit(np.rint(samples * samples.dtype.type(2.0 ** (to.bits - 1))), to.bits)  # exact: a power of two


def split(song: Native, instruments: Sequence[Float], to: SampleType) -> list[Native] | None:
    """Round the instruments to `to` and subtract them from the song: [*instruments, rest]; None where one would clip.

    Parameters
    ----------
    song
        (n_samples, n_channels) as read.
    instruments
        Of the same shape, float32 at full scale 1.0.
    """
    base, *converted = (convert(samples, to) for samples in (song, *instruments))
    written = [samples for samples in converted if samples is not None]
    if base is None or len(written) < len(converted):
        return None
    if to.bits is None:
        return [*written, _less(base, written, np.float64).astype(to.dtype)]  # rounded once, however many there are
    rest = _fit(_less(base, written, np.int64) >> (32 - to.bits), to.bits)
    return None if rest is None else [*written, rest]


def _less(song: Native, instruments: Sequence[Native], wide: type) -> NDArray:
    """Return what the instruments leave of the song."""
    rest: NDArray = song.astype(wide)
    for instrument in instruments:
        rest -= instrument
    return rest


def _round_integers(samples: Native, bits: int) -> NDArray[np.int64]:
    """Left-aligned 32 bits -> `bits`, rounded; exact where the samples have no more."""
    step = 32 - bits
    return (samples.astype(np.int64) + ((1 << step) >> 1)) >> step


def _fit(values: NDArray, bits: int) -> NDArray[np.int32] | None:
    """Whole numbers of `bits`, left-aligned in 32; None if one is out of range."""
    limit = 2 ** (bits - 1)
    if len(values) and (values.max() >= limit or values.min() < -limit):
        return None
    return values.astype(np.int32) << (32 - bits)


class NullMeter:
    """Accumulates the null: energy of ``instruments + rest - song`` relative to the song's, in dB."""

    def __init__(self) -> None:
        self._error = self._energy = 0.0

    def add(self, song: Native, stems: Sequence[Native]) -> None:
        """Add a block of the song as read and of all stems as written."""
        wide = "int64" if song.dtype == stems[0].dtype == np.int32 else "float64"
        if wide == "int64":  # whole numbers need no scale, and most often there is nothing to square
            error = -_less(song, stems, np.int64)
        else:
            error = sum(map(_to_float64, stems)) - _to_float64(song)
        scaled = to_float32(song)
        self._energy += float(np.einsum("ij,ij->", scaled, scaled, dtype=np.float64))
        if error.any():
            scale = 1 / FULL_SCALE if wide == "int64" else 1.0
            self._error += float(np.sum((error * scale) ** 2))

    @property
    def db(self) -> float:
        """The null; minus infinity where it is exactly zero."""
        if self._error == 0:
            return float("-inf")
        return float(10 * np.log10(self._error / self._energy)) if self._energy else float("inf")


def _to_float64(samples: Native) -> NDArray[np.float64]:
    wide = samples.astype(np.float64)
    return wide * (1 / FULL_SCALE) if samples.dtype == np.int32 else wide
