"""Batches of songs mixed anew from stems, in mid and side, for networks that answer several instruments.

A batch is a function of seed, epoch and step alone, and each of its segments of a generator of its own. What it holds
beside the ``mixture``, all that a loss of a mask's complex error must know of K stems:

- ``target`` (batch, n_bins, n_frames, 2 K): what of each stem's mid and side lies in the phase of the mixture's,
  ``Re(stem * conj(mixture)) / |mixture|``, so that ``|stem - mask * mixture|^2 = |stem|^2 - 2 mask * target * |mixture|
  + mask^2 * |mixture|^2``: half of what real and imaginary parts would take;
- ``energy``, ``rest_energy`` (batch, K): of each stem, and of the mixture without it, over mid, side, bins and frames;
- ``known`` (batch, K): 1 where the stem is known, else 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr
from scipy.fft import rfft

from splitstrument.network.settings import ModelSettings
from splitstrument.network.stereo import cancels, exchanged
from splitstrument.spectrogram import Complex, Float, frames_stft
from splitstrument.training.data.examples import ALL, Batch
from splitstrument.training.data.reading import Reader
from splitstrument.training.data.segments import segment_samples, steps_that_hold, track_probabilities
from splitstrument.training.data.stem_tracks import StemTrack
from splitstrument.training.data.stream import Stream
from splitstrument.training.data.timbre import low_pass_gains, shaped_samples, shaped_spectrum
from splitstrument.training.mixing import Matrix, Mix, Mixer, Take
from splitstrument.training.settings import TrainingSettings

STEM_STREAM = 5
TINY = 1e-20
TO_MID_SIDE = np.array([[1, 1], [1, -1]], np.float32) / 2


class StemSource:
    """Random segments of the songs of some stem sets, batch by batch."""

    def __init__(self, tracks: tuple[StemTrack, ...], settings: TrainingSettings, reader: Reader) -> None:
        self.tracks, self.reader, self.settings = tracks, reader, settings.mixing
        self.seed, self.batch_size, self.model = settings.seed, settings.batch_size, settings.model
        self.n_samples = segment_samples(settings.model)
        contents = [(frozenset(track.paths), track.known) for track in tracks]
        self.mixer = Mixer(settings.mixing, contents, track_probabilities(tracks, settings))
        self.steps_per_epoch = steps_that_hold(tracks, settings)

    def batch(self, epoch: int, step: int, rows: slice = ALL) -> Batch:
        """One batch, or some rows of it."""
        numbers = range(self.batch_size)[rows]
        batch = empty_batch(len(numbers), self.model)
        for index, row in enumerate(numbers):
            rng = np.random.default_rng([self.seed, epoch, STEM_STREAM, step, row])
            mix = self.mixer.draw(rng)
            example = {name: values[index] for name, values in batch.items()}
            fill_example(example, self.spectra(mix, rng), mix.known, self.model)
        return batch

    def spectra(self, mix: Mix, rng: np.random.Generator) -> dict[str, Complex]:
        """STFT of mid and side (2, n_bins, n_frames) of each stem that plays, as it is in the mixture."""
        rate_hz = self.model.spectrogram.sample_rate_hz
        played: dict[str, Complex] = {}
        for take in mix.takes:
            spectrum = self._take(take, mix, rng)
            played[take.stem] = played[take.stem] + spectrum if take.stem in played else spectrum
        if rng.random() < self.settings.low_pass:
            gains = low_pass_gains(self.model.spectrogram.n_bins, rate_hz, rng)[:, None]
            played = {stem: spectrum * gains for stem, spectrum in played.items()}
        return played

    def _take(self, take: Take, mix: Mix, rng: np.random.Generator) -> Complex:
        spectrogram = self.model.spectrogram
        audio = shaped_samples(self._read(take), self.settings, spectrogram.sample_rate_hz, rng)
        placed = _placed(audio, mix.place @ take.place)
        spectrum = frames_stft(placed, spectrogram.n_fft, spectrogram.hop, rfft)
        return shaped_spectrum(spectrum, self.settings, spectrogram.sample_rate_hz, spectrogram.hop, rng)

    def _read(self, take: Take) -> Float:
        """A take at its speed: (n_samples, 2), silent beyond the song's end."""
        track, rate_hz = self.tracks[take.track], self.model.spectrogram.sample_rate_hz
        factor = take.speed * track.info.sample_rate_hz / rate_hz
        needed = int(np.ceil(self.n_samples * factor)) + 1
        start = int(take.start * max(0, track.info.n_samples - needed))
        audio = self._stretch(track.paths[take.stem], start, min(needed, track.info.n_samples - start))
        if factor != 1:
            audio = soxr.resample(audio, factor, 1.0, quality="MQ")
        out = np.zeros((self.n_samples, 2), np.float32)
        out[: len(audio)] = audio[: self.n_samples]
        return out

    def _stretch(self, path: Path, start: int, n_samples: int) -> Float:
        audio = self.reader(path, start, n_samples)
        return np.repeat(audio, 2, axis=1) if audio.shape[1] == 1 else audio[:, :2]


def _placed(audio: Float, place: Matrix) -> Float:
    """Mid and side (n_samples, 2) of left and right, moved to their place."""
    left_right = (place @ TO_MID_SIDE).astype(np.float32)
    out = np.empty(audio.shape, np.float32, order="F")
    for view, (left, right) in enumerate(left_right):
        out[:, view] = left * audio[:, 0] + right * audio[:, 1]
    return out


def empty_batch(size: int, model: ModelSettings) -> Batch:
    """A batch of silence of which nothing is known."""
    shape, n_stems = (size, model.spectrogram.n_bins, model.n_frames), len(model.names)
    shapes = {"mixture": (*shape, 2), "target": (*shape, 2 * n_stems)}
    return {
        name: np.zeros(shapes.get(name, (size, n_stems)), np.float32)
        for name in ("mixture", "target", "energy", "rest_energy", "known")
    }


def fill_example(example: Batch, stems: dict[str, Complex], known: frozenset[str], model: ModelSettings) -> None:
    """Write what network and loss take of one segment, upright, from the STFTs (2, n_bins, n_frames) of its stems.

    Parameters
    ----------
    example
        A row of `empty_batch`.
    """
    mixture = sum(stems.values(), np.zeros((2, *example["mixture"].shape[:2]), np.complex64))
    views = np.abs(mixture)
    turned = cancels(views)
    if turned:
        mixture, views = exchanged(mixture, turned), exchanged(views, turned)
    example["mixture"][...] = views.transpose(1, 2, 0)
    phases = np.conj(mixture) / (views + np.float32(TINY))
    example["rest_energy"][:] = _energy(mixture)
    for index, name in enumerate(model.names):
        example["known"][index] = name in known
        if name in stems:
            stem = exchanged(stems[name], turned) if turned else stems[name]
            example["energy"][index], example["rest_energy"][index] = _energy(stem), _energy(mixture - stem)
            for view in range(2):
                example["target"][..., 2 * index + view] = _in_phase(stem[view], phases[view])


def _in_phase(stem: Complex, phase: Complex) -> Float:
    return stem.real * phase.real - stem.imag * phase.imag


def _energy(spectrum: Complex) -> float:
    return float(np.vdot(spectrum, spectrum).real)


@dataclass(frozen=True)
class StemStream(Stream):
    """Batches of a `StemSource`."""

    source: StemSource  # type: ignore[assignment]  # makes batches, not planes

    def batch(self, index: int) -> Batch:
        """Make batch `index`."""
        return self.source.batch(*divmod(index, self.steps_per_epoch), self.rows)
