"""From players' sounds to a mix: a studio chain per stem, levels between classes, one master over all."""

from __future__ import annotations

from functools import reduce

import numpy as np

from splitstrument.audio import Audio
from splitstrument.corpus import effects, stereo
from splitstrument.corpus.draws import chance, pick
from splitstrument.corpus.recipe import Levels, Realism

ROLE_DB = {"rhythm": 0.0, "lead": 1.5, "base": 0.0, "guest": 0.0}
CLASS_DB = {"drums": 1.0, "bass": 0.0, "percussion": -8.0, "vocals": 0.5, "other": -5.0, "guitar": 0.0, "piano": 0.0}
# relative levels of effects.BANDS_HZ in finished records, and how much they vary
MIX_BALANCE_DB = np.array([-2.0, 0.0, -5.0, -8.0, -15.0])
MIX_BALANCE_SPREAD_DB = np.array([3.0, 2.0, 3.0, 3.5, 5.0])
ACTIVE_BELOW_DB = 40.0
FLAT_DB = -25.0  # side against mid below which a sound counts as mono


def studio(
    audio: Audio,
    rate_hz: int,
    stem_class: str,
    rng: np.random.Generator,
    real: Realism,
    position: float,
    stage: stereo.Stage | None = None,
) -> Audio:
    """Equaliser, compressor, modulation, echo, room and place of one stem; each draw is made whether used or not.

    On a stage a sound is placed before the echo and the room, which are stereo.
    """
    audio = effects.gain(audio, -20.0 - active_level_db(audio, rate_hz))
    steps = [int(seed) for seed in rng.integers(2**31, size=5)]
    eq, dynamics, swing, echoes, room = (np.random.default_rng(seed) for seed in steps)
    if real.equaliser:
        audio = effects.random_eq(audio, rate_hz, eq, 3.0)
    if real.compression and chance(dynamics, 0.6):
        audio = effects.compress(audio, rate_hz, dynamics.uniform(-30, -18), dynamics.uniform(2, 6))
    if real.modulation:
        audio = _modulated(audio, rate_hz, stem_class, swing, stage is not None)
    if stage:
        audio = on_stage(audio, rate_hz, stem_class, np.random.default_rng(int(rng.integers(2**31))), position, stage)
    if real.space:
        if stem_class in ("guitar", "vocals", "other") and chance(echoes, 0.25):
            level = echoes.uniform(-18, -7)
            repeat = stereo.ping_pong if stage and chance(echoes, 0.4) else effects.echo
            audio = repeat(audio, rate_hz, echoes.uniform(0.09, 0.55), echoes.uniform(0.15, 0.5), level)
        if chance(room, 0.75) and stem_class != "bass":
            decay = pick(room, (0.25, 0.5, 0.9, 1.5, 2.2))
            reverb = stereo.room if stage else effects.reverb
            audio = reverb(audio, rate_hz, room, decay * room.uniform(0.8, 1.2), room.uniform(-24, -9))
    return audio if stage else effects.pan(audio, position)


def on_stage(
    audio: Audio, rate_hz: int, stem_class: str, rng: np.random.Generator, position: float, stage: stereo.Stage
) -> Audio:
    """Width and place of one sound: drums as the stage says, bass and voice mono, most keyboards spread out."""
    spread, factor = rng.uniform(0.2, 0.7), rng.uniform(0.4, 1.3)
    if stem_class in ("bass", "vocals"):
        return stereo.scaled_side(audio, 0.0)
    if stem_class == "drums":  # overheads: kits that were recorded narrow get a side of their own
        narrow = stereo.side_db(audio) < -12 and chance(rng, 0.6)
        audio = stereo.widened(audio, rate_hz, rng, 0.6 * spread) if narrow else audio
        return stereo.scaled_side(audio, stage.drums)
    flat = stereo.side_db(audio) < FLAT_DB
    share = {"piano": 0.75, "other": 0.6, "guitar": 0.3}.get(stem_class, 0.3)
    if flat and chance(rng, share) and abs(position) < 0.9:
        audio = stereo.widened(audio, rate_hz, rng, spread)
    elif not flat:
        audio = stereo.scaled_side(audio, factor)
    return effects.pan(audio, position)


def _modulated(audio: Audio, rate_hz: int, stem_class: str, rng: np.random.Generator, is_stereo: bool = False) -> Audio:
    probability = {"guitar": 0.22, "piano": 0.15, "other": 0.15}.get(stem_class, 0.0)
    if not chance(rng, probability):
        return audio
    if chance(rng, 0.25):
        return effects.tremolo(audio, rate_hz, rng.uniform(3, 7), rng.uniform(0.2, 0.7))
    depth, level = rng.uniform(0.0008, 0.004), rng.uniform(-9, -1)
    speed_hz, phase = rng.uniform(0.2, 1.8), rng.uniform(0, 6)
    if is_stereo:
        return stereo.chorus(audio, rate_hz, speed_hz, depth, level, (phase, phase + rng.uniform(0.5, np.pi)))
    return effects.chorus(audio, rate_hz, speed_hz, depth, level, phase)


def active_level_db(audio: Audio, rate_hz: int) -> float:
    """Level in dB of the blocks of 0.4 s that are at most 40 dB below the loudest block."""
    size = int(0.4 * rate_hz)
    n_blocks = max(1, len(audio) // size)
    power = np.square(audio[: n_blocks * size]).mean(axis=1)
    power = power[: n_blocks * (len(power) // n_blocks)].reshape(n_blocks, -1).mean(axis=1)
    active = power[power > power.max() * 10 ** (-ACTIVE_BELOW_DB / 10)]
    return float(10 * np.log10(active.mean() + effects.EPSILON)) if len(active) else -90.0


def class_gains(
    sounds: list[Audio],
    classes: list[str],
    roles: list[str],
    targets: tuple[str, ...],
    rng: np.random.Generator,
    levels: Levels,
) -> list[float]:
    """Gain in dB of each stem, so that each target stands to its rest as drawn.

    With base B, guitar G, piano P (mean squares), G = g (B + P) and P = p (B + G) have the solution
    G = g (1 + p) / (1 - g p) and P = p (1 + g) / (1 - g p) for B = 1: the draw keeps g p under one half.
    """
    wanted = [CLASS_DB[c] + ROLE_DB[r] for c, r in zip(classes, roles, strict=True)]
    wanted = [db + levels.drums_db * (c == "drums") for db, c in zip(wanted, classes, strict=True)]
    for index in (index for index, role in enumerate(roles) if role != "guest"):
        wanted[index] += rng.normal(0, 2.5)
    ratios = _draw_ratios(rng, levels)
    for index in (index for index, role in enumerate(roles) if role == "guest"):  # last: nobody else's level changes
        wanted[index] += rng.normal(0, 2.5)
    present = [target for target in ("guitar", "piano") if target in targets and target in classes]
    power = {}
    for group in ("guitar", "piano", "base"):
        members = [i for i, c in enumerate(classes) if (c if c in present else "base") == group]
        if members:
            total = sum(effects.gain(sounds[i], wanted[i]).astype(np.float32) for i in members)
            power[group] = float(np.mean(np.square(total))) + effects.EPSILON
    if "base" not in power:
        return wanted
    g, p = (ratios[t] if t in present else 0.0 for t in ("guitar", "piano"))
    goal = {"guitar": g * (1 + p) / (1 - g * p), "piano": p * (1 + g) / (1 - g * p), "base": 1.0}
    shift = {group: 10 * np.log10(goal[group] * power["base"] / power[group]) for group in power}
    return [w + shift[c if c in present else "base"] for w, c in zip(wanted, classes, strict=True)]


def _draw_ratios(rng: np.random.Generator, levels: Levels) -> dict[str, float]:
    low, high = levels.target_to_rest_db
    while True:
        draws = rng.normal(levels.target_to_rest_mean_db, levels.target_to_rest_spread_db, 2)
        if ((draws >= low) & (draws <= high)).all() and draws.sum() < -3:
            return dict(zip(("guitar", "piano"), 10 ** (draws / 10), strict=True))


def master(sounds: list[Audio], rate_hz: int, rng: np.random.Generator, real: Realism, levels: Levels) -> list[Audio]:
    """Treat all stems as their sum: the same filters and one gain curve, so that they still sum to it."""
    loudness = rng.uniform(*levels.mixture_dbfs)
    threshold, ratio = rng.uniform(-8, 0), rng.uniform(1.3, 3.0)
    wanted = MIX_BALANCE_DB + rng.normal(0, 1, 5) * MIX_BALANCE_SPREAD_DB
    if real.master:
        sections = effects.balance_sections(reduce(np.add, sounds), rate_hz, wanted, 0.6, 8.0)
        sounds = [effects.filtered(sound, sections) for sound in sounds]
        mixture = reduce(np.add, sounds)
        level = effects.rms_db(mixture)
        curve = effects.compressor_gain(effects.gain(mixture, -level), rate_hz, threshold, ratio)
        sounds = [sound * curve[:, None] for sound in sounds]
    mixture = reduce(np.add, sounds)
    to_level = loudness - effects.rms_db(mixture)
    peak = 10 ** (levels.peak_dbfs / 20)
    if not real.master:  # one constant gain for all
        to_level = min(to_level, 20 * np.log10(peak / (np.abs(mixture).max() + effects.EPSILON)))
        return [effects.gain(sound, to_level) for sound in sounds]
    sounds = [effects.gain(sound, to_level) for sound in sounds]
    curve = limiter_gain(effects.gain(mixture, to_level), rate_hz, peak)
    return [sound * curve[:, None] for sound in sounds]


def limiter_gain(mixture: Audio, rate_hz: int, peak: float) -> np.ndarray:
    """Gain curve (n_samples,) that keeps the mixture under `peak`, looking 4 ms ahead.

    The minimum over a window, averaged over a window of the same width, never exceeds the gain that a sample needs.
    """
    from scipy.ndimage import minimum_filter1d, uniform_filter1d

    needed = np.minimum(1.0, peak / np.maximum(np.abs(mixture).max(axis=1), effects.EPSILON))
    width = int(0.008 * rate_hz) | 1
    return uniform_filter1d(minimum_filter1d(needed, width, mode="nearest"), width, mode="nearest").astype(np.float32)
