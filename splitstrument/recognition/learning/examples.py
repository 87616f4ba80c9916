"""Labelled excerpts of three seconds to choose and score by: those of whole songs, and solos over moments of songs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from splitstrument import audio
from splitstrument.files import atomic_path
from splitstrument.recognition.features import CHUNK_FRAMES, HOP, RATE_HZ, chunk_mels, chunk_samples, to_network
from splitstrument.recognition.learning.overlay import step_labels
from splitstrument.recognition.learning.pool import LISTING
from splitstrument.recognition.learning.truth import read_players, truth_of_class, truth_of_stem
from splitstrument.settings import read_yaml
from splitstrument.spectrogram import Float
from splitstrument.stem_set import SetTrack, StemSet, read_set

PLAYED_STEPS = 2  # of eight: in so many a class must be heard to count as playing
OVERLAY_DB = (-8.0, 2.0)


@dataclass(frozen=True)
class Examples:
    """Excerpts with what is known of them.

    Attributes
    ----------
    features
        (n, n_frames, n_mels) as the network takes them.
    labels
        (n, n_classes): 1 plays, 0 does not, NaN unknown.
    song
        (n,) names.
    """

    features: Float
    labels: Float
    song: np.ndarray

    def __len__(self) -> int:
        return len(self.features)


def of_sets(roots: Iterable[Path]) -> Examples:
    """Every three seconds of the songs of stem sets, one after the other."""
    found = [(f"{root.name}/{track.name}", *one) for root in roots for track, one in _windows_of_set(read_set(root))]
    return _joined(found)


def _windows_of_set(stems: StemSet) -> Iterator[tuple[SetTrack, tuple[Float, Float]]]:
    for track in stems.tracks.values():
        players = read_players(stems.root, track.name)
        names = list(track.stems)
        flags = [truth_of_stem(track, stem, players).vectors() for stem in names]
        is_, may_be = np.array([yes for yes, _ in flags]), np.array([maybe for _, maybe in flags])
        sounds = [audio.read(stems.path(track, stem))[0] for stem in names]
        for start in range(0, len(sounds[0]) - chunk_samples(), CHUNK_FRAMES * HOP):
            parts = [sound[start : start + chunk_samples()] for sound in sounds]
            features = to_network(chunk_mels(np.sum(parts, axis=0)))
            yield track, (features, window_labels(step_labels(parts, is_, may_be)))


def of_parts(parts: Path, under: Iterable[Path], seed: int = 24) -> Examples:
    """Solo parts, each third alone and the others over three seconds of a song of the stem sets `under`."""
    rng = np.random.default_rng(seed)
    sets = [read_set(root) for root in under]
    found = []
    for name, entry in read_yaml(parts / LISTING)["parts"].items():
        sound = audio.read(parts / f"{name}.flac")[0]
        for index, start in enumerate(range(0, len(sound) - chunk_samples(), chunk_samples())):
            solo, truth = sound[start : start + chunk_samples()], truth_of_class(entry["class"]).vectors()
            below = [] if index % 3 == 0 or not sets else _moment(sets[int(rng.integers(len(sets)))], solo, rng)
            flags = [truth, *(one for _, one in below)]
            layers = [solo, *(one for one, _ in below)]
            labels = step_labels(layers, np.array([yes for yes, _ in flags]), np.array([maybe for _, maybe in flags]))
            features = to_network(chunk_mels(np.sum(layers, axis=0)))
            found.append((f"{parts.name}/{name}", features, window_labels(labels)))
    return _joined(found)


def _moment(stems: StemSet, solo: Float, rng: np.random.Generator) -> list[tuple[Float, tuple]]:
    """Stems of a random moment (without ``other``), together at a drawn level against the solo."""
    track = list(stems.tracks.values())[int(rng.integers(len(stems.tracks)))]
    players = read_players(stems.root, track.name)
    start = int(rng.integers(0, int(track.duration_s * RATE_HZ) - chunk_samples()))
    names = [stem for stem in track.stems if stem != "other"]
    sounds = [audio.read(stems.path(track, stem), start=start, n_samples=chunk_samples())[0] for stem in names]
    level = np.sqrt(np.mean(solo**2) + 1e-10) / np.sqrt(np.mean(np.sum(sounds, axis=0) ** 2) + 1e-10)
    gain = np.float32(min(level * 10 ** (-rng.uniform(*OVERLAY_DB) / 20), 10.0))
    truths = [truth_of_stem(track, stem, players).vectors() for stem in names]
    return [(sound * gain, truth) for sound, truth in zip(sounds, truths, strict=True)]


def window_labels(steps: Float) -> Float:
    """What plays in an excerpt, from what is heard in its steps: (n_steps, n_classes) to (n_classes,)."""
    plays = (steps == 1).sum(axis=0) >= PLAYED_STEPS
    return np.where(plays, 1.0, np.where((steps == 0).all(axis=0), 0.0, np.nan)).astype(np.float32)


def window_scores(steps: Float) -> Float:
    """One score of an excerpt, from the probabilities of its steps: (..., n_steps, n_classes) to (..., n_classes).

    The mean of the three highest: an instrument that plays a second of three plays.
    """
    return np.sort(steps, axis=-2)[..., -3:, :].mean(axis=-2)


def _joined(found: list[tuple[str, Float, Float]]) -> Examples:
    songs, features, labels = zip(*found, strict=True)
    return Examples(np.stack(features).astype(np.float16), np.stack(labels), np.array(songs))


def together(*parts: Examples) -> Examples:
    """Several sets of examples as one."""
    joined = (np.concatenate([getattr(part, key) for part in parts]) for key in ("features", "labels", "song"))
    return Examples(*joined)


def save(path: Path, examples: Examples) -> None:
    """Keep examples in a file."""
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez(file, features=examples.features, labels=examples.labels, song=examples.song)


def load(path: Path) -> Examples:
    """Read examples that were kept."""
    with np.load(path, allow_pickle=False) as data:
        return Examples(data["features"], data["labels"], data["song"])
