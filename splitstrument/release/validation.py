r"""Compare weights on validation songs: what to keep, before anything is put to held-out ones.

    python -m splitstrument.release.validation guitar runs/joint_wide runs/joint_wide_finish/last.weights.h5
    python -m splitstrument.release.validation guitar runs/joint_wide+runs/mine     # answers averaged, as of members
    python -m splitstrument.release.validation piano runs/joint_wide --output 1          # of a joint training
    python -m splitstrument.release.validation guitar runs/joint_wide --pairs data/corpus_recorded/guitar --tracks 24
    python -m splitstrument.release.validation guitar runs/fold --seconds 0 \
        --pairs "data/frets_on_fire/tracks_22050hz/Feelings"

For the middle 30 seconds of each song in which the instrument plays, or (`--seconds 0`) for whole songs: SI-SDR of the
instrument against the mixture's, and the level of the answer to the rest alone, and to the instrument alone, in dB
against what went in. A run stands for its best weights; the last line but one scores songs of the training. Chunks lie
end to end here; `splitstrument separate` lets them overlap, which changes the second decimal.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np

from splitstrument import audio
from splitstrument.evaluation.metrics.si_sdr import level_db, si_sdr
from splitstrument.model_folder import read_model_folder
from splitstrument.network.registry import build_network
from splitstrument.pairs import find_pairs
from splitstrument.spectrogram import istft, stft

QUIET = 1e-3  # of the mixture's energy: an instrument below it does not play


class Masker:
    """Networks of one shape, whose masks are averaged."""

    def __init__(self, weights: list[Path], output: int) -> None:
        self.output = output
        self.settings = read_model_folder(weights[0].parent).settings
        self.networks = [build_network(self.settings) for _ in weights]
        for network, file in zip(self.networks, weights, strict=True):
            network.load_weights(file)

    def __call__(self, sound: np.ndarray) -> np.ndarray:
        """The instrument in (n_samples, 1)."""
        spectrogram = self.settings.spectrogram
        spectrum = stft(sound, spectrogram.n_fft, spectrogram.hop)
        mask = self.mask(self.chunks(spectrum), spectrum.shape[-1])
        return istft(spectrum * mask, len(sound), spectrogram.n_fft, spectrogram.hop)

    def chunks(self, spectrum: np.ndarray) -> np.ndarray:
        """Magnitudes of (1, n_bins, any number of frames), end to end: (n_chunks, n_bins, n_frames, 1)."""
        n_frames = self.settings.n_frames
        magnitudes = np.pad(np.abs(spectrum[0]), ((0, 0), (0, -spectrum.shape[-1] % n_frames))).astype(np.float32)
        return magnitudes.reshape(len(magnitudes), -1, n_frames).transpose(1, 0, 2)[..., None]

    def mask(self, chunks: np.ndarray, size: int) -> np.ndarray:
        """Mask (n_bins, size) of chunks."""
        masks = np.mean([np.asarray(network(chunks, training=False)) for network in self.networks], axis=0)
        return masks[..., self.output].transpose(1, 0, 2).reshape(chunks.shape[1], -1)[:, :size]


def main() -> None:
    """Print a line for each candidate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=["guitar", "piano"])
    parser.add_argument("candidates", nargs="+", help="run folders or weights in them; joined by + they are averaged")
    parser.add_argument("--pairs", type=Path, help="[default: data/corpus/dev/heldout/validation/<target>]")
    parser.add_argument("--tracks", type=int, help="only so many, evenly taken")
    parser.add_argument("--output", type=int, default=0, help="which output of the network to score")
    parser.add_argument("--seconds", type=int, default=30, help="of the middle of each song; 0 takes whole songs")
    arguments = parser.parse_args()
    folder = arguments.pairs or Path(f"data/corpus/dev/heldout/validation/{arguments.target}")
    songs = list(excerpts(folder, arguments.tracks, arguments.seconds))
    print(f"{len(songs)} songs, mixture {np.median([si_sdr(one, one + rest) for one, rest in songs]):.2f} dB")
    for candidate in arguments.candidates:
        paths = [Path(name) for name in candidate.split("+")]
        weights = [path if path.suffix == ".h5" else path / "best.weights.h5" for path in paths]
        print(line(candidate, [Masker([file], arguments.output) for file in weights], songs), flush=True)


def excerpts(folder: Path, count: int | None, seconds: int = 30) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Instrument and rest of the middle `seconds` of each song (0: of all of it), mono (n_samples, 1)."""
    pairs = find_pairs(folder)
    for pair in pairs[:: max(1, len(pairs) // count)] if count else pairs:
        (instrument, rate_hz), (rest, _) = audio.read(pair.instrument, mono=True), audio.read(pair.rest, mono=True)
        if seconds:
            start = max(0, len(instrument) // 2 - seconds * rate_hz // 2)
            instrument, rest = (sound[start : start + seconds * rate_hz] for sound in (instrument, rest))
        if np.sum(instrument**2) > QUIET * np.sum((instrument + rest) ** 2):
            yield instrument, rest


def line(name: str, maskers: list[Masker], songs: list[tuple[np.ndarray, np.ndarray]]) -> str:
    """Scores of one candidate, the mean of some answers."""

    def separated(sound: np.ndarray) -> np.ndarray:
        return np.mean([masker(sound) for masker in maskers], axis=0)

    scores = [si_sdr(instrument, separated(instrument + rest)) for instrument, rest in songs]
    absent = [level_db(separated(rest), rest) for _, rest in songs]
    solo = [level_db(separated(instrument), instrument) for instrument, _ in songs]
    gain = [score - si_sdr(one, one + rest) for score, (one, rest) in zip(scores, songs, strict=True)]
    return (
        f"{name}: SI-SDR median {np.median(scores):.2f}, mean {np.mean(scores):.2f}; gain {np.median(gain):.2f}; "
        f"absent {np.median(absent):.1f}; solo {np.median(solo):.2f}, worst {min(solo):.1f}"
    )


if __name__ == "__main__":
    main()
