"""Does it help a model to hear every song with the spectrum that its training had?

    python benchmarks/spectral_matching.py runs/joint_wide data/muldjord/tracks_22050hz
    python benchmarks/spectral_matching.py runs/joint_wide data/corpus/dev/heldout/validation/guitar --tracks 8

Equalizes the magnitudes that the network sees, so that the mean of each bin over the song becomes the one that the
network standardises with (`bandunet`), in part or wholly; the mask is applied to the song as it is. Prints the median
and mean SI-SDR over the middle 30 seconds of the songs for each share of the correction.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter1d
from validation import Masker, excerpts, si_sdr

from splitstrument.network.bandunet import compress
from splitstrument.spectrogram import istft, stft

SHARES = (0.0, 0.3, 0.6, 1.0)
OCTAVE_POINTS = 50  # of the logarithmic axis on which the correction is smoothed
SMOOTHING_OCTAVES = 0.4
MOST_DB = 15.0


def main() -> None:
    """Print a line for each share."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("--output", type=int, default=0, help="which output of the network to score")
    parser.add_argument("--tracks", type=int, help="only so many, evenly taken")
    arguments = parser.parse_args()
    masker = Masker([arguments.run / "best.weights.h5"], arguments.output)
    scores: dict[float, list[float]] = {share: [] for share in SHARES}
    for instrument, rest in excerpts(arguments.pairs, arguments.tracks):
        for share, found in scores.items():
            found.append(si_sdr(instrument, separated(instrument + rest, masker, share)))
    for share, found in scores.items():
        print(f"{share:4.0%} of the correction: SI-SDR median {np.median(found):.2f}, mean {np.mean(found):.2f}")


def separated(sound: np.ndarray, masker: Masker, share: float) -> np.ndarray:
    """The instrument in (n_samples, 1), with a `share` of the correction."""
    spectrogram = masker.settings.spectrogram
    spectrum = stft(sound, spectrogram.n_fft, spectrogram.hop)
    chunks = masker.chunks(spectrum)
    gains = 10 ** (share * correction_db(chunks, masker) / 20)
    mask = masker.mask(chunks * gains[:, None, None].astype(np.float32), spectrum.shape[-1])
    return istft(spectrum * mask, len(sound), spectrogram.n_fft, spectrogram.hop)


def correction_db(chunks: np.ndarray, masker: Masker) -> np.ndarray:
    """Gain of each bin (n_bins,), smooth over frequency; DC stays."""
    network, exponent = masker.networks[0], masker.settings.network.compression
    known = np.asarray(network.get_layer("standardise").moving_mean)
    heard = np.asarray(compress(chunks[:, 1:], exponent)).mean(axis=(0, 2, 3))
    bins = np.log2(np.arange(1, len(known) + 1))
    axis = np.linspace(0, bins[-1], round(OCTAVE_POINTS * bins[-1]))
    curve = np.interp(axis, bins, 20 / exponent * np.log10(known / heard))
    smooth = gaussian_filter1d(curve, SMOOTHING_OCTAVES * OCTAVE_POINTS)
    return np.concatenate([[0.0], np.clip(np.interp(bins, axis, smooth), -MOST_DB, MOST_DB)])


if __name__ == "__main__":
    main()
