"""What masks are worth: by how large a mask is, how much of the sound there is the instrument's. For `calibration`.

    python -m splitstrument.release.mask_statistics runs/band+last --set data/choice_a320u -o results/masks

Of the middle of every song of a stem set, for each known stem that the model answers, over `N_LEVELS` equal ranges of
its mask: energy of the stem, energy of the mixture, and their inner product, mid and side together. From these three
numbers follow the best gain of each range, the error that is left, and the SDR of any remapped mask, without asking the
network again. One ``<set>.npz`` for each set: ``names`` (n, 2) of track and stem, ``terms`` (n, 3, N_LEVELS).
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
from numpy.typing import NDArray

from splitstrument.files import atomic_path
from splitstrument.release.stem_validation import Model, audible_stems, chosen, mixture_of, read_middle, spectrum_of
from splitstrument.spectrogram import Complex, Float
from splitstrument.stem_set import read_set

N_LEVELS = 64
Terms = NDArray[np.float64]


def both_views(spectrum: Complex) -> Complex:
    """Mid and half the difference of a spectrum of one or two channels, with their phases."""
    left, right = spectrum[0], spectrum[-1]
    return (np.stack([left + right, left - right]) / 2).astype(np.complex64)


def terms_of(mask: Float, target: Complex, mixture: Complex) -> Terms:
    """Energy of the target, inner product, energy of the mixture, (3, N_LEVELS), by the size of the mask.

    Parameters
    ----------
    mask
        (2, n_bins, n_frames) of mid and side.
    target, mixture
        Spectra (2, n_bins, n_frames) of mid and half the difference.
    """
    level = np.minimum((mask * N_LEVELS).astype(np.int64), N_LEVELS - 1).ravel()
    parts = (np.abs(target) ** 2, (target * np.conj(mixture)).real, np.abs(mixture) ** 2)
    return np.stack([np.bincount(level, part.ravel(), N_LEVELS) for part in parts])


def gather(model: Model, root: Path, seconds: float) -> tuple[list[tuple[str, str]], Terms]:
    """Track and stem, and `terms_of` each, of one set."""
    names, terms = [], []
    listing = read_set(root)
    for track in chosen(listing, [], "masks"):
        sounds = read_middle(listing, track, seconds)
        spectrum = spectrum_of(mixture_of(sounds))
        masks, mixture = model.masks(spectrum), both_views(spectrum)
        for stem, target, _ in audible_stems(track, sounds):
            if stem in masks:
                names.append((track.name, stem))
                terms.append(terms_of(masks[stem], both_views(spectrum_of(target)), mixture))
    return names, np.array(terms)


def main(arguments: list[str] | None = None) -> None:
    """Gather and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="name or folder, with +last for its last weights")
    parser.add_argument("--set", dest="sets", action="append", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args(arguments)
    model = Model(options.model)
    for root in options.sets:
        names, terms = gather(model, root, options.seconds)
        with atomic_path(options.output / f"{root.name}.npz") as temporary, temporary.open("wb") as file:
            np.savez(file, names=np.array(names), terms=terms)
        print(f"{root.name}: {len(names)} stems")


if __name__ == "__main__":
    main()
