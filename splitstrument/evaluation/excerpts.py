"""A few seconds of every evaluated track, kept for listening and for the spectrograms of the report.

The place depends on the references alone, so that excerpts of different models on one track can be compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from splitstrument import audio
from splitstrument.evaluation.schema import ExcerptRecord
from splitstrument.evaluation.tracks import EstimateFiles, pair_blocks
from splitstrument.files import safe_path
from splitstrument.pairs import Pair

EXCERPT_S = 8.0
SIGNALS = ("mixture", "instrument", "estimate")


def write_excerpt(pair: Pair, estimates: EstimateFiles, folder: Path) -> ExcerptRecord:
    """Write ``excerpts/<track>/{mixture,instrument,estimate}.flac`` below `folder`; one gain keeps them in range.

    Returns
    -------
    record
        Start and length in seconds, the gain in dB, and the files relative to `folder`.
    """
    rate = audio.probe(pair.instrument).sample_rate_hz
    start = excerpt_start(pair, rate)
    n_samples = round(EXCERPT_S * rate)
    signals = _cut(estimates.beside(pair_blocks(pair)), start, n_samples)
    gain = min(1.0, 0.99 / max(float(np.abs(signals).max()), 1e-9))
    files = {}
    for name, signal in zip(SIGNALS, signals, strict=True):
        path = Path("excerpts") / safe_path(pair.name) / f"{name}.flac"
        audio.write(folder / path, signal * np.float32(gain), rate, "PCM_16")
        files[name] = path.as_posix()
    return {
        "start_s": start / rate,
        "duration_s": signals.shape[1] / rate,
        "gain_db": round(20 * np.log10(gain), 3),
        "files": files,
    }


def excerpt_start(pair: Pair, sample_rate_hz: int) -> int:
    """First sample of the window of `EXCERPT_S` in which the quieter of instrument and rest is loudest, by seconds."""
    seconds = [np.sum(block.astype(np.float64) ** 2, axis=(1, 2)) for block in pair_blocks(pair, sample_rate_hz)]
    width = min(round(EXCERPT_S), len(seconds))
    sums = np.cumsum(np.concatenate([np.zeros((1, 2)), np.array(seconds)]), axis=0)
    windows = sums[width:] - sums[:-width]
    return int(np.argmax(windows.min(axis=1))) * sample_rate_hz


def _cut(blocks: Iterator[tuple[NDArray, NDArray]], start: int, n_samples: int) -> NDArray:
    """Mixture, instrument and its estimate, (3, up to n_samples, n_channels)."""
    parts, position = [], 0
    for references, estimates in blocks:
        signals = np.stack([references.sum(axis=0), references[0], estimates[0]])
        first, last = start - position, start + n_samples - position
        position += signals.shape[1]
        if last > 0 and first < signals.shape[1]:
            parts.append(signals[:, max(0, first) : last])
        if position >= start + n_samples:
            break
    return np.concatenate(parts, axis=1)
