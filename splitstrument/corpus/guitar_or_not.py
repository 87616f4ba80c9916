"""Guitar or not, on recorded sounds that no training had: how well the recogniser tells them apart.

    splitstrument dataset fetch sonic-pi-samples gcompris-qt-data lmms-common -o data/ingredients
    python -m splitstrument.corpus.guitar_or_not --ingredients data/ingredients --songs data/fof_set

Clips are those of Sonic Pi, GCompris and LMMS whose names say what they are; songs are stem sets of real bands with the
guitar known. Prints the area under the curve over excerpts of three seconds. GCompris' and LMMS' guitars are also in
the validation set that chose the epoch and the thresholds.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from splitstrument import audio
from splitstrument.audio import Audio
from splitstrument.corpus.catalogue import package_folder
from splitstrument.corpus.qt_resource import read_resource
from splitstrument.recognition.features import RATE_HZ, chunk_mels, chunk_samples, to_network
from splitstrument.recognition.learning.metrics import area_under_curve
from splitstrument.recognition.learning.score import scores_of
from splitstrument.recognition.model import SHIPPED, Recogniser, load_recogniser
from splitstrument.stem_set import read_set

GUITARS = ("guit", "strum")
NO_GUITARS = (
    *("drum", "bass", "loop", "piano", "tabla", "organ", "flute", "violin", "cello", "trumpet", "trombone", "horn"),
    *("clarinet", "saxophone", "oboe", "bassoon", "tuba", "accordion", "harp", "maracas", "tambourine", "triangle"),
    *("timpani", "xylophone", "vibraphone", "castanet", "cymbal", "choir", "string", "beat", "pad", "kick", "snare"),
)
PERCUSSION = (
    *("drum", "tabla", "maracas", "tambourine", "triangle", "timpani", "castanet", "cymbal", "kick", "snare", "beat"),
    *("loop_amen", "loop_break", "loop_perc"),
)
SILENT = 3e-3
UNCLEAR = ("banjo", "harmonica_guitar", "loop_electric", "loop_weirdo", "loop_garzul", "loop_mehackit", "loop_compus")


def main() -> None:
    """Print one line for each kind of sound."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ingredients", type=Path, default=Path("data/ingredients"))
    parser.add_argument("--songs", nargs="*", type=Path, default=[], help="stem sets of real songs, guitar known")
    parser.add_argument("--model", type=Path, default=SHIPPED)
    options = parser.parse_args()
    recogniser = load_recogniser(options.model)
    print("| sounds | guitar | not | AUC |\n|---|---|---|---|")
    clips: dict[str, list[Audio]] = {"guitar": [], "percussion": [], "pitched": []}
    for name, sound in recorded_clips(options.ingredients):
        clips[kind_of(name)] += list(excerpts(sound))
    _print("recorded clips", clips["guitar"], clips["pitched"] + clips["percussion"], recogniser)
    _print("the same without percussion", clips["guitar"], clips["pitched"], recogniser)
    for root in options.songs:
        alone, backing, whole = [], [], []
        for guitar, others in songs_of(root):
            alone += list(excerpts(guitar))
            backing += list(excerpts(others))
            whole += list(excerpts(guitar + others, heard=guitar))
        _print(f"{root.name}: guitar alone against the others", alone, backing, recogniser)
        _print(f"{root.name}: the song against the song without guitar", whole, backing, recogniser)


def _print(title: str, guitars: list[Audio], others: list[Audio], recogniser: Recogniser) -> None:
    features = np.stack([to_network(chunk_mels(sound)) for sound in (*guitars, *others)])
    labels = np.array([1.0] * len(guitars) + [0.0] * len(others), np.float32)
    scores = scores_of(recogniser, features)[:, recogniser.classes.index("guitar")]
    print(f"| {title} | {len(guitars)} | {len(others)} | {area_under_curve(labels, scores):.3f} |")


def kind_of(name: str) -> str:
    """``guitar``, ``percussion`` or ``pitched``, by a clip's name."""
    if any(word in name for word in GUITARS):
        return "guitar"
    return "percussion" if any(word in name for word in PERCUSSION) else "pitched"


def recorded_clips(root: Path) -> Iterator[tuple[str, Audio]]:
    """Name and sound of the clips whose names are clear."""
    for name, data in sorted(_files(root)):
        if (any(word in name for word in GUITARS + NO_GUITARS)) and not any(word in name for word in UNCLEAR):
            try:
                sound, rate = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
            except soundfile.LibsndfileError:  # one of LMMS' files is damaged
                continue
            yield name, audio.resample(sound, rate, RATE_HZ)


def _files(root: Path) -> Iterator[tuple[str, bytes]]:
    resource = package_folder(root, "gcompris-qt-data") / "usr/share/gcompris-qt/rcc/instruments.rcc"
    for name, data in read_resource(resource).items():
        if name.endswith(".ogg"):
            yield f"gcompris {Path(name).stem}", data
    for package in ("sonic-pi-samples", "lmms-common"):
        for path in package_folder(root, package).rglob("*"):
            if path.suffix in (".flac", ".ogg", ".wav") and path.is_file():
                yield f"{package} {path.stem.lower()}", path.read_bytes()


def songs_of(root: Path) -> Iterator[tuple[Audio, Audio]]:
    """Guitar and everybody else of each song of a set."""
    stems = read_set(root)
    for track in stems.tracks.values():
        sounds = {stem: audio.read(stems.path(track, stem))[0] for stem in track.stems}
        guitar = sounds.pop("guitar")
        yield guitar, np.sum(list(sounds.values()), axis=0)


def excerpts(sound: Audio, heard: Audio | None = None) -> Iterator[Audio]:
    """Excerpts of three seconds in which `heard` (or the sound itself) is not silent; a short clip is one."""
    for start in range(0, max(1, len(sound) - chunk_samples() // 2), chunk_samples()):
        piece = (sound if heard is None else heard)[start : start + chunk_samples()]
        if len(piece) and np.sqrt(np.mean(piece**2)) > SILENT:
            yield audio.fit_length(sound[start : start + chunk_samples()], chunk_samples())


if __name__ == "__main__":
    main()
