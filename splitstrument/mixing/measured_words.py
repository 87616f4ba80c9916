"""Words that people set equalizers for: readers of two data sets in their own formats, and one curve a word.

- **Audealize / SocialEQ** (Seetharaman and Pardo 2016; Cartwright and Pardo 2013): a JSON list with, for each word, the
  language, 40 gains that crowd workers set on bands one ERB apart, their agreement and their number.
- **SAFE-DB** (Stables et al. 2014): a CSV table whose rows are settings of a five-band equalizer (low shelf, three
  peaks, high shelf) under the words that engineers gave them.

Neither states a licence, so that neither ships; a file of the user's own is read where one is given. The sets have
other units, so every curve is brought to one strength: at an amount of 1 its gains spread by 3 dB. A word that several
sets have gets the mean of their curves, each weighed by how often it was set: where they disagree it flattens, and the
correlation between them is told.
"""

from __future__ import annotations

import csv
import json
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitstrument.errors import SettingsError
from splitstrument.mixing.effects.equalizer import N_BANDS, Band, band_centres_hz
from splitstrument.mixing.words import Word

SPREAD_DB = 3.0
RATE_HZ = 48_000  # at which settings of parametric bands become curves
MAX_BYTES, MAX_ROWS = 50_000_000, 200_000
OFTEN = 5  # what fewer people set is no neighbour to name
LANGUAGE = "English"
SHELF_QUALITY = 1 / math.sqrt(2)
SHAPES = ("low_shelf", "peak", "peak", "peak", "high_shelf")

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Setting:
    """What a data set has of a word: gains (40,) as they are there, how often it was set, and how well people agree.

    Attributes
    ----------
    agreement
        As the set states it, or the mean correlation of each person's curve with that of all others; None for one
        person.
    """

    word: str
    gains: Float
    n_settings: int
    agreement: float | None
    source: str


@dataclass(frozen=True)
class MeasuredWord(Word):
    """A word with its mean curve, and what it rests on.

    Attributes
    ----------
    settings
        One for each data set that has the word.
    between
        Mean correlation between the sets' curves; None where only one has the word.
    """

    settings: tuple[Setting, ...] = ()
    between: float | None = None

    @property
    def n_settings(self) -> int:
        """How often it was set, by about as many people."""
        return sum(setting.n_settings for setting in self.settings)


def read_words(paths: Iterable[str | Path], language: str = LANGUAGE) -> dict[str, MeasuredWord]:
    """Read files of either format and give one curve for each word, sorted.

    Parameters
    ----------
    language
        Of Audealize's words that are taken; SAFE-DB has English alone.

    Raises
    ------
    SettingsError
        If a file cannot be read or is of neither format.
    """
    found: defaultdict[str, list[Setting]] = defaultdict(list)
    for path in map(Path, paths):
        read = _audealize if path.suffix.lower() == ".json" else _safe
        for setting in read(path, _text(path), language):
            found[setting.word].append(setting)
    means = {word: _mean_curve(settings) for word, settings in sorted(found.items())}
    curves = {word: curve for word, curve in means.items() if curve is not None}
    opposites = _opposites(curves, found)
    return {word: _measured(word, curve, found[word], opposites[word]) for word, curve in curves.items()}


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise SettingsError(f"{path} has more than {MAX_BYTES / 1e6:g} MB: expected a list of words.")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"{path} cannot be read ({error.strerror}): check the path.") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{path} is no text (UTF-8): expected Audealize's JSON or SAFE-DB's CSV.") from None


def _audealize(path: Path, text: str, language: str) -> Iterator[Setting]:
    try:
        entries = json.loads(text)
        for entry in entries[:MAX_ROWS]:
            if entry.get("lang", LANGUAGE) == language:
                yield _audealize_entry(entry)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise SettingsError(
            f"{path} is no list of words as Audealize has it: expected word, settings ({N_BANDS} numbers), agreement "
            "and num."
        ) from None


def _audealize_entry(entry: Mapping[str, Any]) -> Setting:
    gains = np.asarray(entry["settings"], float)
    if gains.shape != (N_BANDS,) or not np.isfinite(gains).all():
        raise ValueError(gains.shape)
    return Setting(_word_of(entry["word"]), gains, int(entry["num"]), float(entry["agreement"]), "Audealize")


def _safe(path: Path, text: str, language: str) -> Iterator[Setting]:
    if language != LANGUAGE:
        return
    curves: defaultdict[str, list[Float]] = defaultdict(list)
    try:
        rows = csv.DictReader(text.splitlines())
        for number, row in enumerate(rows):
            if number >= MAX_ROWS:
                raise ValueError(number)
            curves[_word_of(row["word"])].append(_safe_curve(row))
    except (ValueError, TypeError, KeyError, AttributeError, csv.Error):
        raise SettingsError(
            f"{path} is no table as SAFE-DB has it: expected the columns word, gain1_db, freq1_hz, ... freq5_hz."
        ) from None
    for word, found in curves.items():
        yield Setting(word, np.mean(found, axis=0), len(found), _agreement(found), "SAFE-DB")


def _safe_curve(row: Mapping[str, str]) -> Float:
    """Gains (40,) in dB of five bands in a row."""
    z = np.exp(-2j * np.pi * band_centres_hz() / RATE_HZ)
    powers = np.stack([z**0, z, z**2])
    total = np.zeros(N_BANDS)
    for index, shape in enumerate(SHAPES, 1):
        quality = float(row[f"q{index}"]) if shape == "peak" else SHELF_QUALITY
        hertz = min(float(row[f"freq{index}_hz"]), 0.49 * RATE_HZ)
        section = Band(shape, hertz, float(row[f"gain{index}_db"]), quality).section(RATE_HZ)  # type: ignore[arg-type]
        total += 20 * np.log10(np.abs((section[:3] @ powers) / (section[3:] @ powers)))
    if not np.isfinite(total).all():
        raise ValueError(row)
    return total


def _word_of(text: str) -> str:
    word = " ".join(text.lower().split())
    if not word or len(word) > 60:
        raise ValueError(text)
    return word


def _agreement(curves: Sequence[Float]) -> float | None:
    if len(curves) < 2:
        return None
    total = np.sum(curves, axis=0)
    return float(np.mean([correlation(curve, total - curve) for curve in curves]))


def correlation(one: Float, other: Float) -> float:
    """Correlation of two curves (n_bands,); 0 where one is level."""
    a, b = one - one.mean(), other - other.mean()
    scale = math.sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / scale if scale else 0.0


def _mean_curve(settings: Sequence[Setting]) -> Float | None:
    """One curve of unit spread, or less where sets disagree, in dB; None where all are level."""
    curves, weights = [], []
    for setting in settings:
        level = setting.gains - setting.gains.mean()
        if level.std() > 0:
            curves.append(level / level.std())
            weights.append(setting.n_settings)
    return SPREAD_DB * np.average(curves, axis=0, weights=np.maximum(weights, 1)) if curves else None


def _opposites(curves: Mapping[str, Float], found: Mapping[str, Sequence[Setting]]) -> dict[str, str]:
    """The word, of those that were set often, whose curve is most unlike each word's; empty where all are alike."""
    often = [word for word in curves if sum(setting.n_settings for setting in found[word]) >= OFTEN]
    alike = _unit(curves[word] for word in curves) @ _unit(curves[word] for word in often).T
    return {
        word: often[int(np.argmin(row))] if often and row.min() < 0 else ""
        for word, row in zip(curves, alike, strict=True)
    }


def _unit(curves: Iterable[Float]) -> Float:
    """Curves (n_curves, 40) less their means, of length 1; their products are correlations."""
    rows = np.array([curve - curve.mean() for curve in curves]).reshape(-1, N_BANDS)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def _measured(word: str, curve: Float, settings: Sequence[Setting], opposite: str) -> MeasuredWord:
    pairs = [correlation(one.gains, other.gains) for one, other in combinations(settings, 2)]
    return MeasuredWord(
        word,
        tuple(band_centres_hz().round(2)),
        tuple(curve.round(3)),
        opposite,
        " and ".join(f"{setting.source}, set {setting.n_settings} times" for setting in settings),
        tuple(settings),
        float(np.mean(pairs)) if pairs else None,
    )


def nearest(word: str, words: Mapping[str, MeasuredWord], count: int = 3) -> list[tuple[str, float]]:
    """Words that were set often and whose curves are most like a word's, with their correlations, best first."""
    curve = np.array(words[word].gains_db)
    others = [other for other in words.values() if other.n_settings >= OFTEN and other.name != word]
    alike = [(other.name, correlation(curve, np.array(other.gains_db))) for other in others]
    return [pair for pair in sorted(alike, key=lambda pair: (-pair[1], pair[0]))[:count] if pair[1] > 0]
