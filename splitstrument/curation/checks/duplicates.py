"""The same audio under two names: candidates by fingerprint, proof by cross-correlation of the waveforms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from splitstrument import audio
from splitstrument.curation.checks.fingerprints import HOP, RATE_HZ, Fingerprint
from splitstrument.curation.checks.settings import CheckSettings

MAX_SHARED = 24  # a landmark in more places than this says nothing
MIN_VOTES, MIN_VOTE_SHARE = 12, 0.02
SEGMENT_S, N_SEGMENTS, SEARCH_S = 6.0, 5, 0.1


@dataclass(frozen=True)
class Candidate:
    """Two stems that share landmarks; `frames` is how much later they come in the second."""

    first: str
    second: str
    frames: int
    votes: int


@dataclass(frozen=True)
class Duplicate:
    """Two stems that are one recording.

    Attributes
    ----------
    shift_s
        How much later the audio comes in the second stem.
    correlation
        Of the waveforms at that shift; negative where one is inverted.
    gain_db
        Level of the second relative to the first.
    start_s
        A second of the first stem at which the match was heard.
    """

    first: str
    second: str
    shift_s: float
    correlation: float
    gain_db: float
    start_s: float

    def message(self, other: str) -> str:
        """Say it in words, as seen from the other side of `other`."""
        shift = self.shift_s if other == self.second else -self.shift_s
        details = [f"correlation {abs(self.correlation):.3f}"]
        if abs(shift) > 0.0005:
            details.append(f"which comes {abs(shift):.3f} s {'later' if shift > 0 else 'earlier'}")
        if self.correlation < 0:
            details.append("inverted")
        if abs(self.gain_db) > 0.5:
            gain = self.gain_db if other == self.second else -self.gain_db
            details.append(f"{gain:+.1f} dB")
        return f"same audio as {other} ({', '.join(details)})"


def find_duplicates(
    fingerprints: Mapping[str, Fingerprint], paths: Mapping[str, Path], settings: CheckSettings
) -> list[Duplicate]:
    """Find stems that are one recording.

    Parameters
    ----------
    fingerprints, paths
        Of every stem, by name.
    """
    found = [verify(candidate, paths) for candidate in candidates(fingerprints)]
    return [one for one in found if one is not None and abs(one.correlation) >= settings.duplicate_correlation]


def candidates(fingerprints: Mapping[str, Fingerprint]) -> list[Candidate]:
    """Pairs of stems with many landmarks at one offset, the most votes first; at most one per pair."""
    names = list(fingerprints)
    hashes = np.concatenate([fingerprints[name].hashes for name in names] or [np.zeros(0, np.uint32)])
    frames = np.concatenate([fingerprints[name].frames for name in names] or [np.zeros(0, np.int32)])
    owners = np.repeat(np.arange(len(names)), [len(fingerprints[name].hashes) for name in names])
    votes = _votes(hashes, frames.astype(np.int64), owners.astype(np.int64), len(names))
    sizes = [len(fingerprints[name].hashes) for name in names]
    best: dict[tuple[int, int], Candidate] = {}
    for first, second, offset, count in votes:
        needed = max(MIN_VOTES, MIN_VOTE_SHARE * min(sizes[first], sizes[second]))
        if count >= needed and (first, second) not in best:
            best[first, second] = Candidate(names[first], names[second], int(offset), int(count))
    return list(best.values())


def _votes(hashes: np.ndarray, frames: np.ndarray, owners: np.ndarray, n_names: int) -> list[tuple[int, int, int, int]]:
    """Count (first, second, offset) over all pairs of equal hashes; most votes first."""
    order = np.argsort(hashes, kind="stable")
    hashes, frames, owners = hashes[order], frames[order], owners[order]
    keys = []
    for step in range(1, MAX_SHARED):
        same = np.flatnonzero(hashes[step:] == hashes[:-step])
        left, right = owners[same], owners[same + step]
        swapped = left > right
        offset = np.where(swapped, frames[same] - frames[same + step], frames[same + step] - frames[same])
        low, high = np.minimum(left, right), np.maximum(left, right)
        other = low != high
        keys.append(((low * n_names + high)[other] << 24) + (offset[other] + (1 << 23)))
    values, counts = np.unique(np.concatenate(keys) if keys else np.zeros(0, np.int64), return_counts=True)
    counts[:-1] += np.where(np.diff(values) == 1, counts[1:], 0)  # a shift between two frames votes for both
    strong = np.flatnonzero(counts >= MIN_VOTES)
    strong = strong[np.argsort(-counts[strong], kind="stable")]
    pairs, offsets = values[strong] >> 24, (values[strong] & ((1 << 24) - 1)) - (1 << 23)
    return [
        (int(pair // n_names), int(pair % n_names), int(offset), int(count))
        for pair, offset, count in zip(pairs, offsets, counts[strong], strict=True)
    ]


def verify(candidate: Candidate, paths: Mapping[str, Path]) -> Duplicate | None:
    """Correlate the waveforms at the candidate's offset in several places; None where there is nothing to compare."""
    first, second = paths[candidate.first], paths[candidate.second]
    shift = candidate.frames * HOP / RATE_HZ
    start, end = max(0.0, -shift), min(audio.probe(first).duration_s, audio.probe(second).duration_s - shift)
    heard = []
    for place in np.linspace(start, max(start, end - SEGMENT_S), N_SEGMENTS):
        heard.append((*_correlate(_segment(first, place), _segment(second, place + shift)), place))
    heard = [one for one in heard if np.isfinite(one[0])]
    if not heard:
        return None
    heard.sort(key=lambda one: abs(one[0]))
    correlation, lag, gain, place = heard[len(heard) // 2]
    return Duplicate(candidate.first, candidate.second, shift + lag, correlation, gain, round(float(place), 2))


def _segment(path: Path, start_s: float) -> np.ndarray:
    rate = audio.probe(path).sample_rate_hz
    start, extra = round(start_s * rate), min(0, round(start_s * rate))
    samples = audio.read(path, start=max(0, start), n_samples=max(0, round(SEGMENT_S * rate) + extra), mono=True)[0]
    samples = np.pad(samples, ((-extra, 0), (0, 0)))
    return audio.resample(samples, rate, RATE_HZ)[:, 0].astype(np.float64)


def _correlate(x: np.ndarray, y: np.ndarray) -> tuple[float, float, float]:
    """Correlation of the strongest lag within `SEARCH_S`, the lag in seconds, and y's gain in dB; NaN for silence."""
    n = min(len(x), len(y))
    x, y = x[:n], y[:n]
    energy = np.sqrt(np.sum(x**2) * np.sum(y**2))
    if n < RATE_HZ or min(np.mean(x**2), np.mean(y**2)) < 1e-8:
        return np.nan, 0.0, 0.0
    size = 2 ** int(np.ceil(np.log2(2 * n)))
    correlation = np.fft.irfft(np.fft.rfft(y, size) * np.fft.rfft(x, size).conj(), size)
    reach = round(SEARCH_S * RATE_HZ)
    lags = np.arange(-reach, reach + 1)
    best = lags[np.argmax(np.abs(correlation[lags]))]
    gain = 10 * np.log10(np.sum(y**2) / np.sum(x**2))
    return float(correlation[best] / energy), float(best / RATE_HZ), float(gain)
