"""Blind listening tests on the excerpts of evaluations: stimuli, hidden order, ratings and their statistics.

Two kinds:

- ``mushra`` (after ITU-R BS.1534): every system of a track beside the open reference, rated 0 to 100; the reference
  hides among them, and so does an anchor, the unprocessed mixture;
- ``ab``: two systems at a time, which one is closer to the reference, or neither.

All stimuli of a trial have the same loudness (ITU-R BS.1770) and none clips. Which letter hides which system depends on
the session's secret and the trial alone, so a restarted server shows the same page again.
"""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import soundfile
from numpy.typing import NDArray

from splitstrument import audio
from splitstrument.errors import DatasetError, missing_extra
from splitstrument.evaluation.report.data import Evaluation
from splitstrument.evaluation.statistics import bootstrap_interval, sign_flip_p
from splitstrument.files import inside, write_text
from splitstrument.separation.options import INSTRUMENT
from splitstrument.tables import csv_cell, csv_text_of

Kind = Literal["mushra", "ab"]
REFERENCE, ANCHOR = "hidden reference", "anchor (mixture)"
LOUDNESS_LUFS = -23.0
PEAK = 0.97
MIN_LOUDNESS_S = 0.4
COLUMNS = ("session", "listener", "trial", "kind", "track", "system", "rating", "other", "seconds", "utc")
# BS.1534-3, 4.1.2: exclude a listener who rates the hidden reference under 90 in more than 15 % of the trials
REFERENCE_AT_LEAST, MAX_MISSED_SHARE = 90, 0.15


@dataclass(frozen=True)
class Trial:
    """One page of a test.

    Attributes
    ----------
    stimuli
        System -> file; for ``mushra`` with the hidden reference and the anchor.
    """

    track: str
    reference: Path
    stimuli: dict[str, Path]


def make_trials(evaluations: list[Evaluation], kind: Kind, max_trials: int | None = None) -> list[Trial]:
    """Trials for the tracks that all evaluations have excerpts of.

    Raises
    ------
    DatasetError
        If there is no common track, too few systems for an A/B test, or evaluations of different stems.
    """
    _check_one_stem(evaluations)
    systems = unique_names(evaluations)
    if kind == "ab" and len(systems) < 2:
        raise DatasetError("An A/B test compares two evaluations of the same tracks: name at least two.")
    excerpts = [_excerpts(evaluation) for evaluation in evaluations]
    common = sorted(set.intersection(*map(set, excerpts)))
    if not common:
        raise DatasetError("The evaluations have no track with an excerpt in common: evaluate them on the same tracks.")
    trials = []
    for track in common:
        stimuli = {name: files[track]["estimate"] for name, files in zip(systems, excerpts, strict=True)}
        reference = excerpts[0][track]["instrument"]
        if kind == "mushra":
            stimuli |= {REFERENCE: reference, ANCHOR: excerpts[0][track]["mixture"]}
            trials.append(Trial(track, reference, stimuli))
        else:
            pairs = itertools.combinations(stimuli, 2)
            trials += [Trial(track, reference, {name: stimuli[name] for name in pair}) for pair in pairs]
    return trials[:max_trials]


def _check_one_stem(evaluations: list[Evaluation]) -> None:
    """Refuse different instruments of the same tracks: their references differ. Some records name none."""
    known = sorted({evaluation.instrument for evaluation in evaluations} - {INSTRUMENT})
    if len(known) > 1:
        raise DatasetError(
            f"The evaluations are of different stems ({', '.join(known)}): name the folder of one stem, "
            f"such as {evaluations[0].folder}."
        )


def mix_trials(folder: Path, kind: Kind, max_trials: int | None = None) -> list[Trial]:
    """Trials for mixes of songs, as `splitstrument.mixing.distance` keeps them: the published mix is the reference.

    In a ``mushra`` test the automatic mix stands beside the hidden reference, and no mix is the anchor; an ``ab`` test
    asks which of the two is closer.

    Raises
    ------
    DatasetError
        If the folder holds no such mixes.
    """
    songs = sorted((folder / "published").glob("*.wav"))
    if not songs:
        raise DatasetError(f"{folder} holds no mixes: make some with `python -m splitstrument.mixing.distance -o`.")
    trials = []
    for song in songs:
        raw, automatic = (folder / name / song.name for name in ("no_mix", "automatic"))
        named = {"automatic": automatic, ANCHOR: raw, REFERENCE: song}
        trials.append(Trial(song.stem, song, named if kind == "mushra" else {"no_mix": raw, "automatic": automatic}))
    return trials[:max_trials]


def hidden_order(session: str, trial: int, systems: Iterable[str]) -> list[str]:
    """Systems in the order in which a session's trial shows them."""
    return sorted(systems, key=lambda system: hashlib.sha256(f"{session}/{trial}/{system}".encode()).digest())


def trial_order(session: str, n_trials: int) -> list[int]:
    """Order in which a session goes through the trials."""
    return [int(name) for name in hidden_order(session, -1, map(str, range(n_trials)))]


def matched_stimuli(trial: Trial) -> dict[str, bytes]:
    """WAV files of a trial at one loudness; ``reference`` is the open one."""
    signals = {name: audio.read(path) for name, path in {"reference": trial.reference, **trial.stimuli}.items()}
    levelled = {name: signal * _loudness_gain(signal, rate) for name, (signal, rate) in signals.items()}
    peak = max(float(np.abs(signal).max()) for signal in levelled.values())
    gain = min(1.0, PEAK / max(peak, 1e-9))  # one gain for all, or the loudness would differ again
    return {name: _wav(signal * np.float32(gain), signals[name][1]) for name, signal in levelled.items()}


def _loudness_gain(signal: NDArray, rate: int) -> np.float32:
    try:
        import pyloudnorm
    except ImportError:
        raise missing_extra("A listening test", "train") from None
    if len(signal) <= MIN_LOUDNESS_S * rate:
        return np.float32(1)
    loudness = pyloudnorm.Meter(rate).integrated_loudness(signal.astype(np.float64))
    return np.float32(10 ** ((LOUDNESS_LUFS - loudness) / 20) if np.isfinite(loudness) else 1)


def _wav(signal: NDArray, rate: int) -> bytes:
    stream = io.BytesIO()
    soundfile.write(stream, signal, rate, format="WAV", subtype="PCM_16")
    return stream.getvalue()


class Ratings:
    """All answers of a test in one CSV file, whole after every answer."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, str]] = []
        if path.is_file():
            with path.open(encoding="utf-8", newline="") as file:
                self.rows = [{key: csv_text_of(cell) for key, cell in row.items()} for row in csv.DictReader(file)]

    def replace(self, rows: list[dict[str, Any]]) -> None:
        """Add the rows of one trial; an earlier answer of the same session to it is replaced."""
        key = (rows[0]["session"], str(rows[0]["trial"]))
        kept = [row for row in self.rows if (row["session"], row["trial"]) != key]
        self.rows = kept + [{name: str(row.get(name, "")) for name in COLUMNS} for row in rows]
        write_text(self.path, self.text())

    def answered(self, session: str) -> set[int]:
        """Trials that a session has answered."""
        return {int(row["trial"]) for row in self.rows if row["session"] == session}

    def text(self) -> str:
        """The CSV file's contents."""
        stream = io.StringIO()
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: csv_cell(value) for key, value in row.items()} for row in self.rows)
        return stream.getvalue()


def unreliable_sessions(rows: list[dict[str, str]]) -> set[str]:
    """Sessions that rated the hidden reference under 90 in more than 15 % of their trials."""
    marks: dict[str, list[float]] = {}
    for row in rows:
        if row["kind"] == "mushra" and row["system"] == REFERENCE:
            marks.setdefault(row["session"], []).append(float(row["rating"]))
    return {
        session
        for session, values in marks.items()
        if np.mean(np.array(values) < REFERENCE_AT_LEAST) > MAX_MISSED_SHARE
    }


def mushra_results(rows: list[dict[str, str]]) -> list[dict[str, Any]]:
    """Mean, median and a 95 % bootstrap interval of the mean per system, best first; unreliable sessions left out."""
    excluded = unreliable_sessions(rows)
    ratings: dict[str, list[float]] = {}
    for row in rows:
        if row["kind"] == "mushra" and row["session"] not in excluded:
            ratings.setdefault(row["system"], []).append(float(row["rating"]))
    results = []
    for system, values in ratings.items():
        low, high = bootstrap_interval(np.array(values), np.mean)
        middle = {"mean": float(np.mean(values)), "median": float(np.median(values))}
        results.append({"system": system, **middle, "low": low, "high": high, "n": len(values)})
    return sorted(results, key=lambda result: -result["mean"])


def ab_results(rows: list[dict[str, str]]) -> list[dict[str, Any]]:
    """Per pair of systems: how often each was preferred, how often neither, and a two-sided sign test."""
    tallies: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        if row["kind"] == "ab":
            first, second = sorted((row["system"], row["other"]))
            sign = 0.0 if row["rating"] == "0" else (1.0 if row["system"] == first else -1.0)
            tallies.setdefault((first, second), []).append(sign)
    return [
        {
            "first": first,
            "second": second,
            "first_preferred": int(np.sum(np.array(signs) > 0)),
            "second_preferred": int(np.sum(np.array(signs) < 0)),
            "no_difference": int(np.sum(np.array(signs) == 0)),
            "p": sign_flip_p(np.array([s for s in signs if s])) if any(signs) else None,
        }
        for (first, second), signs in sorted(tallies.items())
    ]


def _excerpts(evaluation: Evaluation) -> dict[str, dict[str, Path]]:
    """Track -> signal -> file, for the excerpts that are there."""
    found = {}
    for track in evaluation.record["tracks"]:
        files = {
            name: evaluation.folder / str(path) for name, path in track.get("excerpt", {}).get("files", {}).items()
        }
        if files and all(path.is_file() and inside(evaluation.folder, path) for path in files.values()):
            found[track["track"]] = files
    return found


def unique_names(evaluations: list[Evaluation]) -> list[str]:
    """Return the names under which a listening test knows the evaluations."""
    names = [evaluation.name for evaluation in evaluations]
    return [name if names.count(name) == 1 else f"{name} ({i + 1})" for i, name in enumerate(names)]
