"""What the choices of a separation cost or gain in score: engine, mask for all channels, overlap, after the mask.

    python benchmarks/separation_quality.py runs/mine data/frets_on_fire/tracks_44100hz --seconds 60 --tracks Feelings

For each pair the mixture's SI-SDR (both channels together, no scaling of the reference per channel) stands beside that
of the instrument under every choice; `confidence` is the separation's own. The last rows put a multichannel Wiener
filter (expectation-maximisation on the two sources' spatial covariances, as in norbert) behind the mask, over the whole
excerpt at once, which is the most it could give.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from splitstrument.audio import read, resample
from splitstrument.model_folder import find_model
from splitstrument.pairs import find_pairs
from splitstrument.separation.api import separate
from splitstrument.separation.engines import ENGINES
from splitstrument.separation.options import MaskOptions, SeparationOptions
from splitstrument.separation.pipeline import LoadedModel, load_model
from splitstrument.spectrogram import istft, stft

CHOICES = {
    "the model's own": SeparationOptions(),
    "channels magnitude": SeparationOptions(channels="magnitude"),
    "channels each": SeparationOptions(channels="each"),
    "overlap 0": SeparationOptions(overlap=0),
    "overlap 0.5": SeparationOptions(overlap=0.5),
    "overlap 0.75": SeparationOptions(overlap=0.75),
    "strength 0.7": SeparationOptions(mask=MaskOptions(strength=0.7)),
    "strength 1.5": SeparationOptions(mask=MaskOptions(strength=1.5)),
    "cleanup 1": SeparationOptions(mask=MaskOptions(cleanup=1)),
    "floor -30 dB": SeparationOptions(mask=MaskOptions(floor_db=-30)),
}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("pairs", type=Path)
    parser.add_argument("--tracks", nargs="+", help="only these")
    parser.add_argument("--seconds", type=float, default=60)
    options = parser.parse_args()
    folder = find_model(options.model)
    engines = [name for name, kind in ENGINES.items() if kind.fits(folder)]
    rows: dict[str, list[float]] = {}
    confidences, names = [], []
    for pair in find_pairs(options.pairs):
        if options.tracks and pair.name not in options.tracks:
            continue
        instrument, rate = excerpt(pair.instrument, options.seconds)
        song = instrument + excerpt(pair.rest, options.seconds)[0]
        names.append(pair.name)
        rows.setdefault("mixture", []).append(si_sdr(instrument, song))
        model = load_model(folder)
        for name, choice in CHOICES.items():
            done = separate(song, rate, model, options=choice)
            rows.setdefault(name, []).append(si_sdr(instrument, done.instrument))
            if name == "the model's own":
                confidences.append(done.activity.confidence)
                wiener_rows(rows, song, done.instrument, instrument, rate, model)
        for name in engines:
            done = separate(song, rate, folder, engine=name)
            rows.setdefault(f"engine {name}", []).append(si_sdr(instrument, done.instrument))
    print(f"| SI-SDR dB | {' | '.join(names)} | mean |\n|---|{'---|' * (len(names) + 1)}")
    for name, values in rows.items():
        print(f"| {name} | {' | '.join(f'{value:.2f}' for value in values)} | {np.mean(values):.2f} |")
    print(f"| confidence | {' | '.join(f'{value:.2f}' for value in confidences)} | |")


def excerpt(path: Path, seconds: float) -> tuple[np.ndarray, int]:
    """The middle of a file."""
    audio, rate = read(path)
    n_samples = min(len(audio), round(seconds * rate))
    start = (len(audio) - n_samples) // 2
    return audio[start : start + n_samples], rate


def si_sdr(reference: np.ndarray, estimate: np.ndarray) -> float:
    """Scale-invariant SDR in dB over all channels together."""
    reference, estimate = reference.astype(np.float64), estimate.astype(np.float64)
    scale = np.sum(reference * estimate) / np.sum(reference**2)
    return float(10 * np.log10(np.sum((scale * reference) ** 2) / np.sum((estimate - scale * reference) ** 2)))


def wiener_rows(rows, song, estimate, instrument, rate: int, model: LoadedModel) -> None:
    """Scores with one and two iterations of the multichannel Wiener filter."""
    if song.shape[1] != 2:
        return
    at = model.settings.spectrogram
    mixture, estimated = (stft(resample(audio, rate, at.sample_rate_hz), at.n_fft) for audio in (song, estimate))
    n_samples = len(resample(song, rate, at.sample_rate_hz))
    reference = resample(instrument, rate, at.sample_rate_hz)
    plain = istft(estimated, n_samples, at.n_fft)
    rows.setdefault("Wiener, none (model's rate)", []).append(si_sdr(reference, plain))
    for iterations in (1, 2):
        filtered = istft(multichannel_wiener(mixture, estimated, iterations), n_samples, at.n_fft)
        rows.setdefault(f"Wiener, {iterations} iterations", []).append(si_sdr(reference, filtered))


def multichannel_wiener(mixture: np.ndarray, estimate: np.ndarray, iterations: int) -> np.ndarray:
    """Refine an estimate (2, n_bins, n_frames) by expectation-maximisation (Duong 2010, as norbert does)."""
    x = mixture.transpose(1, 2, 0).astype(np.complex128)
    sources = [estimate.transpose(1, 2, 0).astype(np.complex128)]
    sources.append(x - sources[0])
    small = 1e-10 * np.mean(np.abs(x) ** 2)
    for _ in range(iterations):
        powers = [np.mean(np.abs(source) ** 2, axis=-1) for source in sources]
        covariances = []
        for source, power in zip(sources, powers, strict=True):
            outer = np.einsum("fti,ftj->fij", source, source.conj())
            covariances.append(outer / (power.sum(axis=1)[:, None, None] + small))
        models = [
            power[..., None, None] * covariance[:, None] for power, covariance in zip(powers, covariances, strict=True)
        ]
        inverse = np.linalg.inv(sum(models) + small * np.eye(2))
        filtered = np.einsum("ftij,ftj->fti", inverse, x)
        sources = [np.einsum("ftij,ftj->fti", model, filtered) for model in models]
    return sources[0].transpose(2, 0, 1).astype(np.complex64)


if __name__ == "__main__":
    main()
