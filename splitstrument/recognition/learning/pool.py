"""Labelled sounds of one chunk's length, cut from stem sets and solo parts, in a file that is mapped into memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from splitstrument import audio
from splitstrument.errors import DatasetError
from splitstrument.files import atomic_path
from splitstrument.recognition.features import RATE_HZ, chunk_samples
from splitstrument.recognition.learning.truth import Truth, read_players, truth_of_class, truth_of_stem
from splitstrument.settings import read_yaml
from splitstrument.spectrogram import Float
from splitstrument.stem_set import read_set

LISTING = "parts.yaml"
SILENT = 3.2e-3  # root mean square of -50 dBFS


@dataclass(frozen=True)
class Sound:
    """One excerpt: mono (n_samples,) int16, its truth, and the moment that it shares with others of its song."""

    samples: NDArray[np.int16]
    truth: Truth
    moment: str


@dataclass(frozen=True)
class Pool:
    """Many excerpts.

    Attributes
    ----------
    samples
        (n, n_samples) int16.
    is_, may_be
        (n, n_classes): see `Truth`.
    moment
        (n,): excerpts of one number sound together in their song; -1 for solos.
    """

    samples: NDArray[np.int16]
    is_: NDArray[np.bool_]
    may_be: NDArray[np.bool_]
    moment: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.samples)


def cut_set(root: Path, moments: int, rng: np.random.Generator) -> Iterator[Sound]:
    """Draw `moments` moments of three seconds of each track of a stem set; each gives all stems that are heard."""
    stems = read_set(root)
    for track in stems.tracks.values():
        players = read_players(root, track.name)
        truths = {stem: truth_of_stem(track, stem, players) for stem in track.stems}
        last = int(track.duration_s * stems.sample_rate_hz) - chunk_samples()
        for start in sorted(rng.integers(0, max(1, last), moments)) if last > 0 else []:
            for stem, truth in truths.items():
                sound = _one_channel(stems.path(track, stem), int(start), rng)
                if sound is not None:
                    yield Sound(sound, truth, f"{root.name}/{track.name}@{start}")


def cut_parts(roots: Iterable[Path]) -> Iterator[Sound]:
    """Cut solo parts (``parts.yaml``, see `splitstrument.corpus.solo_parts`) into excerpts that are heard."""
    for root in roots:
        if not (root / LISTING).is_file():
            raise DatasetError(
                f"{root} holds no {LISTING}: render parts there first (splitstrument.corpus.solo_parts)."
            )
        rng = np.random.default_rng(0)
        for name, entry in read_yaml(root / LISTING)["parts"].items():
            path = root / f"{name}.flac"
            for start in range(0, audio.probe(path).n_samples - chunk_samples(), chunk_samples()):
                sound = _one_channel(path, start, rng)
                if sound is not None:
                    yield Sound(sound, truth_of_class(entry["class"]), "")


def _one_channel(path: Path, start: int, rng: np.random.Generator) -> NDArray[np.int16] | None:
    """Left, right or both averaged; None of what is silent."""
    sound, rate = audio.read(path, start=start, n_samples=chunk_samples())
    if rate != RATE_HZ:
        raise DatasetError(f"{path} has {rate} Hz, but the recogniser learns from {RATE_HZ} Hz: resample it.")
    weights = [(0.5, 0.5), (1.0, 0.0), (0.0, 1.0)][int(rng.choice(3, p=(0.5, 0.25, 0.25)))]
    mono = sound @ np.array(weights if sound.shape[1] == 2 else [1.0], np.float32)
    return heard_samples(mono) if len(mono) == chunk_samples() else None


def heard_samples(mono: Float) -> NDArray[np.int16] | None:
    """Samples of an excerpt (n_samples,) as a pool holds them; None of what is silent."""
    if np.sqrt(np.mean(mono**2)) < SILENT:
        return None
    return np.round(np.clip(mono, -1, 1) * 32767).astype(np.int16)


def write_pool(path: Path, sounds: Iterable[Sound]) -> int:
    """Write excerpts to a folder of arrays; return how many there are.

    Raises
    ------
    DatasetError
        If there is none.
    """
    flags, moments, n_sounds = [], [], 0
    with atomic_path(path / "samples.raw") as raw, raw.open("wb") as file:
        for sound in sounds:
            file.write(sound.samples.tobytes())
            flags.append(sound.truth.vectors())
            moments.append(sound.moment)
            n_sounds += 1
    if not n_sounds:
        raise DatasetError(f"Nothing that can be heard was found for {path}: check the folders of the recipe.")
    numbers = {moment: index for index, moment in enumerate(dict.fromkeys(filter(None, moments)))}
    with atomic_path(path / "labels.npz") as temporary, temporary.open("wb") as file:
        np.savez(
            file,
            is_=np.array([yes for yes, _ in flags]),
            may_be=np.array([maybe for _, maybe in flags]),
            moment=np.array([numbers.get(moment, -1) for moment in moments]),
        )
    return n_sounds


def read_pool(path: Path) -> Pool:
    """Map a pool into memory.

    Raises
    ------
    DatasetError
        If it is not there, or its two files do not fit each other.
    """
    try:
        with np.load(path / "labels.npz") as labels:
            is_, may_be, moment = labels["is_"], labels["may_be"], labels["moment"]
        samples = np.memmap(path / "samples.raw", np.int16, "r").reshape(len(moment), chunk_samples())
    except (OSError, ValueError, KeyError) as error:
        raise DatasetError(
            f"{path} is no pool of labelled sounds ({error}): delete it, and it is made again."
        ) from None
    return Pool(samples, is_, may_be, moment)
