"""Studio effects: pure functions of audio (n_samples, n_channels), of any length, deterministic.

Each keeps the length (a tail that leaves the end is cut). Random settings are drawn by the callers.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from splitstrument.audio import Audio, resample

EPSILON = 1e-9
NOISE_FLOOR = (1e-10 * np.random.default_rng(0).standard_normal(4099)).astype(np.float32)
BANDS_HZ = (20, 150, 600, 2500, 6000, 11_000)
BAND_CENTRES_HZ = (80, 300, 1200, 3900, 8100)


def rms_db(audio: Audio) -> float:
    """Root mean square over the whole signal, in dB re full scale; -180 for silence."""
    return (
        float(20 * np.log10(np.sqrt(np.mean(np.square(audio, dtype=np.float64))) + EPSILON)) if audio.size else -180.0
    )


def gain(audio: Audio, db: float) -> Audio:
    """Louder by `db`."""
    return audio * np.float32(10 ** (db / 20))


def floored(audio: Audio) -> Audio:
    """Add a noise floor at -200 dB, except to silence.

    What dies away without one becomes numbers so small that processors handle them a hundred times slower.
    """
    return audio + np.resize(NOISE_FLOOR, (len(audio), 1)) if audio.any() else audio


def filtered(audio: Audio, sos: np.ndarray) -> Audio:
    """Run second-order sections along time."""
    from scipy.signal import sosfilt

    return sosfilt(sos.astype(np.float32), floored(audio), axis=0).astype(np.float32)


def high_pass(audio: Audio, rate_hz: int, cutoff_hz: float, order: int = 2) -> Audio:
    """Butterworth high pass."""
    from scipy.signal import butter

    return filtered(audio, butter(order, cutoff_hz, "highpass", fs=rate_hz, output="sos"))


def low_pass(audio: Audio, rate_hz: int, cutoff_hz: float, order: int = 2) -> Audio:
    """Butterworth low pass; cutoffs at or above the Nyquist frequency leave the audio as it is."""
    from scipy.signal import butter

    if cutoff_hz >= 0.49 * rate_hz:
        return audio
    return filtered(audio, butter(order, cutoff_hz, "lowpass", fs=rate_hz, output="sos"))


def peak_eq(rate_hz: int, centre_hz: float, db: float, q: float) -> np.ndarray:
    """Second-order section of a bell, after R. Bristow-Johnson's cookbook, shape (1, 6)."""
    amplitude, omega = 10 ** (db / 40), 2 * np.pi * min(centre_hz, 0.45 * rate_hz) / rate_hz
    alpha = np.sin(omega) / (2 * q)
    b = [1 + alpha * amplitude, -2 * np.cos(omega), 1 - alpha * amplitude]
    a = [1 + alpha / amplitude, -2 * np.cos(omega), 1 - alpha / amplitude]
    return np.array([[*b, *a]]) / a[0]


def random_eq(audio: Audio, rate_hz: int, rng: np.random.Generator, spread_db: float = 4.0) -> Audio:
    """Three bells with normal gains and, in half of the cases, a tilt of the highs."""
    centres = (rng.uniform(80, 300), rng.uniform(300, 1500), rng.uniform(1500, 8000))
    sections = [peak_eq(rate_hz, hz, rng.normal(0, spread_db), rng.uniform(0.5, 1.5)) for hz in centres]
    return filtered(audio, np.vstack(sections))


def band_levels_db(audio: Audio, rate_hz: int, size: int = 4096) -> np.ndarray:
    """Level of five bands (edges `BANDS_HZ`) relative to the loudest of them, in dB; from at most 200 windows."""
    mono = audio.mean(axis=1)
    n_windows = max(1, len(mono) // size)
    chosen = np.linspace(0, n_windows - 1, min(n_windows, 200)).astype(int)
    windows = np.resize(mono, n_windows * size).reshape(n_windows, size)[chosen] * np.hanning(size)
    power = np.square(np.abs(np.fft.rfft(windows.astype(np.float32)))).mean(axis=0)
    edges = [min(len(power) - 1, round(hz * size / rate_hz)) for hz in BANDS_HZ]
    level = np.array([10 * np.log10(power[a:b].sum() + EPSILON) for a, b in pairwise(edges)])
    return level - level.max()


def balance_sections(audio: Audio, rate_hz: int, wanted_db: np.ndarray, strength: float, limit_db: float) -> np.ndarray:
    """Broad bells that move the five bands `strength` of the way to the wanted relative levels, shape (5, 6)."""
    difference = np.asarray(wanted_db) - band_levels_db(audio, rate_hz)
    gains = np.clip(strength * (difference - np.median(difference)), -limit_db, limit_db)
    return np.vstack([peak_eq(rate_hz, hz, db, 0.7) for hz, db in zip(BAND_CENTRES_HZ, gains, strict=True)])


def compress(
    audio: Audio, rate_hz: int, threshold_db: float, ratio: float, attack_s: float = 0.01, release_s: float = 0.15
) -> Audio:
    """Feed-forward compressor, channels linked."""
    return audio * compressor_gain(audio, rate_hz, threshold_db, ratio, attack_s, release_s)[:, None]


def compressor_gain(
    audio: Audio, rate_hz: int, threshold_db: float, ratio: float, attack_s: float = 0.01, release_s: float = 0.15
) -> np.ndarray:
    """Gain curve (n_samples,) of a compressor; apply one curve to several stems and their sum is compressed."""
    hop_length = max(1, rate_hz // 200)
    n_blocks = -(-len(audio) // hop_length)
    power = np.zeros(n_blocks * hop_length, np.float32)
    power[: len(audio)] = np.square(audio).mean(axis=1)
    level = 10 * np.log10(power.reshape(n_blocks, hop_length).mean(axis=1) + EPSILON)
    wanted = np.minimum(0.0, (threshold_db - level) * (1 - 1 / ratio))
    smooth = _attack_release(
        wanted, np.exp(-hop_length / rate_hz / attack_s), np.exp(-hop_length / rate_hz / release_s)
    )
    curve = np.interp(np.arange(len(audio)), (np.arange(n_blocks) + 0.5) * hop_length, smooth)
    return (10 ** (curve / 20)).astype(np.float32)


def _attack_release(wanted: np.ndarray, attack: float, release: float) -> np.ndarray:
    smooth, state = np.empty_like(wanted), 0.0
    for index, value in enumerate(wanted.tolist()):
        keep = attack if value < state else release
        state = keep * state + (1 - keep) * value
        smooth[index] = state
    return smooth


def distort(audio: Audio, rate_hz: int, drive_db: float, bias: float = 0.0) -> Audio:
    """Soft clipping at twice the rate, so that most harmonics do not alias; `bias` adds even ones."""
    high = resample(gain(audio, drive_db), rate_hz, 2 * rate_hz)
    clipped = np.tanh(high + np.float32(bias)) - np.float32(np.tanh(bias))
    return resample(clipped, 2 * rate_hz, rate_hz)[: len(audio)]


def convolve(audio: Audio, response: np.ndarray) -> Audio:
    """Convolve each channel with a response (n_taps,) or (n_taps, n_channels); the length stays."""
    from scipy.signal import oaconvolve

    response = response.astype(np.float32).reshape(len(response), -1)
    return oaconvolve(audio, response, axes=0)[: len(audio)].astype(np.float32)


def room_response(rate_hz: int, rng: np.random.Generator, decay_s: float, n_channels: int = 1) -> np.ndarray:
    """A room: a few early reflections, then coloured noise that dies away; unit energy, without the direct sound."""
    n_taps = int(rate_hz * min(decay_s * 1.2, 3.0)) + rate_hz // 20
    time = np.arange(n_taps)[:, None] / rate_hz
    noise = rng.normal(0, 1, (n_taps, n_channels)) * 10 ** (-3 * time / decay_s)
    noise[: int(rng.uniform(0.005, 0.03) * rate_hz)] = 0
    for _ in range(8):
        noise[int(rng.uniform(0.003, 0.05) * rate_hz)] += rng.normal(0, 4.0, n_channels)
    tail = low_pass(noise.astype(np.float32), rate_hz, rng.uniform(3000, 9000), 1)
    tail = high_pass(tail, rate_hz, rng.uniform(80, 300), 1)
    return tail / np.sqrt(np.sum(tail**2, axis=0, keepdims=True) + EPSILON)


def reverb(audio: Audio, rate_hz: int, rng: np.random.Generator, decay_s: float, wet_db: float) -> Audio:
    """Add a room, `wet_db` below the dry sound."""
    response = room_response(rate_hz, rng, decay_s, audio.shape[1])
    return audio + gain(convolve(audio, response), wet_db)


def echo(audio: Audio, rate_hz: int, delay_s: float, feedback: float, wet_db: float) -> Audio:
    """Echoes that repeat, each a `feedback` of the one before, until they are 50 dB down."""
    out, step, level = audio.copy(), max(1, round(delay_s * rate_hz)), 10 ** (wet_db / 20)
    shift = step
    while level > 0.003 and shift < len(audio):
        out[shift:] += np.float32(level) * audio[:-shift]
        level, shift = level * feedback, shift + step
    return out


def chorus(audio: Audio, rate_hz: int, speed_hz: float, depth_s: float, wet_db: float, phase: float = 0.0) -> Audio:
    """Add a copy whose delay swings around 12 ms by `depth_s` (flanging with shorter, vibrato without dry sound)."""
    time = np.arange(len(audio))
    swing = 0.012 + depth_s * np.sin(2 * np.pi * speed_hz * time / rate_hz + phase)
    position = time - swing * rate_hz
    index = np.floor(position).astype(np.int64)
    fraction = (position - index).astype(np.float32)[:, None]
    padded = np.concatenate([np.zeros((rate_hz, audio.shape[1]), np.float32), audio, audio[-1:]])
    index += rate_hz
    delayed = padded[index] * (np.float32(1) - fraction) + padded[index + 1] * fraction
    return audio + gain(delayed, wet_db)


def tremolo(audio: Audio, rate_hz: int, speed_hz: float, depth: float) -> Audio:
    """Swing the level between 1 and 1 - `depth`."""
    swing = 1 - depth * (0.5 + 0.5 * np.sin(2 * np.pi * speed_hz * np.arange(len(audio)) / rate_hz))
    return audio * swing.astype(np.float32)[:, None]


def pan(audio: Audio, position: float) -> Audio:
    """Place a sound in stereo: -1 left, 1 right, equal power; mono audio is left as it is."""
    if audio.shape[1] != 2:
        return audio
    angle = (position + 1) * np.pi / 4
    mono = audio.mean(axis=1, keepdims=True)
    width = 1 - abs(position)
    side = (audio - mono) * np.float32(width)
    return (mono * np.float32(np.sqrt(2)) * np.array([[np.cos(angle), np.sin(angle)]], np.float32)) + side


def delayed(audio: Audio, n_samples: int) -> Audio:
    """The same, `n_samples` later, with the same length."""
    return np.concatenate([np.zeros((n_samples, audio.shape[1]), np.float32), audio])[: len(audio)]
