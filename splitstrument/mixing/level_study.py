"""Can a lead's level be predicted from its backing? A constant, a linear model and a network, cross-validated by song.

    python -m splitstrument.mixing.level_study data/band data/band_heavy --lead guitar
    python -m splitstrument.mixing.level_study data/band --test data/frets_on_fire --features level.npz -o level.json

Sets are stem sets. Of each song some excerpts are heard; what is to be predicted is the loudness of the lead less that
of everything else (BS.1770), from the spectrum of everything else and its spread over time, whose own level is taken
out.
The error is the mean over songs of the absolute difference, in LU; each song is predicted by models that have heard no
song of its group. The 95 % interval of what a model gains over the constant is from resampled songs.

First comes a toy task: the same songs and models, but a level that follows from the backing by a rule that is not
linear. A network that fails there says nothing about music.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitstrument import audio
from splitstrument.audio import Audio
from splitstrument.errors import DatasetError, missing_extra
from splitstrument.files import write_json
from splitstrument.loudness import LoudnessMeter
from splitstrument.stem_set import SetTrack, StemSet, read_set

N_EXCERPTS, EXCERPT_S = 4, 8.0
N_BANDS, LOWEST_HZ, HIGHEST_HZ = 40, 50.0, 10_000.0
FRAME_S = 0.05
QUIET = 1e-3  # largest sample of an excerpt without the lead
N_FOLDS, N_RESAMPLES, N_NETWORKS, SEED = 5, 2000, 3, 0

Float = NDArray[np.float64]
Predict = Callable[[Float, Float, Float], Float]  # training features, training levels, features -> levels


@dataclass(frozen=True)
class Songs:
    """What was heard.

    Attributes
    ----------
    groups
        (n_songs,) name of what must not be torn apart.
    features
        (n_songs, n_features) of the backings.
    levels_lu
        (n_songs,) loudness of the lead less that of its backing.
    """

    names: list[str]
    groups: NDArray[np.str_]
    features: Float
    levels_lu: Float


def hear(sets: Sequence[StemSet], lead: str) -> Songs:
    """Measure every song whose lead is known and heard.

    Raises
    ------
    DatasetError
        If there is none.
    """
    found = []
    for one in sets:
        for track in one.tracks.values():
            heard = _hear_track(one, track, lead) if lead in track.stems and lead in track.known else None
            if heard is not None:
                found.append((f"{one.root.name}/{track.name}", track.group, *heard))
    if not found:
        raise DatasetError(f"No song of {', '.join(str(one.root) for one in sets)} has a {lead} that is heard.")
    names, groups, features, levels = zip(*found, strict=True)
    return Songs(list(names), np.array(groups), np.array(features), np.array(levels))


def _hear_track(one: StemSet, track: SetTrack, lead: str) -> tuple[Float, float] | None:
    """Features and level of one song; None where lead or backing is too quiet to be measured."""
    info = audio.probe(one.path(track, lead))
    meters = [LoudnessMeter(info.sample_rate_hz, info.n_channels, true_peak=False) for _ in range(2)]
    spectra = []
    for start, length in _excerpts(info.n_samples or 0, info.sample_rate_hz):
        parts = {name: audio.read(one.path(track, name), start=start, n_samples=length)[0] for name in track.stems}
        backing = np.zeros_like(parts[lead])
        for part in (part for name, part in parts.items() if name != lead):
            backing += part
        if not np.abs(parts[lead]).max() > QUIET:
            continue
        for meter, part in zip(meters, (parts[lead], backing), strict=True):
            meter.add(part)
        spectra.append(band_levels_db(backing, info.sample_rate_hz))
    loudness = [meter.result().integrated_lufs for meter in meters]
    if loudness[0] is None or loudness[1] is None:
        return None
    return features_of(np.concatenate(spectra)), loudness[0] - loudness[1]


def _excerpts(n_samples: int, sample_rate_hz: int) -> Iterator[tuple[int, int]]:
    """Starts and lengths, evenly over the song."""
    length = min(round(EXCERPT_S * sample_rate_hz), n_samples // N_EXCERPTS)
    for index in range(N_EXCERPTS):
        yield round((index + 0.5) * n_samples / N_EXCERPTS - length / 2), length


def band_levels_db(signal: Audio, sample_rate_hz: int) -> Float:
    """Levels (n_frames, n_bands) in dB, in bands of equal width over log frequency."""
    n_fft = 1 << round(np.log2(FRAME_S * sample_rate_hz))
    n_frames = len(signal) // n_fft
    frames = signal[: n_frames * n_fft].reshape(n_frames, n_fft, -1) * np.hanning(n_fft)[:, None]
    power = (np.abs(np.fft.rfft(frames, axis=1)) ** 2).sum(axis=2)
    edges = np.geomspace(LOWEST_HZ, min(HIGHEST_HZ, 0.45 * sample_rate_hz), N_BANDS + 1)
    at = np.searchsorted(np.fft.rfftfreq(n_fft, 1 / sample_rate_hz), edges)
    bands = [power[:, low : max(high, low + 1)].mean(axis=1) for low, high in pairwise(at)]
    return 10 * np.log10(np.stack(bands, axis=1) + 1e-9)


def features_of(levels_db: Float) -> Float:
    """Mean spectrum less its level, and each band's spread over time: (2 * n_bands,)."""
    mean = levels_db.mean(axis=0)
    return np.concatenate([mean - mean.mean(), levels_db.std(axis=0)])


def toy_levels(features: Float) -> Float:
    """Levels (n_songs,) that follow from the backing by a rule that no linear model has."""
    scaled = (features - features.mean(axis=0)) / np.maximum(features.std(axis=0), 1e-9)
    bright = scaled[:, N_BANDS * 3 // 4 : N_BANDS].mean(axis=1)
    lively = scaled[:, N_BANDS:].mean(axis=1)
    return 3 * bright / bright.std() + 4 * np.abs(lively / lively.std())


def _constant(features: Float, levels: Float, wanted: Float) -> Float:
    return np.full(len(wanted), np.median(levels))


def _linear(features: Float, levels: Float, wanted: Float) -> Float:
    from sklearn.linear_model import RidgeCV

    return _scaled(RidgeCV(np.logspace(-1, 5, 25)), features, levels, wanted)


def _network(features: Float, levels: Float, wanted: Float) -> Float:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPRegressor

    networks = [
        MLPRegressor(hidden_layer_sizes=(32, 16), alpha=3.0, max_iter=600, learning_rate_init=3e-3, random_state=seed)
        for seed in range(N_NETWORKS)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the number of steps is part of the recipe
        return np.mean([_scaled(network, features, levels, wanted) for network in networks], axis=0)


def _scaled(model: Any, features: Float, levels: Float, wanted: Float) -> Float:
    """Fit and predict with features and levels brought to mean 0 and spread 1."""
    mean, spread = features.mean(axis=0), np.maximum(features.std(axis=0), 1e-9)
    centre, scale = levels.mean(), max(float(levels.std()), 1e-9)
    model.fit((features - mean) / spread, (levels - centre) / scale)
    return centre + scale * model.predict((wanted - mean) / spread)


PREDICT: dict[str, Predict] = {"constant": _constant, "linear": _linear, "network": _network}


def cross_validated(songs: Songs, levels_lu: Float) -> dict[str, Float]:
    """Absolute errors (n_songs,) of each model, in folds that no group is torn apart by."""
    order = np.random.default_rng(SEED).permutation(np.unique(songs.groups))
    fold_of = {group: index % N_FOLDS for index, group in enumerate(order)}
    folds = np.array([fold_of[group] for group in songs.groups])
    errors = {name: np.zeros(len(levels_lu)) for name in PREDICT}
    for fold in np.unique(folds):
        held = folds == fold
        for name, predict in PREDICT.items():
            predicted = predict(songs.features[~held], levels_lu[~held], songs.features[held])
            errors[name][held] = np.abs(predicted - levels_lu[held])
    return errors


def summary(errors: dict[str, Float]) -> dict[str, Any]:
    """Mean error of each model in LU, and how much it gains over the constant, with its interval."""
    rows: dict[str, Any] = {}
    draws = np.random.default_rng(SEED).integers(0, len(errors["constant"]), (N_RESAMPLES, len(errors["constant"])))
    for name, values in errors.items():
        gains = errors["constant"] - values
        low, high = np.percentile(gains[draws].mean(axis=1), [2.5, 97.5])
        rows[name] = {"error_lu": round(float(values.mean()), 2), "gain_lu": round(float(gains.mean()), 2),
                      "gain_from_lu": round(float(low), 2), "gain_to_lu": round(float(high), 2)}  # fmt: skip
    return rows


def study(songs: Songs, tests: Songs | None) -> dict[str, Any]:
    """Toy task, music, and songs of other sets."""
    toy = toy_levels(songs.features)
    found = {
        "n_songs": len(songs.names),
        "level_lu": {"mean": round(float(songs.levels_lu.mean()), 2), "spread": round(float(songs.levels_lu.std()), 2)},
        "toy": summary(cross_validated(songs, toy)),
        "music": summary(cross_validated(songs, songs.levels_lu)),
    }
    if tests is not None:
        errors = {
            name: np.abs(predict(songs.features, songs.levels_lu, tests.features) - tests.levels_lu)
            for name, predict in PREDICT.items()
        }
        found |= {"n_tests": len(tests.names), "tests": summary(errors)}
    return found


def _heard_or_kept(roots: Sequence[Path], lead: str, kept: Path | None) -> Songs:
    """`hear`, from a file where that was done before."""
    if kept is not None and kept.is_file():
        data = np.load(kept)
        return Songs(data["names"].tolist(), data["groups"], data["features"], data["levels_lu"])
    songs = hear([read_set(root) for root in roots], lead)
    if kept is not None:
        np.savez(kept, names=songs.names, groups=songs.groups, features=songs.features, levels_lu=songs.levels_lu)
    return songs


def main(arguments: list[str] | None = None) -> None:
    """Run the study and print its numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="+", type=Path, help="stem sets to learn from")
    parser.add_argument("--test", nargs="*", type=Path, default=[], help="stem sets that only the result is tried on")
    parser.add_argument("--lead", default="guitar", help="stem whose level is predicted (default guitar)")
    parser.add_argument("--features", type=Path, help="file that keeps what was heard of the sets (.npz)")
    parser.add_argument("-o", "--output", type=Path, help="JSON file for the numbers")
    options = parser.parse_args(arguments)
    try:
        import sklearn  # noqa: F401
    except ImportError:
        raise missing_extra("The study of levels", "train") from None
    songs = _heard_or_kept(options.sets, options.lead, options.features)
    tests = hear([read_set(root) for root in options.test], options.lead) if options.test else None
    found = study(songs, tests)
    if options.output:
        write_json(options.output, {"sets": [str(root) for root in options.sets], "lead": options.lead, **found})
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
