"""Overlays: one to five labelled sounds on top of each other, and what can be heard in each step of them.

Half of the overlays are a moment of one song, its stems at nearly their own levels; the others are sounds of different
classes from anywhere. Waveforms are added, not spectra: what two instruments do to each other's phases is in them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from splitstrument.recognition.features import (
    CHUNK_FRAMES,
    CHUNK_STEPS,
    HOP,
    N_MELS,
    STEP_FRAMES,
    chunk_mels,
    to_network,
)
from splitstrument.recognition.learning.pool import Pool
from splitstrument.spectrogram import Float

AUDIBLE_DB, INAUDIBLE_DB = -22.0, -38.0  # of a sound against its overlay: heard above, not heard below, else unknown
SILENT_POWER = 3e-6  # -55 dBFS
MOMENT_SHARE, SOLO_SHARE, DROPPED = 0.5, 0.5, 0.25
COUNTS = (0.2, 0.25, 0.25, 0.2, 0.1)
SPREAD_DB, MOMENT_SPREAD_DB = 5.0, 3.0
GAINS_DB = (-35.0, 6.0)


@dataclass(frozen=True)
class Overlay:
    """A sum of sounds.

    Attributes
    ----------
    mels
        (n_frames, n_mels) powers.
    labels
        (n_steps, n_classes): 1 heard, 0 not heard, NaN unknown.
    """

    mels: Float
    labels: Float


def step_labels(
    parts: Sequence[Float], is_: NDArray[np.bool_], may_be: NDArray[np.bool_], n_steps: int = CHUNK_STEPS
) -> Float:
    """What is heard in each step of a sum of sounds.

    Parameters
    ----------
    parts
        (n_samples, any number of channels) of each sound.
    is_, may_be
        (n_parts, n_classes): see `splitstrument.recognition.learning.truth.Truth`.

    Returns
    -------
    (n_steps, n_classes): 1, 0, or NaN where nobody knows.
    """
    powers = np.stack([_step_powers(part, n_steps) for part in parts])
    whole = _step_powers(np.sum(parts, axis=0), n_steps)
    level = 10 * np.log10((powers + 1e-12) / (np.maximum(whole, powers.max(axis=0)) + 1e-12))
    audible = (level > AUDIBLE_DB) & (powers > SILENT_POWER)
    perhaps = (level > INAUDIBLE_DB) & (powers > SILENT_POWER / 30) & ~audible
    heard = np.einsum("ps,pc->sc", audible, is_) > 0
    unknown = np.einsum("ps,pc->sc", perhaps, is_ | may_be) + np.einsum("ps,pc->sc", audible, may_be) > 0
    return np.where(heard, 1.0, np.where(unknown, np.nan, 0.0)).astype(np.float32)


def _step_powers(sound: Float, n_steps: int) -> Float:
    n_samples = n_steps * STEP_FRAMES * HOP
    return np.square(sound[:n_samples]).reshape(n_steps, -1).mean(axis=1)


class Drawer:
    """Draws overlays of pools: one of songs' moments, and further ones of solos.

    Parameters
    ----------
    pools
        Excerpts; those of one moment of one song are in the same pool.
    """

    def __init__(self, pools: Sequence[Pool], rng: np.random.Generator) -> None:
        self.pools, self.rng = pools, rng
        sizes = [len(pool) for pool in pools]
        self.owner = np.repeat(np.arange(len(pools)), sizes)
        self.place = np.concatenate([np.arange(size) for size in sizes])
        self.is_ = np.concatenate([pool.is_ for pool in pools])
        self.may_be = np.concatenate([pool.may_be for pool in pools])
        offsets = np.cumsum([0, *(int(pool.moment.max(initial=-1)) + 1 for pool in pools)])
        moment = [np.where(p.moment >= 0, p.moment + o, -1) for p, o in zip(pools, offsets, strict=False)]
        self.moments = _groups(np.concatenate(moment))
        self.by_class = {c: np.flatnonzero(self.is_[:, c]) for c in range(self.is_.shape[1]) if self.is_[:, c].any()}
        self.solos = np.flatnonzero(np.concatenate(moment) < 0)

    def draw(self) -> Overlay:
        """Draw the next overlay."""
        chosen, gains = self._moment() if self.moments and self.rng.random() < MOMENT_SHARE else self._anywhere()
        sounds = [self._sound(index) * gain for index, gain in zip(chosen, gains, strict=True)]
        mixture = np.sum(sounds, axis=0)
        labels = step_labels(sounds, self.is_[chosen], self.may_be[chosen])
        return Overlay(chunk_mels(mixture[:, None]), labels)

    def _moment(self) -> tuple[list[int], Float]:
        """Stems of one song at one time, some left out, sometimes with a solo from elsewhere."""
        rng = self.rng
        group = self.moments[int(rng.integers(len(self.moments)))]
        chosen = [int(index) for index in group if rng.random() > DROPPED] or [int(group[0])]
        gains = list(_gains(rng.normal(0, MOMENT_SPREAD_DB, len(chosen))))
        if len(self.solos) and rng.random() < SOLO_SHARE:
            solo = int(self.solos[int(rng.integers(len(self.solos)))])
            mean_power = np.mean([np.mean(self._sound(index) ** 2) for index in chosen])
            gains.append(float(_gains(rng.normal(-2, SPREAD_DB)) * np.sqrt(mean_power) / _rms(self._sound(solo))))
            chosen.append(solo)
        return chosen, np.array(gains, np.float32)

    def _anywhere(self) -> tuple[list[int], Float]:
        """Sounds of different classes, each at a level of its own."""
        rng = self.rng
        count = 1 + int(rng.choice(len(COUNTS), p=COUNTS))
        classes = rng.permutation(list(self.by_class))[:count]
        chosen = [int(self.by_class[c][int(rng.integers(len(self.by_class[c])))]) for c in classes]
        levels = np.array([_rms(self._sound(index)) for index in chosen], np.float32)
        return chosen, np.float32(0.1) * _gains(rng.normal(0, SPREAD_DB, count)) / levels

    def _sound(self, index: int) -> Float:
        pool = self.pools[int(self.owner[index])]
        return pool.samples[int(self.place[index])].astype(np.float32) / np.float32(32768)


def _groups(numbers: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Places of equal numbers, -1 left out."""
    order = np.argsort(numbers, kind="stable")
    order = order[numbers[order] >= 0]
    return np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1) if len(order) else []


def _gains(decibels: NDArray | float) -> Float:
    return np.power(10.0, np.asarray(decibels) / 20).astype(np.float32)


def _rms(sound: Float) -> np.float32:
    return np.sqrt(np.mean(sound**2) + np.float32(1e-10))


def augmented(mels: Float, rng: np.random.Generator) -> Float:
    """Mel powers through a random equaliser, with noise under them, at any level: (n_frames, n_mels)."""
    curve = np.interp(np.arange(N_MELS), np.linspace(0, N_MELS - 1, 5), rng.normal(0, 3.0, 5))
    mels = mels * np.power(10.0, curve / 10)
    noise = mels.mean() * 10 ** (rng.uniform(-70, -30) / 10)
    gain = 10 ** (rng.uniform(*GAINS_DB) / 10)
    return (gain * (mels + noise * rng.gamma(4.0, 0.25, mels.shape))).astype(np.float32)


def masked(features: Float, rng: np.random.Generator) -> Float:
    """SpecAugment on features (n_frames, n_mels): up to two bands and one stretch of time are blank."""
    features = features.copy()
    blank = features.mean()
    for _ in range(int(rng.integers(0, 3))):
        width = int(rng.integers(1, 12))
        low = int(rng.integers(0, N_MELS - width))
        features[:, low : low + width] = blank
    width = int(rng.integers(0, 16))
    start = int(rng.integers(0, CHUNK_FRAMES - width))
    features[start : start + width] = blank
    return features


def batches(drawer: Drawer, size: int) -> Iterator[tuple[Float, Float]]:
    """Endless batches: features (size, n_frames, n_mels, 1) and labels (size, n_steps, n_classes)."""
    while True:
        drawn = [drawer.draw() for _ in range(size)]
        features = [masked(to_network(augmented(one.mels, drawer.rng)), drawer.rng) for one in drawn]
        yield np.stack(features)[..., None], np.stack([one.labels for one in drawn])
