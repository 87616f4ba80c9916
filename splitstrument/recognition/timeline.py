"""What was recognised: probabilities over time, stretches in which an instrument plays, and sentences for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitstrument.recognition.classes import all_classes, class_names, classes_of_name
from splitstrument.spectrogram import Float

SONG_S = 6.0  # an instrument is in a song if it probably plays for so long, or for a tenth of a short one
GAP_S, SHORTEST_S = 4.0, 1.5
# of the threshold: below, an instrument is probably not there (of guitars and pianos of validation none was missed)
UNLIKELY = 0.85


@dataclass(frozen=True)
class Span:
    """A stretch of time in seconds."""

    start_s: float
    end_s: float


@dataclass(frozen=True)
class Timeline:
    """Probabilities over time.

    Attributes
    ----------
    every_s
        Distance of the values in seconds.
    duration_s
        Length of the song.
    probabilities
        Class or kind -> (n,) that it plays there.
    thresholds
        Class or kind -> probability from which it is taken to play.
    """

    every_s: float
    duration_s: float
    probabilities: dict[str, Float] = field(repr=False)
    thresholds: dict[str, float] = field(repr=False)

    def song_probability(self, name: str) -> float:
        """Probability that a class plays in the song: the mean of its most probable seconds, `SONG_S` of them."""
        values = np.sort(self.probabilities[name])[::-1]
        n_best = max(1, round(min(SONG_S, self.duration_s / 10 + self.every_s) / self.every_s))
        return float(values[:n_best].mean()) if len(values) else 0.0

    def plays(self, name: str) -> bool:
        """Tell whether a class is in the song."""
        return self.song_probability(name) >= self.thresholds[name]

    def found(self) -> list[str]:
        """Classes that play, the most probable against its threshold first."""
        names = [name for name in class_names() if self.plays(name)]
        return sorted(names, key=lambda name: self.thresholds[name] - self.song_probability(name))

    def kinds(self, name: str) -> list[str]:
        """Kinds of a class that play."""
        return [kind for kind, one in all_classes().items() if one.of == name and self.plays(kind)]

    def spans(self, name: str) -> list[Span]:
        """Stretches in which a class plays; gaps of less than `GAP_S` are closed, then short ones left out."""
        return _spans(self.probabilities[name] >= self.thresholds[name], self.every_s, self.duration_s)

    def sentence(self) -> str:
        """What plays and when, as `guitar 0:12-2:40, piano from 1:05`."""
        parts = [f"{self._title(name)} {when}" for name in self.found() if (when := self.when(name))]
        return ", ".join(parts) or "nothing that is known"

    def when(self, name: str) -> str:
        """When a class plays, in words; at most three stretches are told apart."""
        spans = self.spans(name)
        if not spans:
            return ""
        if len(spans) > 3:
            share = sum(span.end_s - span.start_s for span in spans) / max(self.duration_s, 1e-9)
            return f"{clock(spans[0].start_s)}-{clock(spans[-1].end_s)} (on and off, {share:.0%} of the song)"
        return " and ".join(self._span_text(span) for span in spans)

    def _span_text(self, span: Span) -> str:
        begins, ends = span.start_s < GAP_S, span.end_s > self.duration_s - GAP_S
        if begins and ends:
            return "throughout"
        if ends:
            return f"from {clock(span.start_s)}"
        return f"{clock(span.start_s)}-{clock(span.end_s)}"

    def _title(self, name: str) -> str:
        """Name of a class; of a guitar with its kind where one alone is heard."""
        known, kinds = all_classes(), self.kinds(name)
        return known[kinds[0]].title if len(kinds) == 1 else known[name].title

    def absent(self, target: str) -> str | None:
        """A sentence if an instrument that is looked for is probably not in the song; None if it may be.

        Parameters
        ----------
        target
            A name of an instrument or stem, such as a model's target; of one that is no class nothing is said.
        """
        names = classes_of_name(target)
        if not names or not len(self.probabilities[names[0]]):
            return None
        if any(self.song_probability(name) >= UNLIKELY * self.thresholds[name] for name in names):
            return None
        heard = [self._title(name) for name in self.found()]
        return f"There is probably no {target} in this song: {_list(heard)} heard."

    def rows(self) -> list[dict[str, Any]]:
        """What is found, for people: title, when in words, and stretches in seconds."""
        return [
            {
                "title": self._title(name),
                "when": self.when(name),
                "spans": [[round(span.start_s, 2), round(span.end_s, 2)] for span in self.spans(name)],
            }
            for name in self.found()
            if self.spans(name)
        ]

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON: probabilities to a hundredth, song by song and over time, and stretches."""
        return {
            "every_s": round(self.every_s, 4),
            "duration_s": round(self.duration_s, 3),
            "song": {name: round(self.song_probability(name), 3) for name in self.probabilities},
            "plays": self.found(),
            "kinds": {name: self.kinds(name) for name in self.found() if self.kinds(name)},
            "spans": {
                name: [[round(span.start_s, 2), round(span.end_s, 2)] for span in self.spans(name)]
                for name in self.found()
            },
            "titles": {name: one.title for name, one in all_classes().items()},
            "thresholds": self.thresholds,
            "probabilities": {
                name: np.round(curve.astype(np.float64), 2).tolist() for name, curve in self.probabilities.items()
            },
            "sentence": self.sentence(),
        }

    def summary(self) -> dict[str, Any]:
        """The same without what is long: for a sidecar."""
        data = self.as_dict()
        return {key: data[key] for key in ("song", "plays", "kinds", "spans", "sentence")}


def timeline_of(
    steps: Float,
    step_s: float,
    every_s: float,
    duration_s: float,
    classes: Sequence[str],
    thresholds: Mapping[str, float],
) -> Timeline:
    """Bring the network's answers to another distance in time.

    Parameters
    ----------
    steps
        (n_steps, n_classes) probabilities, `step_s` apart.
    every_s
        Distance of the values that are wanted: each is the mean of the steps that begin in it, or the step it lies in.
    """
    n_values = max(1, int(np.ceil(duration_s / every_s - 1e-9))) if len(steps) else 0
    starts = np.arange(n_values) * every_s
    first = np.minimum((starts / step_s + 1e-6).astype(int), max(0, len(steps) - 1))
    last = np.clip(np.ceil((starts + every_s) / step_s - 1e-6).astype(int), first + 1, len(steps) or 1)
    sums = np.concatenate([np.zeros((1, len(classes))), np.cumsum(steps, axis=0, dtype=np.float64)])
    means = ((sums[last] - sums[first]) / (last - first)[:, None]).astype(np.float32) if len(steps) else sums[:0]
    curves = {name: means[:, index] for index, name in enumerate(classes)}
    return Timeline(every_s, duration_s, curves, dict(thresholds))


def _spans(on: NDArray[np.bool_], every_s: float, duration_s: float) -> list[Span]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], on, [False]]).astype(int)))
    spans = [
        Span(start * every_s, min(end * every_s, duration_s))
        for start, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
    ]
    joined: list[Span] = []
    for span in spans:
        if joined and span.start_s - joined[-1].end_s < GAP_S:
            span = Span(joined.pop().start_s, span.end_s)
        joined.append(span)
    shortest = min(SHORTEST_S, duration_s / 2)
    return [span for span in joined if span.end_s - span.start_s >= shortest]


def clock(seconds: float) -> str:
    """Seconds as minutes:seconds, or hours:minutes:seconds.

    >>> clock(65.4), clock(3725)
    ('1:05', '1:02:05')
    """
    minutes, rest = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _list(words: list[str]) -> str:
    """Words as a subject with its verb."""
    if not words:
        return "nothing that is known was"
    if len(words) == 1:
        return f"{words[0]} was"
    return f"{', '.join(words[:-1])} and {words[-1]} were"
