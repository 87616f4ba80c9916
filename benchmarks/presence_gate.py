"""What do gates (`separate --gate --rest-gate`) cost, what do they bring, and where should their thresholds be?

    python benchmarks/presence_gate.py guitar runs/joint_wide
    python benchmarks/presence_gate.py piano runs/joint_wide --output 1
    python benchmarks/presence_gate.py guitar runs/joint_wide --pairs data/muldjord/tracks_22050hz

For the middle of each validation song (`benchmarks/validation.py`), masks of the runs averaged: SI-SDR of the
instrument, and the level of the answer to the rest alone and to the instrument alone, without a gate and with several.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

import numpy as np
from validation import Masker, excerpts, level_db, si_sdr

from splitstrument.separation.gate import Gate, gated
from splitstrument.spectrogram import istft, stft

THRESHOLDS_DB = (None, -18.0, -16.0, -14.0, -12.0)
REST_THRESHOLDS_DB = (None, -18.0, -16.0, -14.0, -12.0, -10.0, -8.0)


def main() -> None:
    """Print a line for each gate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=["guitar", "piano"])
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--pairs", type=Path, help="[default: data/corpus/dev/heldout/validation/<target>]")
    parser.add_argument("--output", type=int, default=0, help="which output of the network to score")
    parser.add_argument("--seconds", type=int, default=60, help="of each song")
    arguments = parser.parse_args()
    masker = Masker([run / "best.weights.h5" for run in arguments.runs], arguments.output)
    gates = [Gate(*thresholds) for thresholds in itertools.product(THRESHOLDS_DB, REST_THRESHOLDS_DB)]
    rows: dict[str, list[tuple[float, float, float]]] = {_name(gate): [] for gate in gates}
    folder = arguments.pairs or Path(f"data/corpus/dev/heldout/validation/{arguments.target}")
    for instrument, rest in excerpts(folder, None, arguments.seconds):
        inputs = (instrument + rest, rest, instrument)
        masks = [_masked(sound, masker) for sound in inputs]
        for gate in gates:
            both, absent, solo = (
                _separated(sound, *mask, gate, masker) for sound, mask in zip(inputs, masks, strict=True)
            )
            rows[_name(gate)].append((si_sdr(instrument, both), level_db(absent, rest), level_db(solo, instrument)))
    for name, found in rows.items():
        scores, absent, solo = np.array(found).T
        print(
            f"{name}: SI-SDR median {np.median(scores):.2f}, mean {np.mean(scores):.2f}; "
            f"absent median {np.median(absent):.1f}, worst {max(absent):.1f}; "
            f"solo median {np.median(solo):.2f}, worst {min(solo):.1f}"
        )


def _name(gate: Gate) -> str:
    return f"instrument {gate.instrument_db or 'none'}, rest {gate.rest_db or 'none'}"


def _masked(sound: np.ndarray, masker: Masker) -> tuple[np.ndarray, np.ndarray]:
    spectrogram = masker.settings.spectrogram
    spectrum = stft(sound, spectrogram.n_fft, spectrogram.hop)
    return spectrum, masker.mask(masker.chunks(spectrum), spectrum.shape[-1])[None]


def _separated(sound: np.ndarray, spectrum: np.ndarray, mask: np.ndarray, gate: Gate, masker: Masker) -> np.ndarray:
    spectrogram = masker.settings.spectrogram
    [(spectrum, mask)] = gated(iter([(spectrum, mask)]), gate, spectrogram)
    return istft(spectrum * mask, len(sound), spectrogram.n_fft, spectrogram.hop)


if __name__ == "__main__":
    main()
