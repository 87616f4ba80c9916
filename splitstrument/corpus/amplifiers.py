"""Guitars through pedals, amplifiers and cabinets: what makes an electric guitar sound like one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from splitstrument.audio import Audio, read
from splitstrument.corpus import effects
from splitstrument.corpus.draws import chance, pick

# relative levels of effects.BANDS_HZ in electric guitars on records, and how much they vary
GUITAR_BALANCE_DB = np.array([-9.0, -0.5, -2.5, -5.0, -22.0])
GUITAR_BALANCE_SPREAD_DB = np.array([4.0, 2.0, 3.0, 4.0, 5.0])
DRIVE_DB = {"clean": (-6.0, 6.0), "crunch": (10.0, 22.0), "lead": (22.0, 36.0), "metal": (30.0, 46.0)}
DRIVE_DB["wall"] = (44.0, 66.0)
TIGHT = ("metal", "wall")
HISS_DB = (-78.0, -58.0)  # of a wall's input against the guitar


@dataclass(frozen=True)
class Amplifier:
    """One player's sound; `response` is a cabinet's impulse response file, None a drawn one."""

    style: str
    drive_db: float
    bias: float
    tone_hz: float
    scoop_db: float
    response: Path | None
    seed: int


def draw_amplifier(rng: np.random.Generator, style: str, responses: list[Path], own_share: float = 0.3) -> Amplifier:
    """Draw an amplifier of a style; `own_share` of the cabinets are drawn instead of measured."""
    low, high = DRIVE_DB[style]
    measured = bool(responses) and not chance(rng, own_share)
    return Amplifier(
        style=style,
        drive_db=float(rng.uniform(low, high)),
        bias=float(rng.uniform(0, 0.35)),
        tone_hz=float(rng.uniform(500, 1100)),
        scoop_db=float(rng.normal(-5 if style == "metal" else -2 if style == "wall" else 1, 3)),
        response=pick(rng, responses) if measured else None,
        seed=int(rng.integers(2**31)),
    )


def amplify(audio: Audio, rate_hz: int, amplifier: Amplifier) -> Audio:
    """Mono in, mono out: level, tighten, drive in two stages, tone, cabinet. The output's level is about -20 dBFS."""
    rng = np.random.default_rng(amplifier.seed)
    level = effects.rms_db(audio)
    if level < -100:
        return audio
    audio = effects.gain(audio, -22.0 - level)
    audio = effects.high_pass(audio, rate_hz, 100.0 if amplifier.style in TIGHT else 65.0)
    if amplifier.style == "wall":
        gate = _gate(audio, rate_hz, rng)
        audio = _tightened(audio, rate_hz, rng)
    audio = effects.distort(audio, rate_hz, amplifier.drive_db * 0.6, amplifier.bias)
    if amplifier.drive_db > 6:
        audio = effects.high_pass(effects.low_pass(audio, rate_hz, 7000.0, 1), rate_hz, 60.0, 1)
        audio = effects.distort(audio, rate_hz, amplifier.drive_db * 0.4 + 2.0)
    audio = effects.filtered(audio, effects.peak_eq(rate_hz, amplifier.tone_hz, amplifier.scoop_db, 0.7))
    if amplifier.response:
        audio = effects.convolve(audio, load_response(amplifier.response, rate_hz))
    else:
        audio = drawn_cabinet(audio, rate_hz, rng)
    if amplifier.style == "wall":
        audio = audio * gate
    wanted = GUITAR_BALANCE_DB + rng.normal(0, 1, 5) * GUITAR_BALANCE_SPREAD_DB
    audio = effects.filtered(audio, effects.balance_sections(audio, rate_hz, wanted, 0.85, 15.0))
    return effects.gain(audio, -20.0 - effects.rms_db(audio))


def _tightened(audio: Audio, rate_hz: int, rng: np.random.Generator) -> Audio:
    """Apply what precedes a high-gain amplifier: a pedal that lifts the middle, and hiss that is heard in pauses."""
    audio = effects.filtered(audio, effects.peak_eq(rate_hz, rng.uniform(600, 1300), rng.uniform(4, 14), 0.6))
    hiss = rng.standard_normal((len(audio), 1)).astype(np.float32)
    audio = audio + effects.gain(hiss, rng.uniform(*HISS_DB) - 22.0)
    return effects.distort(audio, rate_hz, rng.uniform(0, 12), 0.0)


def _gate(audio: Audio, rate_hz: int, rng: np.random.Generator) -> Audio:
    """Gain curve (n_samples, 1) of a noise gate, which closes within a fifth of a second of silence."""
    from scipy.ndimage import maximum_filter1d, uniform_filter1d

    size, threshold_db, floor_db = rate_hz // 100, rng.uniform(-65, -45) - 22.0, rng.uniform(-60, -20)
    n_blocks = -(-len(audio) // size)
    power = np.square(np.pad(audio[:, 0], (0, n_blocks * size - len(audio))).reshape(n_blocks, size)).mean(axis=1)
    is_open = maximum_filter1d((10 * np.log10(power + effects.EPSILON) > threshold_db).astype(np.float32), 21)
    curve = uniform_filter1d(is_open, 5) * (1 - 10 ** (floor_db / 20)) + 10 ** (floor_db / 20)
    return np.interp(np.arange(len(audio)) / size, np.arange(n_blocks) + 0.5, curve).astype(np.float32)[:, None]


def load_response(path: Path, rate_hz: int) -> np.ndarray:
    """A measured impulse response (n_taps,), at most 0.2 s, unit energy."""
    response, _ = read(path, rate_hz, mono=True)
    response = response[: rate_hz // 5, 0].astype(np.float64)
    return response / np.sqrt(np.sum(response**2) + effects.EPSILON)


def drawn_cabinet(audio: Audio, rate_hz: int, rng: np.random.Generator) -> Audio:
    """A loudspeaker in a box: steep above 4-6 kHz, a bump near 100 Hz, a presence peak, comb-like unevenness."""
    sections = [
        effects.peak_eq(rate_hz, rng.uniform(80, 150), rng.uniform(2, 6), 1.2),
        effects.peak_eq(rate_hz, rng.uniform(1800, 3500), rng.uniform(2, 8), 1.0),
        *(effects.peak_eq(rate_hz, rng.uniform(300, 5000), rng.normal(0, 4), rng.uniform(2, 6)) for _ in range(5)),
    ]
    audio = effects.filtered(audio, np.vstack(sections))
    return effects.low_pass(effects.high_pass(audio, rate_hz, 70.0), rate_hz, rng.uniform(4000, 6500), 4)
