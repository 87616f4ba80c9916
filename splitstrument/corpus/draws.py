"""Seeded randomness: each step of each song has a stream of its own, so that switching one off changes no other."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")


def stream(seed: int, *words: str) -> np.random.Generator:
    """Random generator for one purpose, such as ``stream(seed, track, "humanise")``."""
    digest = hashlib.sha256("\x1f".join((str(seed), *words)).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))


def share_of(name: str, salt: str) -> float:
    """A number in [0, 1) that depends on `name` alone: who is held out does not change when songs are added."""
    digest = hashlib.sha256(f"{salt}\x1f{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2.0**64


def chance(rng: np.random.Generator, probability: float) -> bool:
    """True with `probability`; always consumes one draw."""
    return bool(rng.random() < probability)


def pick(rng: np.random.Generator, items: Sequence[T], weights: Sequence[float] | None = None) -> T:
    """One of `items`, which may be of any type."""
    if weights is None:
        return items[int(rng.integers(len(items)))]
    shares = np.asarray(weights, float)
    return items[int(rng.choice(len(items), p=shares / shares.sum()))]
