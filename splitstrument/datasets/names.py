"""Propose classes for stems by their file names, with a confidence.

Engineers' words (``stem_words.yaml``: knowledge of the field) are found in the name, also where they are written
together; which of them and which runs of letters speak for guitar, piano or neither is learned: a multinomial logistic
regression whose weights lie in ``stem_names.json`` (made by ``splitstrument.release.stem_names``). Names that are
neither get the class of their most telling word. Names of one track are judged together: a guitar's direct-injection
(DI) or MIDI recording is set aside as ``excluded`` where its amplified twin lies beside it, since both would count the
same guitar twice.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from splitstrument.datasets.classes import EXCLUDED, GUITAR, MIX, OTHER, PIANO
from splitstrument.settings import read_yaml

WORDS_FILE = Path(__file__).parent / "stem_words.yaml"
WEIGHTS_FILE = Path(__file__).parent / "stem_names.json"
REST = "rest"
LEARNED = (GUITAR, PIANO, REST)
NGRAM_LENGTHS = (3, 4, 5)
NGRAM_VALUE = 0.3

# kinds of words that name an instrument, and the class of those that are neither guitar nor piano
INSTRUMENT_KINDS = {
    "guitar": GUITAR,
    "piano": PIANO,
    "keys": OTHER,
    "electric_piano": OTHER,
    "not_guitar": OTHER,
    "organ": OTHER,
    "synth": OTHER,
    "bass": "bass",
    "drums": "drums",
    "percussion": "percussion",
    "vocals": "vocals",
    "strings": OTHER,
    "winds": OTHER,
    "mallets": OTHER,
}


@dataclass(frozen=True)
class Guess:
    """A proposal for one name.

    Attributes
    ----------
    confidence
        Probability of the class by the model, 0 to 1; 0 where the name says nothing at all.
    """

    name: str
    stem_class: str
    confidence: float


def classify(names: Sequence[str]) -> list[Guess]:
    """Propose a class for each of the file names of one track."""
    kinds = [kinds_of(letters_of(name)) for name in names]
    amplified = any(GUITAR in found and "di" not in found for found in kinds)
    return [_guess(name, found, amplified) for name, found in zip(names, kinds, strict=True)]


def _guess(name: str, kinds: list[str], amplified: bool) -> Guess:
    if amplified and GUITAR in kinds and "di" in kinds:
        return Guess(name, EXCLUDED, 0.9)
    probabilities = probabilities_of(features(letters_of(name), kinds))
    stem_class = max(LEARNED, key=lambda label: probabilities[label])
    if stem_class != REST:
        return Guess(name, stem_class, round(probabilities[stem_class], 4))
    return _guess_rest(name, kinds, probabilities[REST])


def _guess_rest(name: str, kinds: list[str], probability: float) -> Guess:
    """Return the class of a stem that is neither guitar nor piano: that of its first instrument."""
    classes = [INSTRUMENT_KINDS[kind] for kind in kinds if kind in INSTRUMENT_KINDS]
    classes = [name for name in classes if name not in (GUITAR, PIANO)]
    if classes:
        return Guess(name, classes[0], round(probability, 4))
    if MIX in kinds:
        return Guess(name, MIX, round(probability, 4))
    return Guess(name, OTHER, round(probability, 4) if kinds else 0.0)


def letters_of(name: str) -> str:
    """``07_ElecGtr2DI.wav`` -> ``elec gtr di``: words in lower case, without numbers and file type."""
    stem = re.sub(r"\.\w{2,5}$", "", name)
    stem = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", stem)
    return " ".join(re.findall(r"[^\W\d_]+|[&+]", stem.casefold()))


def kinds_of(text: str) -> list[str]:
    """Kinds of the words in `text`, in their order."""
    found: list[str] = []
    for token in text.split():
        found += ["both"] if token in "&+" else _kinds_in_token(token)
    return found


@lru_cache(maxsize=10_000)
def _kinds_in_token(token: str) -> list[str]:
    """Take the longest known word at each place; two letters count only alone (or as ``di`` at the end)."""
    words, found, position = known_words(), [], 0
    while position < len(token):
        for end in range(len(token), position + 1, -1):
            kind = words.get(token[position:end])
            short = end - position < 3 and end - position < len(token)
            if kind and (not short or (kind == "di" and end == len(token))):
                found.append(kind)
                position = end
                break
        else:
            position += 1
    return found


@lru_cache(maxsize=1)
def known_words() -> dict[str, str]:
    """Word -> kind, as ``stem_words.yaml`` says."""
    return {word.replace(" ", ""): kind for kind, words in read_yaml(WORDS_FILE).items() for word in words}


def features(text: str, kinds: list[str]) -> dict[str, float]:
    """Return the features of a name: kinds of words, which instruments together, and runs of letters.

    Effects beside an instrument say how it sounds, not what it is, and are left out. A DI recording of a lead or
    rhythm part, without an instrument's name, counts as a guitar's.
    """
    if {"di", "guitar_hint"} <= set(kinds) and not set(kinds).intersection(INSTRUMENT_KINDS):
        kinds = [*kinds, GUITAR]
    instruments = [kind for kind in kinds if kind in INSTRUMENT_KINDS]
    if instruments:
        kinds = [kind for kind in kinds if kind != "effects"]
        text = " ".join(token for token in text.split() if known_words().get(token) != "effects")
    found = {f"kind {kind}": 1.0 for kind in kinds}
    if instruments:
        found[f"first {instruments[0]}"] = found[f"last {instruments[-1]}"] = 1.0
    for combination in _combinations(set(instruments), "guitar_hint" in kinds):
        found[combination] = 1.0
    padded = f" {text} "
    for length in NGRAM_LENGTHS:
        for start in range(len(padded) - length + 1):
            found[f"letters {padded[start : start + length]}"] = NGRAM_VALUE
    return found


def _combinations(instruments: set[str], hinted: bool) -> list[str]:
    tests = {
        "guitar alone": instruments == {GUITAR},
        "guitar and another": GUITAR in instruments and len(instruments) > 1,
        "piano alone": PIANO in instruments and instruments <= {PIANO, "keys", "synth"},
        "keys alone": instruments == {"keys"},
        "piano or keys": bool(instruments & {PIANO, "keys"}) and instruments <= {PIANO, "keys", "synth"},
        "guitar's way of playing": hinted and not instruments,
    }
    return [name for name, is_true in tests.items() if is_true]


def probabilities_of(found: dict[str, float]) -> dict[str, float]:
    """Probability of each of `LEARNED`."""
    weights = read_weights()
    scores = [
        weights["bias"][index] + sum(value * weights["features"].get(key, _ZERO)[index] for key, value in found.items())
        for index in range(len(LEARNED))
    ]
    exponentials = [math.exp(score - max(scores)) for score in scores]
    return {label: value / sum(exponentials) for label, value in zip(LEARNED, exponentials, strict=True)}


_ZERO = (0.0, 0.0, 0.0)


@lru_cache(maxsize=1)
def read_weights() -> dict:
    """The learned weights: ``bias`` (3,) and ``features`` name -> (3,), in the order of `LEARNED`."""
    return json.loads(WEIGHTS_FILE.read_text(encoding="utf-8"))
