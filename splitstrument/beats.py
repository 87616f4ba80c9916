"""Find the beats of a song: what a metronome, a count-in and a loop that snaps rest on.

After Ellis (2007), "Beat tracking by dynamic programming": the rise of the mel-like spectrum is the onset strength; its
autocorrelation, weighted towards 120 beats a minute, gives the tempo; the best path through the onsets that keeps this
tempo gives the beats. Bars are taken to have four beats; the first of them is the phase with the strongest low onsets.
Both are guesses that people correct by tapping. Everything is read block by block.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from splitstrument.audio import blocks, probe
from splitstrument.spectrogram import Float, frames_stft

N_FFT, HOPS_PER_S = 1024, 100
LOWEST_BPM, USUAL_BPM, HIGHEST_BPM = 40.0, 120.0, 240.0
SPREAD_OCTAVES = 0.9  # of the weight on tempi around the usual one
TIGHTNESS = 100.0
BEATS_PER_BAR = 4
N_BANDS = 24
LOW_BANDS = 6
FEWEST_S = 4.0
LEAST_REGULARITY = 0.08  # of the autocorrelation at the tempo, below which nothing beats


@dataclass(frozen=True)
class Beats:
    """The beat grid of a song.

    Attributes
    ----------
    bpm
        Median tempo in beats a minute; 0 if nothing beats.
    times_s
        Where the beats are, (n_beats,), rising.
    first_of_bar
        Index of the first beat that begins a bar.
    """

    bpm: float
    times_s: Float
    first_of_bar: int = 0


def find_beats(paths: Iterable[str | Path]) -> Beats:
    """Find the beats of the sum of several files of the same song (its stems, or the song alone)."""
    paths = list(paths)
    rate = probe(paths[0]).sample_rate_hz
    hop = max(1, rate // HOPS_PER_S)
    onsets = np.concatenate(list(_onsets(paths, rate, hop)) or [np.zeros((0, N_BANDS), np.float32)])
    return beats_of(onsets, rate / hop)


def beats_of(onsets: Float, frames_per_s: float) -> Beats:
    """Find the beats in onset strengths, (n_frames, n_bands) at `frames_per_s`."""
    nothing = Beats(0.0, np.zeros(0, np.float32))
    strength = _smooth(onsets.mean(axis=1), frames_per_s)
    if len(strength) < FEWEST_S * frames_per_s or not np.any(strength > 0):
        return nothing
    period = _period(strength, frames_per_s)
    if period == 0:
        return nothing
    frames = _path(strength, period)
    frames = _played(frames, strength)
    if len(frames) < BEATS_PER_BAR:
        return nothing
    bpm = 60 * frames_per_s / float(np.median(np.diff(frames)))
    return Beats(bpm, _refined(frames, strength) / frames_per_s, _first_of_bar(frames, onsets))


def _onsets(paths: list[str | Path], rate: int, hop: int) -> Iterable[Float]:
    """Rise of each band's level from frame to frame, block by block: (n_frames, N_BANDS)."""
    n_fft = max(N_FFT, 1 << (2 * hop - 1).bit_length())  # from 51.2 kHz on longer, so that frames overlap by half
    edges = np.unique(np.geomspace(2, min(n_fft // 2, 8000 * n_fft // rate), N_BANDS + 1).astype(int))
    waiting = np.zeros((n_fft // 2, 1), np.float32)
    last: Float | None = None
    for parts in zip(*(blocks(path) for path in paths), strict=True):
        song = np.sum(parts, axis=0).mean(axis=1, keepdims=True)
        waiting = np.concatenate([waiting, song])
        n_frames = (len(waiting) - n_fft) // hop + 1
        if n_frames < 1:
            continue
        power = np.abs(frames_stft(waiting, n_fft, hop)[0]) ** 2
        bands = np.stack([power[a:b].mean(axis=0) for a, b in pairwise(edges)], axis=1)
        levels = (bands**0.25).astype(np.float32)
        joined = np.concatenate([levels[:1] if last is None else last, levels])
        last = levels[-1:]
        rise = np.maximum(0, np.diff(joined, axis=0)).astype(np.float32)
        yield np.pad(rise, ((0, 0), (0, N_BANDS - rise.shape[1])))
        waiting = waiting[n_frames * hop :]


def _smooth(strength: Float, frames_per_s: float) -> Float:
    """Take out the slow course and the finest grain, and scale to a deviation of 1."""
    if len(strength) < 3:
        return np.zeros_like(strength)
    grain = np.hanning(7)[1:-1]
    width = max(3, int(frames_per_s))
    slow = np.convolve(np.pad(strength, width // 2, mode="edge"), np.ones(width) / width, "same")
    fine = np.convolve(strength, grain / grain.sum(), "same") - slow[width // 2 : width // 2 + len(strength)]
    return (fine / max(float(fine.std()), 1e-9)).astype(np.float32)


def _period(strength: Float, frames_per_s: float) -> float:
    """Frames per beat; 0 if nothing repeats."""
    size = 1 << (2 * len(strength) - 1).bit_length()
    spectrum = np.fft.rfft(strength, size)
    lags = np.arange(1, int(60 * frames_per_s / LOWEST_BPM) * 2 + 2)
    lags = lags[lags < len(strength)]
    correlation = np.fft.irfft(np.abs(spectrum) ** 2)[: len(strength)]
    correlation = correlation / max(float(correlation[0]), 1e-12)
    first, last = int(60 * frames_per_s / HIGHEST_BPM), min(int(60 * frames_per_s / LOWEST_BPM), len(lags) // 2)
    if last <= first:
        return 0.0
    candidates = np.arange(first, last)
    octaves = np.log2(60 * frames_per_s / candidates / USUAL_BPM)
    weight = np.exp(-0.5 * (octaves / SPREAD_OCTAVES) ** 2)
    twice = correlation[2 * candidates]
    score = weight * (correlation[candidates] + 0.5 * twice)
    best = int(candidates[int(np.argmax(score))])
    if correlation[best] < LEAST_REGULARITY:
        return 0.0
    return _parabola(correlation.astype(np.float32), best)


def _parabola(values: Float, at: int) -> float:
    """Position of the maximum near an index, between the samples."""
    if not 0 < at < len(values) - 1:
        return float(at)
    before, here, after = (float(values[at + step]) for step in (-1, 0, 1))
    bend = before - 2 * here + after
    return at + (0.5 * (before - after) / bend if bend < 0 else 0.0)


def _path(strength: Float, period: float) -> np.ndarray:
    """Frames of the beats: the path with the most onset strength whose steps stay near the period."""
    steps = np.arange(round(period / 2), round(2 * period) + 1)
    cost = -TIGHTNESS * np.log(steps / period) ** 2
    total, back = np.array(strength, np.float64), np.full(len(strength), -1)
    for frame in range(steps[0], len(strength)):
        before = frame - steps
        known = before >= 0
        ways = total[before[known]] + cost[known]
        best = int(np.argmax(ways))
        if ways[best] > 0:
            total[frame] += ways[best]
            back[frame] = before[known][best]
    frame = len(strength) - steps[-1] + int(np.argmax(total[-steps[-1] :])) if len(strength) > steps[-1] else 0
    found = []
    while frame >= 0:
        found.append(frame)
        frame = back[frame]
    return np.array(found[::-1])


def _played(frames: np.ndarray, strength: Float) -> np.ndarray:
    """Leave out beats before the first and after the last that are heard."""
    heard = strength[frames] > 0.5 * np.sqrt(np.mean(strength[frames] ** 2))
    inside = np.flatnonzero(heard)
    return frames[inside[0] : inside[-1] + 1] if len(inside) else frames[:0]


def _refined(frames: np.ndarray, strength: Float) -> Float:
    return np.array([_parabola(strength, int(frame)) for frame in frames], np.float32)


def _first_of_bar(frames: np.ndarray, onsets: Float) -> int:
    """The phase of the bars whose beats have the strongest low onsets."""
    low = onsets[:, :LOW_BANDS].mean(axis=1)
    near = np.stack([low[np.clip(frames + step, 0, len(low) - 1)] for step in (-2, -1, 0, 1, 2)]).max(axis=0)
    return int(np.argmax([near[phase::BEATS_PER_BAR].mean() for phase in range(BEATS_PER_BAR)]))
