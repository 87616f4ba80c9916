"""What adapting a network's statistics to the song at hand (`splitstrument models adapt`) brings, and how far to go.

    python benchmarks/adaptation.py runs/fold_armygeddon data/muldjord/tracks_22050hz/armygeddon
    python benchmarks/adaptation.py runs/fold_a PAIRS_A runs/fold_b PAIRS_B      # several folds of a leave-one-out

For each run (its last weights, or the file that its name ends on) and the pairs named after it: SI-SDR of whole songs
in mono, for several shares of the way to the song's own statistics. The last line has the means over all folds.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from validation import Masker, excerpts, si_sdr

from splitstrument.model_tools.adapt import BATCH
from splitstrument.network.batch_statistics import estimate_statistics, normalization_statistics
from splitstrument.spectrogram import stft

SHARES = (0.0, 0.15, 0.3, 0.5, 0.75, 1.0)


def main() -> None:
    """Print a line for each fold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folds", nargs="+", type=Path, help="runs and the pairs that each is for, by turns")
    parser.add_argument("--output", type=int, default=0, help="which output of the network to score")
    arguments = parser.parse_args()
    if len(arguments.folds) % 2:
        parser.error("expected a folder of pairs after each run")
    rows = []
    for run, pairs in zip(arguments.folds[::2], arguments.folds[1::2], strict=True):
        weights = run if run.suffix == ".h5" else run / "last.weights.h5"
        for instrument, rest in excerpts(pairs, None, 0):
            rows.append([scored(Masker([weights], arguments.output), instrument, rest, share) for share in SHARES])
            print(f"{run.name} on {pairs.name}: {_listed(rows[-1])}", flush=True)
    print(f"mean: {_listed(np.mean(rows, axis=0))}; gain at the median: {_listed(np.median(_gains(rows), axis=0))}")


def scored(masker: Masker, instrument: np.ndarray, rest: np.ndarray, share: float) -> float:
    """SI-SDR in dB with statistics so far on the way to the song's."""
    [network], spectrogram = masker.networks, masker.settings.spectrogram
    chunks = masker.chunks(stft(instrument + rest, spectrogram.n_fft, spectrogram.hop))
    audible = chunks[chunks.any(axis=(1, 2, 3))]
    starts = range(0, len(audible) - BATCH // 2 + 1, BATCH)
    known = [variable.numpy() for variable in normalization_statistics(network)]
    estimate_statistics(network, (audible[start : start + BATCH] for start in starts), share)
    score = si_sdr(instrument, masker(instrument + rest))
    for variable, value in zip(normalization_statistics(network), known, strict=True):
        variable.assign(value)
    return score


def _gains(rows: list[list[float]]) -> np.ndarray:
    return np.array(rows) - np.array(rows)[:, :1]


def _listed(values: np.ndarray | list[float]) -> str:
    return ", ".join(f"{share:g}: {value:.2f}" for share, value in zip(SHARES, values, strict=True))


if __name__ == "__main__":
    main()
