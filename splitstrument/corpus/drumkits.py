"""Sampled drum kits in Hydrogen's format: a folder with ``drumkit.xml`` and a file per stroke and strength.

Kits name their instruments as their makers like; the words in the names say which General MIDI drum each one is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from splitstrument import audio
from splitstrument.audio import Audio
from splitstrument.corpus import effects
from splitstrument.corpus.midi import Part
from splitstrument.errors import DatasetError

MAX_XML_BYTES = 2_000_000
# General MIDI drum by words in the instrument's name; the first that fits wins
WORDS = (
    (37, r"stick|rim ?click"),
    (42, r"(hat|hh).*(clos|\bcl\b)|(clos\w*|cl) ?(hat|hh|hi-?hat)"),
    (44, r"(hat|hh).*pedal|pedal ?(hat|hh|hi-?hat)"),
    (46, r"(hat|hh).*(open|\bop\b)|open ?(hat|hh|hi-?hat)"),
    (36, r"kick|bass ?drum"),
    (38, r"snare(?! roll)"),
    (39, r"clap"),
    (41, r"floor|tom low|low tom"),
    (45, r"tom mid|mid(dle)? tom|tom 2"),
    (48, r"tom hi|hi(gh)? tom|tom"),
    (56, r"cow"),
    (53, r"bell|cup"),
    (51, r"ride"),
    (49, r"crash"),
    (55, r"splash"),
    (52, r"china"),
    (54, r"tambourine"),
)
# what plays instead of a drum that a kit lacks
INSTEAD = {35: 36, 40: 38, 43: 41, 47: 45, 50: 48, 57: 49, 59: 51, 44: 42, 46: 42}
INSTEAD |= {51: 53, 53: 51, 55: 49, 52: 49, 45: 41, 48: 45}
HATS, OPEN_HAT = (42, 44), 46
CHOKE_S = 0.03


@dataclass(frozen=True)
class Layer:
    """One recording of an instrument; `low` and `high` are the strengths (0 to 1) it is for."""

    path: Path
    low: float
    high: float
    gain: float


Kit = dict[int, list[Layer]]


def read_kit(folder: Path) -> Kit:
    """Layers by General MIDI drum; instruments whose name says nothing are left out.

    Raises
    ------
    DatasetError
        If the folder holds no readable kit with a kick and a snare.
    """
    description = folder / "drumkit.xml"
    try:
        if description.stat().st_size > MAX_XML_BYTES:
            raise DatasetError(f"{description} is larger than any drum kit's: check the file.")
        root = ElementTree.fromstring(description.read_bytes())
    except (OSError, ElementTree.ParseError) as error:
        raise DatasetError(f"{folder} holds no readable drum kit ({error}): expected a drumkit.xml.") from None
    kit: Kit = {}
    for instrument in (node for node in root.iter() if _tag(node) == "instrument"):
        drum = drum_of(_text(instrument, "name"))
        layers = _layers(instrument, folder)
        if drum is not None and layers:
            kit.setdefault(drum, layers)
    if not {36, 38} <= kit.keys():
        raise DatasetError(f"{folder} has no kick or no snare that can be found by name: leave this kit out.")
    return kit


def drum_of(name: str) -> int | None:
    """General MIDI drum that an instrument's name speaks of."""
    return next((drum for drum, words in WORDS if re.search(words, name, re.IGNORECASE)), None)


def render_kit(
    part: Part, kit: Kit, rate_hz: int, rng: np.random.Generator, places: Mapping[int, float] | None = None
) -> Audio:
    """Play a part's drums, stereo; strokes ring out, a closed hi-hat ends an open one.

    Parameters
    ----------
    places
        By General MIDI drum, -1 (left) to 1 (right); without them drums are where their recordings have them.
    """
    strokes = []
    for note in sorted(part.notes, key=lambda note: note.start_s):
        drum = _available(note.pitch, kit)
        if drum is not None:
            strokes.append((round(note.start_s * rate_hz), drum, note.velocity / 127))
    hats = [start for start, drum, _ in strokes if drum in HATS]
    cache: dict[tuple[Path, float | None], Audio] = {}
    out = np.zeros((round((part.end_s + 3.0) * rate_hz), 2), np.float32)
    for start, drum, strength in strokes:
        layer = _layer(kit[drum], strength, rng)
        sound = _sound(layer, places.get(drum, 0.0) if places else None, cache, rate_hz)
        if drum == OPEN_HAT:
            sound = _choked(sound, next((hat - start for hat in hats if hat > start), len(sound)), rate_hz)
        sound = sound[: max(0, len(out) - start)]
        out[start : start + len(sound)] += sound * np.float32(strength)
    return out


def _tag(node: ElementTree.Element) -> str:
    """Name of an element without its namespace, which only newer kits have."""
    return node.tag.rpartition("}")[2]


def _text(node: ElementTree.Element, name: str) -> str:
    return next((child.text or "" for child in node if _tag(child) == name), "")


def _number(node: ElementTree.Element, name: str, otherwise: float) -> float:
    try:
        return float(_text(node, name))
    except ValueError:
        return otherwise


def _layers(instrument: ElementTree.Element, folder: Path) -> list[Layer]:
    """Layers whose files are there; old kits name one file without layers. A path cannot leave the folder."""
    volume = _number(instrument, "volume", 1.0) * _number(instrument, "gain", 1.0)
    nodes = [node for node in instrument.iter() if _tag(node) == "layer"] or [instrument]
    layers = []
    for node in nodes:
        path = folder / Path(_text(node, "filename")).name
        own_gain = _number(node, "gain", 1.0) if node is not instrument else 1.0
        if path.is_file():
            layers.append(Layer(path, _number(node, "min", 0.0), _number(node, "max", 1.0), volume * own_gain))
    return layers


def _available(drum: int, kit: Kit) -> int | None:
    """The drum itself, or the nearest that the kit has."""
    candidate: int | None = drum
    for _ in INSTEAD:
        if candidate is None or candidate in kit:
            return candidate
        candidate = INSTEAD.get(candidate)
    return None


def _layer(layers: list[Layer], strength: float, rng: np.random.Generator) -> Layer:
    """One of the layers for this strength, or the one that comes nearest."""
    fitting = [layer for layer in layers if layer.low <= strength <= layer.high]
    if fitting:
        return fitting[int(rng.integers(len(fitting)))]
    return min(layers, key=lambda layer: min(abs(strength - layer.low), abs(strength - layer.high)))


def _sound(layer: Layer, place: float | None, cache: dict[tuple[Path, float | None], Audio], rate_hz: int) -> Audio:
    key = layer.path, place
    if key not in cache:
        sound, _ = audio.read(layer.path, rate_hz)
        sound = np.repeat(sound, 2, axis=1) if sound.shape[1] == 1 else sound[:, :2]
        cache[key] = sound if place is None else effects.pan(sound, place)
    return cache[key] * np.float32(layer.gain)


def _choked(sound: Audio, n_samples: int, rate_hz: int) -> Audio:
    fade = round(CHOKE_S * rate_hz)
    if n_samples >= len(sound):
        return sound
    sound = sound[: n_samples + fade].copy()
    sound[-fade:] *= np.linspace(1, 0, len(sound[-fade:]), dtype=np.float32)[:, None]
    return sound
