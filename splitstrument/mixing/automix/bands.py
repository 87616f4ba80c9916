"""Energy of lead and backing in octaves, where the lead sounds.

Energies are divided by the octave's width, as the companion project found necessary: without it the highest octaves,
which are the widest, always win.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from splitstrument.audio import Audio

OCTAVES_HZ = (63.0, 125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0, 16_000.0)  # ISO 266
FRAME_S = 0.09  # resolves some 11 Hz: four bins in the lowest octave
LOWEST_DB, N_CLASSES = -120, 140  # classes of the lead's level, 1 dB wide
SOUNDS_ABOVE_DB = -70.0
GATE_DB = -10.0  # against the lead's mean, as BS.1770 has it


class BandMeter:
    """Collects a lead and a backing that come block by block.

    What is kept is a table of sums by the lead's level, so that the gate can be set when its mean is known, and memory
    does not grow with the song.

    Parameters
    ----------
    sample_rate_hz
        Octaves that do not lie wholly below half of it are left out.
    """

    def __init__(self, sample_rate_hz: int) -> None:
        self.octaves_hz = tuple(hertz for hertz in OCTAVES_HZ if hertz * np.sqrt(2) <= sample_rate_hz / 2)
        self._n_fft = 1 << round(np.log2(FRAME_S * sample_rate_hz))
        self._window = np.hanning(self._n_fft).astype(np.float32)
        hertz = np.fft.rfftfreq(self._n_fft, 1 / sample_rate_hz)
        edges = np.array([(low / np.sqrt(2), low * np.sqrt(2)) for low in self.octaves_hz])
        inside = (hertz[:, None] >= edges[:, 0]) & (hertz[:, None] < edges[:, 1])
        # the mean over an octave's bins is its energy by its width
        self._weights = (inside / inside.sum(axis=0)).astype(np.float32)
        self._energies = np.zeros((N_CLASSES, 2, len(self.octaves_hz)))
        self._powers, self._counts = np.zeros(N_CLASSES), np.zeros(N_CLASSES)
        self._kept: list[NDArray[np.float32]] = []

    def add(self, lead: Audio | NDArray[np.float64], backing: Audio | NDArray[np.float64]) -> None:
        """Take in (n_samples, n_channels) of both."""
        from scipy import fft  # in single precision half the time

        self._kept.append(np.stack([lead, backing], dtype=np.float32, casting="same_kind"))
        if sum(block.shape[1] for block in self._kept) < self._n_fft:
            return
        samples = np.concatenate(self._kept, axis=1)
        n_frames = samples.shape[1] // self._n_fft
        self._kept = [samples[:, n_frames * self._n_fft :]]
        frames = samples[:, : n_frames * self._n_fft].reshape(2, n_frames, self._n_fft, -1)
        spectra = fft.rfft(frames * self._window[:, None], axis=2)
        power = np.square(spectra.real) + np.square(spectra.imag)
        energies = sum(power[..., channel] for channel in range(power.shape[3])) @ self._weights
        powers = np.square(frames[0]).mean(axis=(1, 2))
        classes = np.floor(10 * np.log10(powers + 1e-30)).astype(int) - LOWEST_DB
        classes = classes.clip(0, N_CLASSES - 1)
        np.add.at(self._energies, classes, energies.transpose(1, 0, 2))
        np.add.at(self._powers, classes, powers)
        np.add.at(self._counts, classes, 1)

    def levels_db(self) -> NDArray[np.float64] | None:
        """Level of lead and backing (2, n_octaves) in dB, by the hertz; None where the lead is never heard."""
        heard = np.arange(N_CLASSES) + LOWEST_DB >= SOUNDS_ABOVE_DB
        if not self._counts[heard].any():
            return None
        mean_db = 10 * np.log10(self._powers[heard].sum() / self._counts[heard].sum())
        heard &= np.arange(N_CLASSES) + LOWEST_DB >= mean_db + GATE_DB
        return 10 * np.log10(self._energies[heard].sum(axis=0) / self._counts[heard].sum() + 1e-30)
