"""Fit the fixed EQ over many songs, here or on a cluster."""

from __future__ import annotations

from functools import partial

from splitstrument.evaluation.systems import EqFit
from splitstrument.evaluation.task import Workers
from splitstrument.evaluation.tracks import resampled_pair_blocks
from splitstrument.executor import map_tracks, track_executor
from splitstrument.pairs import Pair
from splitstrument.progress import progress


def fit_eq(pairs: list[Pair], sample_rate_hz: int, n_fft: int, workers: Workers | None = None) -> EqFit:
    """Fit the fixed EQ on all `pairs`, brought to one rate."""
    workers, fit = workers or Workers(), EqFit(sample_rate_hz, n_fft)
    work = partial(_eq_sums, sample_rate_hz=sample_rate_hz, n_fft=n_fft)
    with (
        track_executor(workers.jobs, workers.scheduler) as executor,
        progress("fitting the EQ", len(pairs), "tracks", workers.quiet) as advance,
    ):
        for outcome in map_tracks(work, pairs, executor):
            fit.sums.update(outcome.get().sums)
            advance(1, outcome.item.name)
    return fit


def _eq_sums(pair: Pair, sample_rate_hz: int, n_fft: int) -> EqFit:
    fit = EqFit(sample_rate_hz, n_fft)
    fit.add(pair.name, resampled_pair_blocks(pair, sample_rate_hz))
    return fit
