"""Stereo placement as on records: doubled guitars at the sides, bass, voice and kick in the middle.

Every song draws a stage: how wide the whole record is (some are nearly mono), how far apart doubled guitars stand, how
far from the kit the drums are heard. Rooms, echoes and choruses are stereo even for a sound that comes from one side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from splitstrument.audio import Audio
from splitstrument.corpus import effects
from splitstrument.corpus.draws import chance, pick

WIDTHS = {"narrow": (0.0, 0.25), "usual": (0.7, 1.1), "wide": (1.1, 1.45)}
WIDTH_SHARES = (0.12, 0.6, 0.28)
HARD_SHARE = 0.65  # of the songs have doubled guitars quite at the sides
BASS_HZ = 160.0  # below it a widened sound stays in the middle
MIDDLE = ("drums", "bass", "vocals")
# General MIDI drums of kits without places of their own, from the drummer's left (-1) to the right
DRUM_PLACES = {42: -0.4, 44: -0.4, 46: -0.4, 49: -0.6, 57: 0.7, 51: 0.55, 59: 0.55, 53: 0.55, 52: 0.7, 55: -0.3}
DRUM_PLACES |= {50: -0.3, 48: -0.2, 47: 0.1, 45: 0.2, 43: 0.5, 41: 0.6, 54: 0.4, 56: 0.3, 39: 0.2}


@dataclass(frozen=True)
class Stage:
    """One song's picture.

    Attributes
    ----------
    width
        Factor of the side signal of the whole record; 0 is mono.
    hard
        Place of doubled guitars, 0 to 1.
    drums
        Width of the drums, and negative where the audience's view swaps them.
    """

    width: float
    hard: float
    drums: float


def draw_stage(rng: np.random.Generator) -> Stage:
    """Draw a song's stage."""
    width = float(rng.uniform(*WIDTHS[pick(rng, list(WIDTHS), WIDTH_SHARES)]))
    hard = 1.0 if chance(rng, HARD_SHARE) else float(rng.uniform(0.45, 0.95))
    drums = float(rng.uniform(0.7, 2.2)) * (1 if chance(rng, 0.6) else -1)
    return Stage(width, hard, drums)


def places(
    classes: Sequence[str], takes: Sequence[int], roles: Sequence[str], rng: np.random.Generator, stage: Stage
) -> list[tuple[float, ...]]:
    """Place of every take of every player: a list of tuples, -1 (left) to 1 (right).

    Guitars that are played once take turns at the two sides, as two guitarists do; a solo stands near the middle.
    """
    side = 1 if chance(rng, 0.5) else -1
    out: list[tuple[float, ...]] = []
    for stem_class, count, role in zip(classes, takes, roles, strict=True):
        near, far, first = float(rng.normal(0, 0.12)), float(rng.uniform(0.25, 1.0)), 1 if chance(rng, 0.5) else -1
        if count == 2:
            out.append((-first * stage.hard, first * stage.hard))
        elif stem_class in MIDDLE:
            out.append((0.0,))
        elif role == "lead":
            out.append((float(np.clip(near, -0.4, 0.4)),))
        elif stem_class == "guitar":
            out.append((side * far if far > 0.4 else near,))
            side = -side
        elif stem_class == "piano":
            out.append((float(np.clip(2 * near, -0.7, 0.7)),))
        else:
            out.append((first * far * 0.8,))
    return out


def scaled_side(audio: Audio, factor: float) -> Audio:
    """Stereo audio with its side signal times `factor`; 0 makes it mono, negative swaps the channels' difference."""
    side = (audio[:, :1] - audio[:, 1:]) * np.float32(0.5 * (1 - factor))
    return audio + np.concatenate([-side, side], axis=1)


def side_db(audio: Audio) -> float:
    """Energy of the side signal over the mid signal's, dB."""
    mid, side = audio[:, 0] + audio[:, 1], audio[:, 0] - audio[:, 1]
    return effects.rms_db(side) - effects.rms_db(mid)


def widened(audio: Audio, rate_hz: int, rng: np.random.Generator, amount: float) -> Audio:
    """Spread the mid signal of a sound: two microphones, or a synthesizer's stereo. The mono sum stays the same.

    The side is the mid signal through 15 ms of decaying noise, without the low end.
    """
    n_taps = int(0.015 * rate_hz)
    response = rng.normal(0, 1, n_taps) * np.exp(-5 * np.arange(n_taps) / n_taps)
    response *= amount / np.sqrt(np.sum(response**2) + effects.EPSILON)
    side = effects.convolve(audio.mean(axis=1, keepdims=True), response)
    side = effects.high_pass(side, rate_hz, BASS_HZ)
    return audio + np.concatenate([side, -side], axis=1)


def room(audio: Audio, rate_hz: int, rng: np.random.Generator, decay_s: float, wet_db: float) -> Audio:
    """Add a stereo room, fed by the mono sum: a sound from one side rings on both."""
    response = effects.room_response(rate_hz, rng, decay_s, 2)
    send = np.repeat(audio.sum(axis=1, keepdims=True) * np.float32(np.sqrt(0.5)), 2, axis=1)
    return audio + effects.gain(effects.convolve(send, response), wet_db)


def chorus(
    audio: Audio, rate_hz: int, speed_hz: float, depth_s: float, wet_db: float, phases: Sequence[float]
) -> Audio:
    """A chorus whose delays swing apart in the two channels."""
    both = [
        effects.chorus(audio[:, side : side + 1], rate_hz, speed_hz, depth_s, wet_db, phases[side]) for side in (0, 1)
    ]
    return np.concatenate(both, axis=1)


def ping_pong(audio: Audio, rate_hz: int, delay_s: float, feedback: float, wet_db: float) -> Audio:
    """Echoes that come from the left and the right in turn."""
    mono = audio.mean(axis=1)
    out, step, level = audio.copy(), max(1, round(delay_s * rate_hz)), 10 ** (wet_db / 20)
    shift, side = step, 0
    while level > 0.003 and shift < len(audio):
        out[shift:, side] += np.float32(1.4 * level) * mono[:-shift]
        level, shift, side = level * feedback, shift + step, 1 - side
    return out
