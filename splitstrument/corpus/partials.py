"""Sums of decaying partials: what a linear string, bar or box gives when it is struck or plucked once.

A partial is ``amplitude * exp(-t / tau) * cos(2 pi f t + phase)``. A waveguide with its losses and stiffness in filters
rings in just such partials; giving them directly makes tuning, inharmonicity and decay times exact, and lets all
partials of a note be computed as one matrix product.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

BLOCK = 256
AUDIBLE = 10 ** (-75 / 20)  # of the loudest partial: below it a partial is left out
NEPERS = np.log(1000.0)  # 60 dB
HIGHEST = 0.47  # of the sample rate: partials above would alias


def damped_partials(
    hz: np.ndarray, decay_s: np.ndarray, amplitude: np.ndarray, phase: np.ndarray, n_samples: int, rate_hz: int
) -> np.ndarray:
    """Sum of partials, shape (n_samples,), float32.

    Parameters
    ----------
    hz, amplitude, phase
        Of each partial, shape (n_partials,); those above 0.47 of the sample rate are left out.
    decay_s
        Time in which each falls by 60 dB.
    """
    hz, decay_s, amplitude, phase = np.broadcast_arrays(hz, decay_s, amplitude, phase)
    kept = (hz < HIGHEST * rate_hz) & (np.abs(amplitude) > 0)
    log_step = -NEPERS / (decay_s[kept] * rate_hz) + 2j * np.pi * hz[kept] / rate_hz
    start = amplitude[kept] * np.exp(1j * phase[kept])
    out = np.zeros(n_samples, np.float32)
    floor = AUDIBLE * np.abs(start).max(initial=0)
    for first, last in _segments(n_samples):
        now = start * np.exp(log_step * first)
        alive = np.abs(now) > floor
        if not alive.any():
            break
        out[first:last] = _block_sum(log_step[alive], now[alive], last - first)
    return out


def _segments(n_samples: int) -> list[tuple[int, int]]:
    """Stretches of growing length, between which partials that have died are dropped."""
    edges = [0]
    while edges[-1] < n_samples:
        edges.append(min(n_samples, max(16 * BLOCK, 2 * edges[-1])))
    return list(pairwise(edges))


def _block_sum(log_step: np.ndarray, start: np.ndarray, n_samples: int) -> np.ndarray:
    """Real part of ``sum_p start_p exp(log_step_p n)``: the phases of block starts times the powers inside a block."""
    n_blocks = -(-n_samples // BLOCK)
    inside = _powers(np.exp(log_step), BLOCK)
    starts = _powers(np.exp(log_step * BLOCK), n_blocks) * start[:, None]
    real = starts.real.astype(np.float32).T @ inside.real.astype(np.float32)
    real -= starts.imag.astype(np.float32).T @ inside.imag.astype(np.float32)
    return real.reshape(-1)[:n_samples]


def _powers(base: np.ndarray, count: int) -> np.ndarray:
    """``base ** (0 .. count - 1)``, shape (n_partials, count), by doubling."""
    powers = np.ones((len(base), 1), complex)
    step = base[:, None]
    while powers.shape[1] < count:
        powers = np.concatenate([powers, powers * step], axis=1)
        step = step * step
    return powers[:, :count]


def stiff_partials(hz: float, inharmonicity: float, highest_hz: float, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers k from 1 and frequencies of a stiff string's partials whose first is `hz`.

    ``f_k = k f_0 sqrt(1 + B k^2)`` with ``f_0 = hz / sqrt(1 + B)`` (H. Fletcher, "Normal Vibration Frequencies of a
    Stiff Piano String", JASA 36(1), 1964).
    """
    count = max(1, min(most, int(highest_hz / hz)))
    k = np.arange(1, count + 1)
    frequencies = k * hz * np.sqrt((1 + inharmonicity * k**2) / (1 + inharmonicity))
    inside = frequencies < highest_hz
    inside[0] = True
    return k[inside], frequencies[inside]


def resonances(hz: np.ndarray, centres_hz: np.ndarray, q: np.ndarray, gains: np.ndarray) -> np.ndarray:
    """Complex response at `hz` of resonators side by side, each `gains` high at its centre, shape of `hz`."""
    ratio = hz[:, None] / centres_hz
    return (gains / (1 + 1j * q * (ratio - 1 / ratio))).sum(axis=1)


def burst(rng: np.random.Generator, n_samples: int, rate_hz: int, low_hz: float, high_hz: float) -> np.ndarray:
    """A short noise between two frequencies that falls off at once, unit energy, shape (n_samples,)."""
    spectrum = np.fft.rfft(rng.standard_normal(n_samples) * np.exp(-5 * np.arange(n_samples) / n_samples))
    hz = np.fft.rfftfreq(n_samples, 1 / rate_hz)
    spectrum *= 1 / np.sqrt((1 + (low_hz / np.maximum(hz, 1.0)) ** 4) * (1 + (hz / high_hz) ** 4))
    out = np.fft.irfft(spectrum, n_samples)
    return (out / np.sqrt(np.sum(out**2) + 1e-12)).astype(np.float32)
