"""Defects to put into good stems, so that the checks can be measured: each takes a track and spoils one stem.

A track is ``{"<class>/<file>": audio}`` with audio (n_samples, n_channels) of one rate and length, in memory;
`write_track` makes the organised form of it. `DEFECTS` names each defect and the check that should find it.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import numpy as np
import soundfile

from splitstrument import audio
from splitstrument.audio import Audio
from splitstrument.datasets.classes import MIX

Track = dict[str, Audio]


@dataclass
class Patient:
    """A track to spoil: its stems, the stem that is to suffer, another one, and the randomness."""

    track: Track
    victim: str
    other: str
    sample_rate_hz: int
    rng: np.random.Generator

    @property
    def audio(self) -> Audio:
        """The victim's samples."""
        return self.track[self.victim]

    def replace(self, samples: Audio) -> None:
        """Give the victim other samples."""
        self.track[self.victim] = np.ascontiguousarray(samples, np.float32)

    @property
    def class_sum(self) -> Audio:
        """Sum of all stems of the other stem's class."""
        stem_class = self.other.split("/")[0]
        return reduce(np.add, (samples for name, samples in self.track.items() if name.split("/")[0] == stem_class))


Defect = Callable[[Patient], None]


def gone(patient: Patient) -> None:
    """The stem's file is not there."""
    del patient.track[patient.victim]


def silent(patient: Patient) -> None:
    """Digital silence under a name that promises music."""
    patient.replace(0 * patient.audio)


def nearly_silent(patient: Patient) -> None:
    """Peaks at -55 dBFS, as a muted channel's crosstalk does."""
    patient.replace(patient.audio * 10 ** (-55 / 20) / np.abs(patient.audio).max())


def faint(patient: Patient) -> None:
    """The loudest second at -50 dBFS."""
    patient.replace(patient.audio * 10 ** (-50 / 20) / _loudest_rms(patient.audio, patient.sample_rate_hz))


def clipper(share: float, gain_db: float = 0.0, soft: bool = False, codec: bool = False, to_hz: int = 0) -> Defect:
    """Clip the largest `share` of the samples; then, if asked, change the gain, code as Ogg Vorbis, or resample."""

    def clip(patient: Patient) -> None:
        limit = max(float(np.quantile(np.abs(patient.audio), 1 - share)), 1e-6)
        samples = limit * np.tanh(patient.audio / limit) if soft else np.clip(patient.audio, -limit, limit)
        samples = samples * 10 ** (gain_db / 20)
        samples = _through_vorbis(samples, patient.sample_rate_hz) if codec else samples
        rate = patient.sample_rate_hz
        patient.replace(audio.resample(audio.resample(samples, rate, to_hz), to_hz, rate) if to_hz else samples)

    return clip


def offset(mean: float) -> Defect:
    """Add a constant."""
    return lambda patient: patient.replace(patient.audio + np.float32(mean))


def cut_by(seconds: float) -> Defect:
    """End early, or (negative) late with silence."""

    def cut(patient: Patient) -> None:
        patient.replace(audio.fit_length(patient.audio, len(patient.audio) - round(seconds * patient.sample_rate_hz)))

    return cut


def copy(shift_s: float = 0.0, gain: float = 1.0, codec: bool = False) -> Defect:
    """Put the other stem's audio in the victim's place, shifted and scaled (negative: inverted)."""

    def duplicate(patient: Patient) -> None:
        samples = _shifted(patient.track[patient.other] * np.float32(gain), round(shift_s * patient.sample_rate_hz))
        patient.replace(_through_vorbis(samples, patient.sample_rate_hz) if codec else samples)

    return duplicate


def in_mix(change: Callable[[Audio, int], Audio]) -> Defect:
    """Change what the mix holds of the victim, and leave the stem."""

    def remix(patient: Patient) -> None:
        (mix,) = (name for name in patient.track if name.startswith(f"{MIX}/"))
        changed = change(patient.audio, patient.sample_rate_hz)
        patient.track[mix] = patient.track[mix] - patient.audio + changed.astype(np.float32)

    return remix


def bleed(level_db: float) -> Defect:
    """Add the other stem's class, through a small room, `level_db` below the victim's own level."""

    def add(patient: Patient) -> None:
        heard = _through_room(patient.class_sum, patient.sample_rate_hz, patient.rng)
        gain = 10 ** (level_db / 20) * _active_rms(patient.audio) / max(_active_rms(heard), 1e-9)
        patient.replace(patient.audio + np.float32(gain) * heard)

    return add


# name -> (check that should find it, defect)
DEFECTS: dict[str, tuple[str, Defect]] = {
    "file missing": ("missing", gone),
    "digital silence": ("inaudible", silent),
    "peaks at -55 dBFS": ("inaudible", nearly_silent),
    "loudest second at -50 dBFS": ("low_level", faint),
    "hard, 0.1 % of samples": ("clipping", clipper(0.001)),
    "hard, 1 %": ("clipping", clipper(0.01)),
    "hard, 1 %, then -12 dB": ("clipping", clipper(0.01, gain_db=-12)),
    "hard, 1 %, then 48 kHz and back": ("clipping", clipper(0.01, to_hz=48_000)),
    "hard, 1 %, then Ogg Vorbis": ("clipping", clipper(0.01, codec=True)),
    "hard, 5 %, then Ogg Vorbis": ("clipping", clipper(0.05, codec=True)),
    "soft (tanh), 5 % beyond the limit": ("clipping", clipper(0.05, soft=True)),
    "soft (tanh), 30 % beyond the limit": ("clipping", clipper(0.3, soft=True)),
    "mean 0.005": ("dc", offset(0.005)),
    "mean -0.02": ("dc", offset(-0.02)),
    "2 s too short": ("wrong_length", cut_by(2)),
    "1 s of silence too long": ("wrong_length", cut_by(-1)),
    "copy of another stem": ("duplicate", copy()),
    "copy, 0.37 s later": ("duplicate", copy(shift_s=0.37)),
    "copy, inverted": ("duplicate", copy(gain=-1)),
    "copy, 3.1 s earlier, -6 dB, Ogg Vorbis": ("duplicate", copy(shift_s=-3.1, gain=0.5, codec=True)),
    "stem absent from the mix": ("not_in_mix", in_mix(lambda stem, rate: 0 * stem)),
    "stem inverted in the mix": ("not_in_mix", in_mix(lambda stem, rate: -stem)),
    "stem 20 ms late in the mix": ("not_in_mix", in_mix(lambda stem, rate: _shifted(stem, rate // 50))),
    "bleed at -20 dB": ("bleed", bleed(-20)),
    "bleed at -30 dB": ("bleed", bleed(-30)),
    "bleed at -40 dB": ("bleed", bleed(-40)),
}


def write_track(folder: Path, track: Track, sample_rate_hz: int) -> None:
    """Write the organised form, one file per stem in the format of its name; integers where nothing clips."""
    for name, samples in track.items():
        subtype = "PCM_16" if np.abs(samples).max(initial=0) <= 1 else "FLOAT"
        audio.write(folder / Path(name).with_suffix(".wav"), samples, sample_rate_hz, subtype)


def _loudest_rms(samples: Audio, sample_rate_hz: int) -> float:
    seconds = range(0, len(samples), sample_rate_hz)
    return max(float(np.sqrt(np.mean(samples[start : start + sample_rate_hz] ** 2))) for start in seconds)


def _active_rms(samples: Audio) -> float:
    """RMS of the samples that are not nearly silent."""
    loud = samples[np.abs(samples) > 0.001]
    return float(np.sqrt(np.mean(np.square(loud)))) if loud.size else 0.0


def _shifted(samples: Audio, n_later: int) -> Audio:
    moved = np.roll(samples, n_later, axis=0)
    if n_later:
        moved[slice(0, n_later) if n_later > 0 else slice(n_later, None)] = 0
    return moved


def _through_vorbis(samples: Audio, sample_rate_hz: int) -> Audio:
    """Code and decode as Ogg Vorbis; in blocks, since libsndfile's encoder overflows its stack on long writes."""
    buffer = io.BytesIO()
    with soundfile.SoundFile(buffer, "w", sample_rate_hz, samples.shape[1], "VORBIS", format="OGG") as file:
        for start in range(0, len(samples), sample_rate_hz):
            file.write(samples[start : start + sample_rate_hz])
    buffer.seek(0)
    return audio.fit_length(soundfile.read(buffer, dtype="float32", always_2d=True)[0], len(samples))


def _through_room(samples: Audio, sample_rate_hz: int, rng: np.random.Generator) -> Audio:
    """1 to 15 ms of delay and 60 ms of decaying noise: a microphone some metres away."""
    n_response = round(0.06 * sample_rate_hz)
    response = rng.standard_normal(n_response) * np.exp(-np.arange(n_response) / (0.012 * sample_rate_hz))
    response = np.pad(response / np.linalg.norm(response), (round(rng.uniform(0.001, 0.015) * sample_rate_hz), 0))
    size = 2 ** int(np.ceil(np.log2(len(samples) + len(response))))
    spectrum = np.fft.rfft(samples, size, axis=0) * np.fft.rfft(response, size)[:, None]
    return np.fft.irfft(spectrum, size, axis=0)[: len(samples)].astype(np.float32)
