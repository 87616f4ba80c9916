"""All metrics of one track: instrument and rest, of any number of systems at once.

A score is a mapping ``{"instrument": {...}, "rest": {...}}`` with the keys of the registry. A metric that is undefined
is None, never NaN: SDR, SIR, SAR and the scale-invariant ones of a silent reference or estimate, SIR where there is
nothing else in the mixture, leakage of a reference that is never silent.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from numpy.typing import NDArray

from splitstrument.evaluation.metrics.bss_meter import V4
from splitstrument.evaluation.metrics.metric import SOURCES, Block, Meter, Track, Values
from splitstrument.evaluation.metrics.registry import families, metrics

BLOCK = 1 << 16

Score = dict[str, Values]
# gives references (2, n_samples, n_channels) and estimates (n_systems, 2, n_samples, n_channels), block after block;
# called once for every pass
TrackBlocks = Callable[[], Iterator[tuple[NDArray, NDArray]]]


def score_pair(references: NDArray, estimates: NDArray, sample_rate_hz: int, framewise: bool = True) -> Score:
    """Score one track that is in memory.

    Parameters
    ----------
    references, estimates : (2, n_samples, n_channels)
        Instrument and rest.
    sample_rate_hz
        Needed for what is counted in seconds.
    framewise
        Also compute BSS Eval v4.

    Returns
    -------
    score
        See the module's docstring.

    Examples
    --------
    >>> score_pair(np.stack([guitar, rest]), np.stack([estimate, mixture - estimate]), 22050)["instrument"]["si_sdr"]
    """
    references, estimates = np.asarray(references), np.asarray(estimates)
    if references.shape != estimates.shape or references.ndim != 3 or len(references) != 2:
        raise ValueError(
            "references and estimates must both be (2, n_samples, n_channels): instrument and rest. "
            f"Received: {references.shape} and {estimates.shape}"
        )

    def blocks() -> Iterator[tuple[NDArray, NDArray]]:
        for start in range(0, references.shape[1], BLOCK):
            yield references[:, start : start + BLOCK], estimates[None, :, start : start + BLOCK]

    return score_blocks(blocks, 1, references.shape[2], sample_rate_hz, framewise)[0]


def wanted_metrics(framewise: bool = True) -> frozenset[str]:
    """Keys of all metrics, with or without BSS Eval v4."""
    return frozenset(metrics()) - (frozenset() if framewise else frozenset(V4))


def score_blocks(
    blocks: TrackBlocks,
    n_systems: int,
    n_channels: int,
    sample_rate_hz: int,
    framewise: bool = True,
    threads: int = 1,
) -> list[Score]:
    """Score all systems of one track of any length in at most two passes; memory does not grow with the track.

    BSS Eval v3 sees the mean of the channels, as in the thesis; every other metric all channels together. With several
    `threads` the metrics work side by side; their values stay the same.
    """
    track = Track(n_systems, n_channels, sample_rate_hz, wanted_metrics(framewise))
    meters = [family.open(track) for family in families()]
    with ThreadPoolExecutor(threads) as pool:
        for references, estimates in blocks():
            block = Block(references, estimates)
            _together(pool, threads, [partial(meter.add, block) for meter in meters])
        again = [meter for meter in meters if meter.end_pass()]
        for references, estimates in blocks() if again else ():
            block = Block(references, estimates)
            _together(pool, threads, [partial(meter.add_again, block) for meter in again])
    for meter in meters:
        meter.finish()
    return [
        {source: _values(meters, system, index, track) for index, source in enumerate(SOURCES)}
        for system in range(n_systems)
    ]


def _together(pool: ThreadPoolExecutor, threads: int, calls: list[Callable[[], None]]) -> None:
    """Run all calls, in this thread if one is all there is."""
    if threads == 1:
        for call in calls:
            call()
    else:
        for done in [pool.submit(call) for call in calls]:
            done.result()


def _values(meters: list[Meter], system: int, source: int, track: Track) -> Values:
    """Values in the order of the registry; what was not asked for and what is NaN is None."""
    found = {key: value for meter in meters for key, value in meter.scores(system, source).items()}
    return {key: _defined(found.get(key)) if key in track.wanted else None for key in metrics()}


def _defined(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else float(value)
