"""The Python API: arrays in, arrays out.

>>> import splitstrument
>>> separation = splitstrument.separate(audio, 44100, model="guitar")  # doctest: +SKIP
>>> separation.instrument.shape == separation.rest.shape == audio.shape  # doctest: +SKIP
"""

from __future__ import annotations

import contextlib
import numbers
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from splitstrument.errors import SettingsError
from splitstrument.model_folder import ModelFolder
from splitstrument.separation.activity import Activity, ActivityMeter, warnings_of
from splitstrument.separation.options import SeparationOptions
from splitstrument.separation.pipeline import LoadedModel, Progress, Report, SongSeparation, load_model, network_masks
from splitstrument.spectrogram import Float

BLOCK = 1 << 16


@dataclass(frozen=True)
class Separation:
    """A song, taken apart.

    Attributes
    ----------
    instrument, rest
        (n_samples, n_channels) float32 (or (n_samples,), if that came in); their sum is the input to rounding.
    activity
        Levels over time and confidence (`splitstrument.separation.activity.Activity`).
    warnings
        Plain sentences, for example that the separation has probably failed.
    """

    instrument: Float
    rest: Float
    sample_rate_hz: int
    activity: Activity
    warnings: list[str]

    def __repr__(self) -> str:
        """One line, whatever the song's length."""
        shape, seconds = "x".join(map(str, self.instrument.shape)), len(self.instrument) / self.sample_rate_hz
        confidence, n_warnings = self.activity.confidence, len(self.warnings)
        return (
            f"<Separation of {seconds:.2f} s: instrument and rest {shape} at {self.sample_rate_hz} Hz, "
            f"confidence {confidence:.2f}, {n_warnings} warnings>"
        )


def separate(
    audio: ArrayLike,
    sample_rate_hz: float,
    model: str | Path | ModelFolder | LoadedModel = "guitar",
    engine: str | None = None,
    progress: Progress | None = None,
    options: SeparationOptions | None = None,
) -> Separation:
    """Separate an array.

    Parameters
    ----------
    audio
        (n_samples, n_channels) or (n_samples,) at full scale 1.0; it is not modified.
    sample_rate_hz
        A whole number, of whatever type.
    model
        A shipped model's name, a path, or a model that is loaded already, which saves opening it for every song
        (`splitstrument.separation.pipeline.load_model`).
    engine
        A name of `splitstrument.separation.engines.ENGINES`; None is the best there is.
    progress
        Called as ``progress(done_s, total_s)``; False cancels.
    options
        Overlap, channels and mask processing; what concerns files is ignored.

    Raises
    ------
    SettingsError
        If `audio` is not one- or two-dimensional, empty, or holds values that are not finite, or the rate is no whole
        number between 100 and 1000000.
    ModelError, CancelledError
    """
    rate, song = _whole_rate(sample_rate_hz), _checked(audio)
    options = options or SeparationOptions()
    loaded = load_model(model, engine or options.engine, options.threads)
    instrument, activity = _run(song, rate, loaded, options, progress)
    warnings = warnings_of(activity, loaded.settings.target)
    shape = np.shape(audio)
    rest = song - instrument
    return Separation(instrument.reshape(shape), rest.reshape(shape), rate, activity, warnings)


def _run(
    song: Float, sample_rate_hz: int, model: LoadedModel, options: SeparationOptions, progress: Progress | None
) -> tuple[Float, Activity]:
    report = Report(progress, len(song), sample_rate_hz)
    meter = ActivityMeter(sample_rate_hz)
    separation = SongSeparation(
        _blocks(song), song.shape[1], sample_rate_hz, model.settings, network_masks(model, options), options
    )
    instrument, n_done = np.empty_like(song), 0
    with contextlib.closing(separation.instrument_blocks()) as blocks:
        for block in blocks:
            part = slice(n_done, n_done + len(block))
            instrument[part] = block
            meter.add(block, song[part] - block)
            n_done += len(block)
            report(len(block))
    return instrument, meter.finish(separation.certainty.value)


def _blocks(song: Float) -> Iterator[Float]:
    for start in range(0, len(song), BLOCK):
        yield song[start : start + BLOCK]


def _whole_rate(sample_rate_hz: float) -> int:
    """The rate as an integer; other libraries give 44100.0 or a NumPy scalar."""
    if np.ndim(sample_rate_hz) == 0 and isinstance(sample_rate_hz, numbers.Real | np.ndarray):
        rate = float(sample_rate_hz)
        if rate.is_integer() and 100 <= rate <= 1_000_000:
            return int(rate)
    raise SettingsError(
        f"sample_rate_hz={sample_rate_hz!r} is no whole number between 100 and 1000000: give the song's rate in Hz."
    )


def _checked(audio: ArrayLike) -> Float:
    song = np.asarray(audio, np.float32)
    if song.ndim not in (1, 2) or not song.size:
        raise SettingsError(
            f"Audio should be (n_samples, n_channels) or (n_samples,) with at least one sample; received {song.shape}."
        )
    if song.ndim == 2 and song.shape[1] > song.shape[0] and song.shape[1] > 64:
        raise SettingsError(f"Audio should be (n_samples, n_channels); received {song.shape}: transpose it.")
    if not np.isfinite(song).all():
        raise SettingsError("Audio holds values that are not numbers (NaN or infinity).")
    return song.reshape(len(song), -1)
