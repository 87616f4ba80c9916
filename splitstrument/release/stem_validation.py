"""Score models on stem sets, in stereo, instrument and rest, beside what needs no model; for choosing.

    python -m splitstrument.release.stem_validation guitar runs/band --set data/choice_notes --set data/muldjord_set
    python -m splitstrument.release.stem_validation runs/band+last --set data/muldjord_set --tracks armygeddon -o a.json

Models are shipped ones by name, or folders (``+last``: its last weights); each answers the stems it has. Of the middle
minute of every song, for each known stem that is audible: SI-SDR of the instrument and SDR of the rest over both
channels, of

- the song itself; a fixed mid/side EQ, fitted on the set's other songs (each bin's Wiener gain);
- the ideal ratio mask, one for both channels, and one each for mid and side;
- each model's masks, without gates.

Medians per set and stem; of models also the worst tenth over the song itself, for instrument and rest, and the scale by
which the instrument would come out best (1: calibrated; below: the model claims too much).

With --limits also what a model does at the limits: the level in dB that is kept of the instrument alone (median, lowest
tenth), and that of what it takes out of the song without the instrument, against that song (median, highest tenth).
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np

from splitstrument import audio
from splitstrument.errors import ModelError
from splitstrument.model_folder import read_model_folder, shipped_models
from splitstrument.network.calibration import calibrated
from splitstrument.network.registry import build_network
from splitstrument.network.stereo import apply_mid_side, cancels, exchanged, mid_side
from splitstrument.progress import progress
from splitstrument.spectrogram import Complex, Float, istft, stft
from splitstrument.stem_set import SetTrack, StemSet, read_set
from splitstrument.tables import markdown

AUDIBLE = 10**-3.5  # of the mixture's energy
STEMS = ("guitar", "piano", "bass", "drums")
N_FFT, HOP, RATE_HZ = 2048, 512, 22_050
TINY = 1e-20
Row = dict[str, Any]


class Model:
    """A network and how to ask it."""

    def __init__(self, name: str) -> None:
        place, _, which = name.partition("+")
        folder = read_model_folder(shipped_models().get(place, Path(place)))
        self.name, self.settings = name, folder.settings
        self.network = build_network(self.settings)
        self.network.load_weights(folder.file(f"{which or 'best'}.weights.h5"))
        spectrogram = self.settings.spectrogram
        if (spectrogram.sample_rate_hz, spectrogram.n_fft, spectrogram.hop) != (RATE_HZ, N_FFT, HOP):
            raise ModelError(f"{name} hears {spectrogram}; expected n_fft {N_FFT}, hop {HOP}, {RATE_HZ} Hz.")

    def masks(self, spectrum: Complex) -> dict[str, Float]:
        """Masks (2, n_bins, n_frames) of mid and side by stem; a mono model has the same for both."""
        views = mid_side(spectrum)
        size, n_frames = self.settings.n_frames, views.shape[-1]
        step = size * 7 // 8
        count = max(1, -(-(n_frames - size) // step) + 1)
        padded = np.pad(views, ((0, 0), (0, 0), (0, step * (count - 1) + size - n_frames)))
        chunks = np.stack([padded[..., step * i : step * i + size] for i in range(count)])
        answers = self._ask(chunks)
        window = np.sin(np.pi * (np.arange(size) + 0.5) / size) ** 2
        total, weight = np.zeros((*answers.shape[1:-1], padded.shape[-1]), np.float32), np.zeros(padded.shape[-1])
        for index, answer in enumerate(answers):
            part = slice(step * index, step * index + size)
            total[..., part] += answer * window
            weight[part] += window
        found = zip(self.settings.names, (total / weight)[..., :n_frames].astype(np.float32), strict=True)
        curves = self.settings.calibration or {}
        return {name: calibrated(mask, curves[name]) if name in curves else mask for name, mask in found}

    def _ask(self, chunks: Float) -> Float:
        """(n_chunks, 2, n_bins, size) magnitudes to (n_chunks, n_stems, 2, n_bins, size) masks."""
        n_views = self.settings.n_views
        turned = cancels(chunks) & (n_views == 2)
        shown = exchanged(chunks, turned)[:, :n_views].transpose(0, 2, 3, 1)
        scale = 1.0
        if self.settings.normalisation != "none":
            scale = shown.max(axis=(1, 2, 3), keepdims=True) + TINY
        masks = np.concatenate([self.network(shown[i : i + 1] / scale).numpy() for i in range(len(shown))])
        masks = masks.transpose(0, 3, 1, 2)[:, : n_views * len(self.settings.names)]
        by_stem = masks.reshape(len(masks), -1, n_views, *masks.shape[2:])
        by_stem = np.repeat(by_stem, 2, axis=2) if n_views == 1 else by_stem
        return exchanged(by_stem, np.repeat(turned[:, None], by_stem.shape[1], axis=1))


def read_middle(listing: StemSet, track: SetTrack, seconds: float) -> dict[str, Float]:
    """The middle of each stem that has a file: (n_samples, 2)."""
    paths = {stem: listing.path(track, stem) for stem in track.stems}
    n_samples = audio.probe(next(iter(paths.values()))).n_samples
    taken = min(n_samples, int(seconds * RATE_HZ))
    return {stem: audio.read(path, start=(n_samples - taken) // 2, n_samples=taken)[0] for stem, path in paths.items()}


def mixture_of(sounds: dict[str, Float]) -> Float:
    """The song: the sum of its stems."""
    return np.sum(list(sounds.values()), axis=0)


def spectrum_of(sound: Float) -> Complex:
    """STFT (n_channels, n_bins, n_frames)."""
    return stft(sound, N_FFT, HOP)


def fit_terms(target: Complex, mixture: Complex) -> np.ndarray:
    """Numerator and denominator (2, 2, n_bins) of the best fixed gain of mid and side in each bin."""

    def views(spectrum: Complex) -> np.ndarray:
        """Mid and half the difference, with their phases."""
        return np.stack([spectrum[0] + spectrum[1], spectrum[0] - spectrum[1]]) / np.float32(2)

    ours, all_of_it = views(target), views(mixture)
    return np.stack([np.sum((ours * np.conj(all_of_it)).real, axis=-1), np.sum(np.abs(all_of_it) ** 2, axis=-1)])


def ideal_masks(target: Complex, rest: Complex) -> dict[str, Float]:
    """Ideal ratio masks: one for both channels, and one each for mid and side."""
    ours, others = np.abs(target.mean(axis=0)), np.abs(rest.mean(axis=0))
    mono = np.repeat((ours / (ours + others + TINY))[None], 2, axis=0)
    ours, others = mid_side(target), mid_side(rest)
    return {"ideal mono": mono, "ideal mid/side": ours / (ours + others + TINY)}


def scores_of(estimate: Float, target: Float, mixture: Float) -> dict[str, float]:
    """SI-SDR and SDR of the instrument, SDR of the rest in dB, and the estimate's best scale."""
    guess, truth, song = (sound.astype(np.float64).ravel() for sound in (estimate, target, mixture))
    inner, ours, theirs = float(guess @ truth), float(guess @ guess), float(truth @ truth)
    projected = inner**2 / (theirs + TINY)
    error, rest = float(np.sum((truth - guess) ** 2)), float(np.sum((song - truth) ** 2))
    return {
        "si_sdr": decibels(projected, ours - projected),
        "sdr": decibels(theirs, error),
        "rest_sdr": decibels(rest, error),
        "scale": float(inner / (ours + TINY)),
    }


def decibels(above: float, below: float) -> float:
    """Ratio of energies, bounded to 100 dB either way."""
    return float(np.clip(10 * np.log10((above + TINY) / (max(below, 0) + TINY)), -100, 100))


def score_set(root: Path, models: list[Model], wanted: list[str], seconds: float) -> Iterator[Row]:
    """All rows of one set."""
    listing = read_set(root)
    terms: dict[str, dict[str, np.ndarray]] = {stem: {} for stem in STEMS}
    for track in listing.tracks.values():  # of all songs, also those that are not scored
        for stem, target, mixture in audible_stems(track, read_middle(listing, track, seconds)):
            terms[stem][track.name] = fit_terms(spectrum_of(target), spectrum_of(mixture))
    for track in chosen(listing, wanted, "score"):
        others = {stem: [term for name, term in terms[stem].items() if name != track.name] for stem in STEMS}
        row = {"set": root.name, "track": track.name}
        yield from (row | more for more in score_song(track, read_middle(listing, track, seconds), models, others))


def chosen(listing: StemSet, wanted: list[str], what: str) -> Iterator[SetTrack]:
    """The tracks of a set, or the `wanted` ones, with the time left on a terminal."""
    tracks = [track for track in listing.tracks.values() if not wanted or track.name in wanted]
    with progress(f"{listing.root.name}: {what}", len(tracks), "songs") as advance:
        for track in tracks:
            yield track
            advance(1)


def score_song(
    track: SetTrack, sounds: dict[str, Float], models: list[Model], others: dict[str, list[np.ndarray]]
) -> Iterator[Row]:
    """The rows of one song; `others` has `fit_terms` of the set's other songs by stem."""
    mixture = mixture_of(sounds)
    spectrum = spectrum_of(mixture)
    answers = {model.name: model.masks(spectrum) for model in models}
    for stem, target, _ in audible_stems(track, sounds):
        masks = {name: answer[stem] for name, answer in answers.items() if stem in answer}
        masks |= ideal_masks(spectrum_of(target), spectrum_of(mixture - target))
        if others[stem]:
            above, below = np.sum(others[stem], axis=0)
            masks["EQ"] = np.clip(above / (below + TINY), 0, 1)[..., None].astype(np.float32)
        as_it_is = {"rest_sdr": scores_of(mixture, mixture - target, mixture)["sdr"]}
        yield {"stem": stem, "system": "song", **scores_of(mixture, target, mixture), **as_it_is}
        for name, mask in masks.items():
            estimate = istft(apply_mid_side(spectrum, mask), len(mixture), N_FFT, HOP)
            yield {"stem": stem, "system": name, **scores_of(estimate, target, mixture)}


def limits_of(root: Path, models: list[Model], wanted: list[str], seconds: float) -> Iterator[Row]:
    """For each song, audible stem and model: dB kept of the stem alone, and dB taken out of the song without it."""
    listing = read_set(root)
    for track in chosen(listing, wanted, "limits"):
        for stem, target, mixture in audible_stems(track, read_middle(listing, track, seconds)):
            for model in models:
                if stem in model.settings.names:
                    alone, without = (_answer_db(model, stem, sound) for sound in (target, mixture - target))
                    row = {"set": root.name, "track": track.name, "stem": stem, "system": model.name}
                    yield row | {"alone_db": alone, "without_db": without}


def _answer_db(model: Model, stem: str, sound: Float) -> float:
    """Level of what a model takes out of `sound`, against it."""
    spectrum = spectrum_of(sound)
    answer = istft(apply_mid_side(spectrum, model.masks(spectrum)[stem]), len(sound), N_FFT, HOP)
    return decibels(float(np.sum(answer.astype(np.float64) ** 2)), float(np.sum(sound.astype(np.float64) ** 2)))


def limits_table(rows: list[Row]) -> str:
    """One line per set, stem and model."""
    head = ["set", "stem", "model", "songs", "alone: kept", "lowest tenth", "without: taken", "highest tenth"]
    lines = []
    for key in sorted({(row["set"], row["stem"], row["system"]) for row in rows}):
        here = [row for row in rows if (row["set"], row["stem"], row["system"]) == key]
        alone, without = ([row[what] for row in here] for what in ("alone_db", "without_db"))
        values = (np.median(alone), np.quantile(alone, 0.1), np.median(without), np.quantile(without, 0.9))
        lines.append([*key, len(here), *(f"{value:.1f}" for value in values)])
    return markdown(head, lines)


def audible_stems(track: SetTrack, sounds: dict[str, Float]) -> Iterator[tuple[str, Float, Float]]:
    """Known stems that are heard in the song and are not all of it, with the mixture."""
    mixture = mixture_of(sounds)
    energy = float(np.sum(mixture**2))
    for stem in STEMS:
        if stem in sounds and stem in track.known:
            ours, rest = float(np.sum(sounds[stem] ** 2)), float(np.sum((mixture - sounds[stem]) ** 2))
            if min(ours, rest) > AUDIBLE * energy:
                yield stem, sounds[stem], mixture


def table(rows: list[Row]) -> str:
    """One line per set, stem and system."""
    head = ["set", "stem", "songs", "system", "SI-SDR", "rest SDR", "worst tenth over the song: SI-SDR", "rest"]
    lines = []
    for key in sorted({(row["set"], row["stem"]) for row in rows}):
        here = [row for row in rows if (row["set"], row["stem"]) == key]
        songs = {row["track"]: row for row in here if row["system"] == "song"}
        for system in dict.fromkeys(row["system"] for row in here):
            ours = [row for row in here if row["system"] == system]
            gains = [[row[what] - songs[row["track"]][what] for row in ours] for what in ("si_sdr", "rest_sdr")]
            middle = (np.median([row[what] for row in ours]) for what in ("si_sdr", "rest_sdr"))
            values = [f"{value:.1f}" for value in (*middle, *np.quantile(gains, 0.1, axis=1))]
            scale = np.median([row["scale"] for row in ours])
            worse = sum(gain < 0 for gain in gains[1])
            lines.append([*key, len(ours), system, *values, worse, f"{scale:.2f}"])
    return markdown([*head, "rests worse than the song", "best scale"], lines)


def main(arguments: list[str] | None = None) -> None:
    """Score and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--set", dest="sets", action="append", type=Path, required=True)
    parser.add_argument("--tracks", nargs="*", default=[])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--limits", action="store_true", help="also instruments alone, and songs without them")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args(arguments)
    models = [Model(name) for name in options.models]
    rows = [row for root in options.sets for row in score_set(root, models, options.tracks, options.seconds)]
    text, limits = table(rows), []
    if options.limits:
        limits = [row for root in options.sets for row in limits_of(root, models, options.tracks, options.seconds)]
        text += "\n" + limits_table(limits)
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(json.dumps(rows + limits, indent=1))
    print(text)


if __name__ == "__main__":
    main()
