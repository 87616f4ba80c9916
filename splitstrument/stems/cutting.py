"""Apply a plan of cuts to a file: block by block, with a cross-fade at every join."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import soundfile

from splitstrument.audio import Audio, check_finite, open_audio
from splitstrument.stems.silence import CutPlan, Ranges

BLOCK = 1 << 16


def cut_blocks(path: str | Path, cuts: Ranges, fade: int) -> Iterator[Audio]:
    """Blocks of the file at `path` without `cuts`.

    Parameters
    ----------
    cuts
        (n, 2) start and end in samples, in order, each longer than `fade`.
    fade
        Samples of cross-fade from the start of each cut into its end; at the file's ends it fades from and to zero.
    """
    with open_audio(path) as file:
        n_samples = file.frames
        edges = [0, *cuts.ravel().tolist(), n_samples]
        for index, (start, end) in enumerate(pairwise(edges)):
            if index % 2:
                yield _join(file, start, end, fade)
            else:
                yield from _read(file, start, end)


def _join(file: soundfile.SoundFile, start: int, end: int, fade: int) -> Audio:
    """What remains of the cut from `start` to `end`."""
    weight = _ramp(fade)[:, None]
    n_samples = file.frames
    before = next(_read(file, start, start + fade), None) if start and fade else None
    after = next(_read(file, end - fade, end), None) if end < n_samples and fade else None
    joined = np.zeros((fade, file.channels), np.float32)
    if before is not None:
        joined += before * (1 - weight)
    if after is not None:
        joined += after * weight
    return joined


def _ramp(n_samples: int) -> np.ndarray:
    """Raised cosine from 0 to 1."""
    return (0.5 - 0.5 * np.cos(np.pi * (np.arange(n_samples) + 0.5) / max(n_samples, 1))).astype(np.float32)


def _read(file: soundfile.SoundFile, start: int, end: int) -> Iterator[Audio]:
    file.seek(start)
    for position in range(start, end, BLOCK):
        block = file.read(min(BLOCK, end - position), dtype="float32", always_2d=True)
        check_finite(block, file.name)
        yield block


def scaled_cuts(plan: CutPlan, from_hz: int, to_hz: int, n_samples: int) -> tuple[Ranges, int]:
    """The plan's cuts and fade for the same track at another rate, where it has `n_samples`."""
    cuts = np.round(plan.cuts * (to_hz / from_hz)).astype(np.int64)
    cuts[plan.cuts == plan.n_samples] = n_samples
    return np.minimum(cuts, n_samples), round(plan.fade * to_hz / from_hz)
