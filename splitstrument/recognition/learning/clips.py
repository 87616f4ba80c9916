"""Real collections of clips with labels: IRMAS, OpenMIC-2018 and MedleyDB's instrument activations.

irmas
    Bosch, Janer, Fuhrmann, Herrera: A comparison of sound segregation techniques for predominant instrument recognition
    (ISMIR 2012). CC BY-NC-SA 3.0, https://www.upf.edu/web/mtg/irmas. Parts: ``train`` is
    ``IRMAS-TrainingData/<class>/[class][dru|nod][genre]....wav`` of 3 s, one class each; what else plays is not
    labelled and, as in the literature, taken not to. ``test`` is every other ``.wav`` with a ``.txt`` of its name, one
    class a line.
openmic
    Humphrey, Durand, McFee: OpenMIC-2018 (ISMIR 2018). CC BY 4.0, https://zenodo.org/record/1432913. Clips of 10 s
    ``audio/<first three>/<key>.ogg``; ``openmic-2018-aggregated-labels.csv`` has the relevance of those
    instruments that people were asked about; parts are ``partitions/split01_<part>.csv``.
medleydb
    Bittner et al.: MedleyDB (ISMIR 2014). CC BY-NC-SA 4.0, https://medleydb.weebly.com.
    ``Audio/<track>/<track>_MIX.wav`` with ``<track>_METADATA.yaml`` (beside it or in ``Metadata``) and
    ``<track>_ACTIVATION_CONF.lab`` anywhere below ``Annotations``: a row each 46 ms, a confidence for each stem.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from splitstrument import audio
from splitstrument.errors import DatasetError
from splitstrument.recognition.classes import InstrumentClass, all_classes
from splitstrument.recognition.features import RATE_HZ, chunk_mels, chunk_samples, to_network
from splitstrument.recognition.learning.examples import Examples
from splitstrument.recognition.learning.pool import Sound, heard_samples
from splitstrument.recognition.learning.recipe import Clips
from splitstrument.recognition.learning.truth import Truth
from splitstrument.settings import read_yaml
from splitstrument.spectrogram import Float

RELEVANT, ACTIVE, ACTIVE_SHARE = 0.5, 0.5, 0.2
MARK = re.compile(r"\[(\w+)\]")


@dataclass(frozen=True)
class Clip:
    """An excerpt of a file with what is known of it."""

    path: Path
    start_s: float
    duration_s: float
    truth: Truth


def read_clips(collection: Clips) -> list[Clip]:
    """All clips of one part of a collection, sorted by file.

    Raises
    ------
    DatasetError
        If nothing of that layout is there.
    """
    found = list(READERS[collection.kind](collection.path, collection.part))
    if not found:
        raise DatasetError(
            f"{collection.path} holds no part {collection.part!r} of {collection.kind}: see "
            "splitstrument/recognition/learning/clips.py for the layout."
        )
    return found


def irmas(root: Path, part: str) -> Iterator[Clip]:
    """Clips of IRMAS; see the module's docstring."""
    if part == "train":
        for path in sorted(root.glob("**/IRMAS-TrainingData/*/*.wav")) or sorted(root.glob("[a-z][a-z][a-z]/*.wav")):
            yield Clip(path, 0.0, audio.probe(path).duration_s, _of_training(path))
    elif part == "test":
        for path in sorted(root.glob("**/*.wav")):
            if path.with_suffix(".txt").is_file() and "TrainingData" not in str(path):
                names = set(path.with_suffix(".txt").read_text(encoding="utf-8").split())
                yield Clip(path, 0.0, audio.probe(path).duration_s, _truth(names, "irmas", exhaustive=True))


def _of_training(path: Path) -> Truth:
    """Truth by the folder, with drums by the mark in the name; the bass is not labelled."""
    marks = set(MARK.findall(path.name))
    truth = _truth({path.parent.name}, "irmas", exhaustive=False)
    drums = {"drums"} if "dru" in marks else set()
    unknown = {"bass"} | (set() if marks & {"dru", "nod"} else {"drums"})
    kinds = {"guitar_clean", "guitar_distorted"} if path.parent.name == "gel" else set()
    return Truth(truth.is_ | drums, frozenset(unknown | kinds))


def openmic(root: Path, part: str) -> Iterator[Clip]:
    """Clips of OpenMIC-2018; see the module's docstring."""
    partition, labels = root / "partitions" / f"split01_{part}.csv", root / "openmic-2018-aggregated-labels.csv"
    if not partition.is_file() or not labels.is_file():
        return
    said: dict[str, dict[str, float]] = {}
    with labels.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            said.setdefault(row["sample_key"], {})[row["instrument"]] = float(row["relevance"])
    for key in sorted(partition.read_text(encoding="utf-8").split()):
        path = root / "audio" / key[:3] / f"{key}.ogg"
        if key in said and path.is_file():
            yield Clip(path, 0.0, audio.probe(path).duration_s, _of_relevance(said[key]))


def _of_relevance(relevance: dict[str, float]) -> Truth:
    """A class is there if one of its instruments is, not there if all of them were asked about and are not."""
    is_, may_be = set(), set()
    for name, one in all_classes().items():
        asked = [relevance[label] for label in one.openmic if label in relevance]
        if any(value >= RELEVANT for value in asked):
            is_.add(name)
        elif not one.openmic or len(asked) < len(one.openmic) or name == "other":
            may_be.add(name)
    return Truth(frozenset(is_), frozenset(may_be))


def medleydb(root: Path, part: str) -> Iterator[Clip]:
    """Clips of three seconds of MedleyDB's mixtures; `part` is ``all`` or a beginning of track names."""
    labels = {path.name.removesuffix("_ACTIVATION_CONF.lab"): path for path in root.rglob("*_ACTIVATION_CONF.lab")}
    for path in sorted(root.glob("Audio/*/*_MIX.wav")):
        track = path.name.removesuffix("_MIX.wav")
        metadata = next((p for p in root.rglob(f"{track}_METADATA.yaml")), None)
        if track in labels and metadata and (part == "all" or track.startswith(part)):
            yield from _of_track(path, metadata, labels[track])


def _of_track(mixture: Path, metadata: Path, activations: Path) -> Iterator[Clip]:
    stems = {key: stem.get("instrument", "") for key, stem in read_yaml(metadata)["stems"].items()}
    with activations.open(encoding="utf-8", newline="") as file:
        header, *rows = list(csv.reader(file))
    table = np.array(rows, float)
    times, length = table[:, 0], chunk_samples() / RATE_HZ
    for start in np.arange(0.0, times[-1] - length, length):
        shares = (table[(times >= start) & (times < start + length), 1:] >= ACTIVE).mean(axis=0).tolist()
        active = {name for name, share in zip(header[1:], shares, strict=True) if share >= ACTIVE_SHARE}
        little = {name for name, share in zip(header[1:], shares, strict=True) if share} - active
        yield Clip(mixture, float(start), length, _of_stems(active, little, stems))


def _of_stems(active: set[str], little: set[str], stems: dict[str, str | list[str]]) -> Truth:
    is_: set[str] = set()
    may_be: set[str] = set()
    for key in active | little:
        names = stems.get(key, "")
        classes = [_classes_of_medleydb(name) for name in ([names] if isinstance(names, str) else names)]
        found = set().union(*classes)
        (is_ if key in active and len(classes) == 1 else may_be).update(found)
        if not all(classes):
            may_be.update({"other", "winds", "strings"})
    return Truth(frozenset(is_), frozenset(may_be - is_))


def _classes_of_medleydb(name: str) -> set[str]:
    return {one.name for one in all_classes().values() if any(name.startswith(known) for known in one.medleydb)}


def _truth(names: set[str], collection: str, exhaustive: bool) -> Truth:
    """Truth by names of a collection; what it has no name for is unknown where its labels are exhaustive."""

    def labels(one: InstrumentClass) -> tuple[str, ...]:
        return getattr(one, collection)

    is_ = {name for name, one in all_classes().items() if names & set(labels(one))}
    may_be = {name for name, one in all_classes().items() if not labels(one)} if exhaustive else set()
    return Truth(frozenset(is_), frozenset(may_be))


READERS: dict[str, Callable[[Path, str], Iterator[Clip]]] = {"irmas": irmas, "openmic": openmic, "medleydb": medleydb}


def sounds(collection: Clips) -> Iterator[Sound]:
    """Chunks of clips that are heard, for a pool."""
    for clip in read_clips(collection):
        for chunk in _chunks(clip):
            samples = heard_samples(chunk.mean(axis=1))
            if samples is not None:
                yield Sound(samples, clip.truth, "")


def examples_of(collection: Clips) -> Examples:
    """Chunks of clips to score by; each has its clip's labels."""
    features, labels, names = [], [], []
    for clip in read_clips(collection):
        is_, may_be = clip.truth.vectors()
        for chunk in _chunks(clip):
            features.append(to_network(chunk_mels(chunk)).astype(np.float16))
            labels.append(np.where(is_, 1.0, np.where(may_be, np.nan, 0.0)))
            names.append(clip.path.stem)
    return Examples(np.stack(features), np.stack(labels).astype(np.float32), np.array(names))


def _chunks(clip: Clip) -> Iterator[Float]:
    """Excerpts of one chunk's length at the recogniser's rate; a clip a little too short is extended by silence."""
    rate = audio.probe(clip.path).sample_rate_hz
    start, n_samples = round(clip.start_s * rate), round(clip.duration_s * rate)
    sound = audio.resample(audio.read(clip.path, start=start, n_samples=n_samples)[0], rate, RATE_HZ)
    n_chunks = max(1, len(sound) // chunk_samples())
    for index in range(n_chunks):
        yield audio.fit_length(sound[index * chunk_samples() :], chunk_samples())
