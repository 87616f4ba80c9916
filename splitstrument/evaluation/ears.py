"""Metrics beside ears: how well each metric orders the stimuli of a listening test as the listeners did.

The ratings are those of ``mushra`` tests (`splitstrument.evaluation.listening`) without unreliable sessions; a stimulus
is one system on one track, its rating the mean over listeners. The anchor is the mixture, which evaluations score, too;
the hidden reference has no finite score and is left out. A test rates eight seconds of each track at equal loudness,
the metrics are those of the whole track: part of the disagreement is that, and no metric of level can show its worth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from splitstrument.errors import DatasetError
from splitstrument.evaluation.listening import ANCHOR, Ratings, unique_names, unreliable_sessions
from splitstrument.evaluation.metrics.registry import metrics
from splitstrument.evaluation.report.data import Evaluation
from splitstrument.evaluation.schema import ESTIMATE
from splitstrument.evaluation.statistics import LEVEL, SEED, kendall_tau

N_RESAMPLES = 1000
FEWEST = 4  # stimuli that a correlation is given for
Stimulus = tuple[str, str]  # track, system


@dataclass(frozen=True)
class Agreement:
    """Kendall's tau-b of a metric and the ratings of one instrument.

    Attributes
    ----------
    tau
        From -1 to 1; 1 where the metric orders all stimuli as the listeners did, also for metrics of which less is
        better.
    low, high
        95 % interval, by resampling tracks.
    """

    instrument: str
    metric: str
    n_stimuli: int
    n_tracks: int
    tau: float
    low: float
    high: float


def agreements(evaluations: Sequence[Evaluation], ratings: Path) -> list[Agreement]:
    """Rank correlations for each instrument, the metric that follows the listeners best first.

    Parameters
    ----------
    evaluations
        Those that were listened to, in the order in which the test was given them.
    ratings
        The test's ``ratings.csv``.

    Raises
    ------
    DatasetError
        If there is no such file, or no rating in it is of these evaluations.
    """
    if not ratings.is_file():
        raise DatasetError(f"There is no {ratings}: `splitstrument listen` writes it into its output folder.")
    heard = _mean_ratings(Ratings(ratings).rows)
    instruments: dict[str, list[tuple[str, Evaluation]]] = {}
    for name, evaluation in zip(unique_names(list(evaluations)), evaluations, strict=True):
        instruments.setdefault(evaluation.instrument, []).append((name, evaluation))
    found = [
        agreement
        for instrument, systems in instruments.items()
        for agreement in sorted(_of_instrument(instrument, systems, heard), key=lambda each: -each.tau)
    ]
    if not found:
        raise DatasetError(
            f"{ratings} has no {FEWEST} ratings (of the kind mushra) of tracks and systems that are evaluated here: "
            "give the evaluations of the listening test, in the same order."
        )
    return found


def _mean_ratings(rows: Sequence[Mapping[str, str]]) -> dict[Stimulus, float]:
    mine = [dict(row) for row in rows if row["kind"] == "mushra"]
    excluded = unreliable_sessions(mine)
    given: dict[Stimulus, list[float]] = {}
    for row in mine:
        if row["session"] not in excluded:
            given.setdefault((row["track"], row["system"]), []).append(float(row["rating"]))
    return {stimulus: float(np.mean(values)) for stimulus, values in given.items()}


def _of_instrument(
    instrument: str, systems: Sequence[tuple[str, Evaluation]], heard: Mapping[Stimulus, float]
) -> list[Agreement]:
    scores = _scores(systems)
    found = []
    for key, metric in metrics().items():
        known = [
            one for one in scores if one in heard and (value := scores[one].get(key)) is not None and np.isfinite(value)
        ]
        sign = -1 if metric.better == "lower" else 1
        values = np.array([sign * float(scores[one][key] or 0) for one in known])
        rated = np.array([heard[one] for one in known])
        tracks = np.array([track for track, _ in known])
        if len(known) >= FEWEST and (tau := kendall_tau(values, rated)) is not None:
            low, high = _interval(values, rated, tracks)
            found.append(Agreement(instrument, key, len(known), len(set(tracks)), tau, low, high))
    return found


def _scores(systems: Sequence[tuple[str, Evaluation]]) -> dict[Stimulus, Mapping[str, float | None]]:
    """Metrics of the instrument by stimulus; the anchor's are the same in all evaluations."""
    scores: dict[Stimulus, Mapping[str, float | None]] = {}
    for name, evaluation in systems:
        for track in evaluation.record["tracks"]:
            for system, label in ((ESTIMATE, name), ("mixture", ANCHOR)):
                if system in track["scores"]:
                    scores[track["track"], label] = track["scores"][system]["instrument"]
    return scores


def _interval(values: NDArray, rated: NDArray, tracks: NDArray) -> tuple[float, float]:
    """Percentile bootstrap of the tracks, whose stimuli hang together."""
    rng, names = np.random.default_rng(SEED), np.unique(tracks)
    places = [np.flatnonzero(tracks == name) for name in names]
    draws = rng.integers(0, len(names), (N_RESAMPLES, len(names)))
    chosen = (np.concatenate([places[index] for index in draw]) for draw in draws)
    taus = [tau for index in chosen if (tau := kendall_tau(values[index], rated[index])) is not None]
    low, high = np.quantile(taus, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
