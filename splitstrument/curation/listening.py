"""Content of both listening tools: which stem comes next, where to listen, its waveform and spectrogram.

As in the thesis, silent ends are trimmed (-50 dBFS in blocks of 10 ms) and the rest is heard in five splits; here each
split starts where its part is loudest, and the seconds that the automatic checks suspect come first.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce
from pathlib import Path

import numpy as np
import soundfile

from splitstrument import audio
from splitstrument.audio import Audio
from splitstrument.curation.checks.findings import ChecksFile, Finding, read_checks
from splitstrument.curation.checks.levels import block_powers, power_db, to_mono
from splitstrument.curation.checks.tracks import Stem, aligned_seconds, read_track
from splitstrument.datasets.classes import EXCLUDED, MIX
from splitstrument.datasets.index import stems_of, track_folders
from splitstrument.datasets.marks import CHECKED, read_marks
from splitstrument.errors import AudioFileError, DatasetError
from splitstrument.spectrogram import hann

N_SPLITS, SPLIT_S = 5, 4.0
MAX_SUSPICIOUS = 4
SILENCE_DBFS, SILENCE_BLOCK_S = -50.0, 0.01
MAX_COLUMNS, N_BANDS, N_FFT = 800, 96, 2048
BAND_RANGE_HZ = (40.0, 16_000.0)
SPECTRUM_RANGE_DB = (-100.0, -20.0)
PEAK_LIMIT = 0.98

Span = tuple[float, float]


@dataclass(frozen=True)
class Item:
    """One class of one track: the unit that a listener judges."""

    folder: Path
    stem_class: str
    findings: tuple[Finding, ...] = ()
    suspicion: float = 0.0

    @property
    def track(self) -> str:
        """The track's name."""
        return self.folder.name

    @property
    def marks(self) -> frozenset[str]:
        """Marks as they are on disk now."""
        return read_marks(self.folder, self.stem_class)

    @property
    def is_done(self) -> bool:
        """Whether someone has listened to it."""
        return CHECKED in self.marks


def listening_queue(dataset: str | Path, target: str | None = None, checks: ChecksFile | None = None) -> list[Item]:
    """Everything to listen to, the most suspicious first, then by name.

    Parameters
    ----------
    target
        Only this class; None: every class but mix and excluded.
    checks
        Findings; None reads the dataset's ``checks.yaml`` (without one, the order is by name).

    Raises
    ------
    DatasetError
        If no track has the target.
    """
    checks = read_checks(dataset) if checks is None else checks
    items = []
    for folder in track_folders(dataset):
        known = checks.tracks.get(folder.name)
        for stem_class in stems_of(folder):
            if stem_class == target or (target is None and stem_class not in (MIX, EXCLUDED)):
                found = known.of_class(stem_class) if known else ()
                items.append(Item(folder, stem_class, found, known.suspicion(stem_class) if known else 0.0))
    if not items:
        raise DatasetError(f"{dataset} has no stem of the class {target!r}: check the name or organise the dataset.")
    return sorted(items, key=lambda item: (-item.suspicion, item.track, item.stem_class))


@dataclass(frozen=True)
class Overview:
    """A class of a track at a glance.

    Attributes
    ----------
    peaks
        (n_columns,) largest absolute sample of each column of the picture.
    spectrum
        (n_columns, `N_BANDS`) uint8: level from -100 dB (0) to -20 dB (255) in bands of equal width in octaves.
    audible
        From the first to the last second that is not silence; (0, 0) if all is.
    splits
        Where to listen, in the order of time.
    suspicious
        Spans of the findings, the worst first.
    problem
        Why some or all of it cannot be read, as a sentence; empty where all can.
    """

    duration_s: float
    peaks: np.ndarray
    spectrum: np.ndarray
    audible: Span
    splits: tuple[Span, ...]
    suspicious: tuple[Span, ...]
    problem: str = ""


def overview(item: Item) -> Overview:
    """Read one class of one track in a single pass, in bounded memory.

    What cannot be read is told by `Overview.problem` and not raised: a listener marks it and goes on.
    """
    track = read_track(item.folder)
    stems = track.of_class(item.stem_class)
    problems = [reason for file, reason in track.unreadable.items() if file.split("/")[0] == item.stem_class]
    picture = _Picture(max((stem.info.duration_s for stem in stems), default=0.0), _common_rate(stems))
    try:
        for block in class_blocks(stems):
            picture.add(block)
    except AudioFileError as error:  # a file that breaks off: the header was whole
        problems.append(str(error))
    audible = (picture.first_s, picture.last_s) if picture.last_s > picture.first_s else (0.0, 0.0)
    return Overview(
        picture.duration_s,
        picture.peaks,
        picture.spectrum(),
        audible,
        split_spans(audible, picture.level_db),
        suspicious_spans(item.findings, picture.duration_s),
        " ".join(problems),
    )


def split_spans(
    audible: Span, level_db: Sequence[float], n_splits: int = N_SPLITS, split_s: float = SPLIT_S
) -> tuple[Span, ...]:
    """Cut the audible part into `n_splits` equal parts and take the loudest `split_s` seconds of each.

    Parameters
    ----------
    level_db
        Level of each second of the stem.
    """
    start, end = audible
    if end <= start:
        return ()
    parts = itertools.pairwise(float(edge) for edge in np.linspace(start, end, n_splits + 1))
    if end - start <= n_splits * split_s:
        return tuple((round(first, 2), round(last, 2)) for first, last in parts)
    return tuple(_loudest(first, last, level_db, split_s) for first, last in parts)


def suspicious_spans(findings: Sequence[Finding], duration_s: float) -> tuple[Span, ...]:
    """Seconds to hear first: the worst span of each finding, then their next ones; overlaps once."""
    by_rank = [span for rank in range(MAX_SUSPICIOUS) for f in findings for span in f.seconds[rank : rank + 1]]
    chosen: list[Span] = []
    for start, end in by_rank:
        span = (max(0.0, min(start, duration_s - 1)), min(max(end, start + 2), start + 2 * SPLIT_S, duration_s))
        if span[1] > span[0] and not any(span[0] < other[1] and other[0] < span[1] for other in chosen):
            chosen.append(span)
    return tuple(chosen[:MAX_SUSPICIOUS])


def class_blocks(stems: Sequence[Stem]) -> Iterator[Audio]:
    """The sum of the stems, second by second."""
    for second in aligned_seconds(stems, _common_rate(stems)):
        yield reduce(np.add, second.values())


def excerpt(item: Item, spans: Sequence[Span], in_mix: bool = False, gap_s: float = 0.25) -> tuple[Audio, int]:
    """The audio of several spans one after another, with short gaps.

    Parameters
    ----------
    in_mix
        All stems of the track together instead of the class alone.

    Returns
    -------
    audio : (n_samples, n_channels) float32, turned down where it would clip
    sample_rate_hz

    Raises
    ------
    DatasetError
        If there is no stem that can be read.
    """
    track = read_track(item.folder)
    stems = track.parts if in_mix else track.of_class(item.stem_class)
    if not stems:
        what = "stem" if in_mix else f"{item.stem_class} stem"
        raise DatasetError(f"{track.folder} has no {what} that can be read: see `splitstrument dataset check`.")
    rate = _common_rate(stems)
    pieces = []
    for start, end in spans:
        read = _read_span(stems, rate, start, end)
        pieces += [read, np.zeros((round(gap_s * rate), read.shape[1]), np.float32)]
    samples = np.concatenate(pieces[:-1]) if pieces else np.zeros((1, 1), np.float32)
    peak = float(np.abs(samples).max(initial=0.0))
    return samples * np.float32(PEAK_LIMIT / peak) if peak > PEAK_LIMIT else samples, rate


def wav_bytes(samples: Audio, sample_rate_hz: int) -> bytes:
    """A 16-bit WAV file in memory, for a player or a browser."""
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, sample_rate_hz, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


def _common_rate(stems: Sequence[Stem]) -> int:
    """The highest rate; any for no stems."""
    return max((stem.info.sample_rate_hz for stem in stems), default=44100)


def _read_span(stems: Sequence[Stem], rate: int, start_s: float, end_s: float) -> Audio:
    """Sum of the stems between two times, read by seeking."""
    n_channels = max(stem.info.n_channels for stem in stems)
    total = np.zeros((round((end_s - start_s) * rate), n_channels), np.float32)
    for stem in stems:
        own = stem.info.sample_rate_hz
        part = audio.read(stem.path, start=round(start_s * own), n_samples=round((end_s - start_s) * own))[0]
        part = audio.fit_length(audio.resample(part, own, rate), len(total))
        total[:, : part.shape[1] if part.shape[1] > 1 else n_channels] += part
    return total


def _loudest(start: float, end: float, level_db: Sequence[float], length_s: float) -> Span:
    """The `length_s` seconds between `start` and `end` with the most energy, on whole seconds."""
    power = 10 ** (np.asarray(level_db) / 10)
    starts = np.arange(start, max(start + 0.01, end - length_s), 1.0)
    energy = [power[int(first) : int(first + length_s)].sum() for first in starts]
    first = float(starts[int(np.argmax(energy))])
    return (round(first, 2), round(first + length_s, 2))


@lru_cache(maxsize=4)
def _band_of_bin(sample_rate_hz: int) -> np.ndarray:
    """Band of each STFT bin, (n_bins,); bins outside the range go to the nearest band."""
    frequencies = np.maximum(np.fft.rfftfreq(N_FFT, 1 / sample_rate_hz), 1.0)
    low, high = np.log2(BAND_RANGE_HZ)
    return np.clip((np.log2(frequencies) - low) / (high - low) * N_BANDS, 0, N_BANDS - 1).astype(int)


class _Picture:
    """Collects the overview of one class from its blocks."""

    def __init__(self, duration_s: float, sample_rate_hz: int) -> None:
        self.duration_s, self.rate = duration_s, sample_rate_hz
        self.n_columns = int(np.clip(duration_s * sample_rate_hz / N_FFT, 1, MAX_COLUMNS))
        self.peaks = np.zeros(self.n_columns, np.float32)
        self.power = np.zeros((self.n_columns, N_BANDS))
        self.n_frames = np.zeros(self.n_columns)
        self.level_db: list[float] = []
        self.first_s, self.last_s = np.inf, 0.0
        self.n_samples = 0
        self.bins_per_band = np.maximum(np.bincount(_band_of_bin(sample_rate_hz), minlength=N_BANDS), 1)

    def add(self, block: Audio) -> None:
        """Add the next second (the last one may be shorter)."""
        self._note_level(block)
        mono = to_mono(block)
        parts = np.pad(mono, (0, -len(mono) % N_FFT)).reshape(-1, N_FFT)
        columns = (
            (self.n_samples + np.arange(len(parts)) * N_FFT) * self.n_columns // round(self.duration_s * self.rate)
        )
        columns = np.minimum(columns, self.n_columns - 1)
        np.maximum.at(self.peaks, columns, np.abs(parts).max(axis=1))
        spectra = np.square(np.abs(np.fft.rfft(parts * hann(N_FFT), axis=1)) / (N_FFT / 4))
        bands = np.zeros((len(parts), N_BANDS))
        np.add.at(bands.T, _band_of_bin(self.rate), spectra.T)
        np.add.at(self.power, columns, bands / self.bins_per_band)
        np.add.at(self.n_frames, columns, 1)
        self.n_samples += len(block)

    def spectrum(self) -> np.ndarray:
        """(n_columns, N_BANDS) uint8; a band without a bin of its own shows its neighbour's level."""
        low, high = SPECTRUM_RANGE_DB
        level = power_db(self.power / np.maximum(self.n_frames, 1)[:, None])
        empty = np.bincount(_band_of_bin(self.rate), minlength=N_BANDS) == 0
        source = np.maximum.accumulate(np.where(empty, 0, np.arange(N_BANDS)))
        return np.clip((level[:, source] - low) / (high - low) * 255, 0, 255).astype(np.uint8)

    def _note_level(self, block: Audio) -> None:
        n_block = round(SILENCE_BLOCK_S * self.rate)
        powers = block_powers(block, n_block)
        loud = np.flatnonzero(power_db(powers) >= SILENCE_DBFS)
        if loud.size:
            self.first_s = min(self.first_s, (self.n_samples + loud[0] * n_block) / self.rate)
            self.last_s = min(self.duration_s, (self.n_samples + (loud[-1] + 1) * n_block) / self.rate)
        self.level_db.append(float(power_db(powers.mean())))
