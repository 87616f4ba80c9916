"""Cut short excerpts out of instrument/rest pairs: how the sample set that ships was made.

The recipe is data (`ExcerptRecipe`), the same cut is made in both files, and nothing but the resampling and the
rounding to 16 bits changes a sample.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from splitstrument import audio
from splitstrument.errors import DatasetError
from splitstrument.files import write_yaml
from splitstrument.pairs import Pair, check_pair, find_pairs
from splitstrument.provenance import provenance
from splitstrument.settings import Settings


class Excerpt(Settings):
    """Excerpt of one track, in seconds."""

    start_s: float = Field(ge=0)
    duration_s: float = Field(gt=0, le=600)


class Example(Excerpt):
    """A mixture to play: one track's instrument plus rest, in the pair's own rate and channels."""

    track: str
    file: str = Field(pattern=r"^[\w-]+\.(ogg|flac|wav)$")


class ExcerptRecipe(Settings):
    """Recipe of a set of excerpts.

    Attributes
    ----------
    name
        Folder of the excerpts.
    target
        The instrument of the pairs.
    source, licence, attribution
        Where the music comes from, as the passport will say.
    tracks
        Name of each track and where to cut it.
    """

    name: str = Field(pattern=r"^\w+$")
    target: str
    source: str
    licence: str
    attribution: str
    sample_rate_hz: int = Field(22050, ge=8000, le=192_000)
    mono: bool = True
    tracks: dict[str, Excerpt]
    examples: tuple[Example, ...] = ()


def cut_excerpts(recipe: ExcerptRecipe, pairs_folder: str | Path, output: str | Path) -> list[Path]:
    """Write ``<name>/tracks_<rate>hz/<track>/{instrument,rest}_<track>.flac`` with a passport, and the examples.

    Raises
    ------
    DatasetError
        If a track of the recipe is not among the pairs or ends before its excerpt does.
    """
    output = Path(output)
    pairs = {pair.name: pair for pair in find_pairs(pairs_folder)}
    written = []
    for name, excerpt in recipe.tracks.items():
        folder = output / recipe.name / f"tracks_{recipe.sample_rate_hz}hz" / name
        written += _write_pair(_pair(pairs, name), excerpt, recipe, folder)
    for example in recipe.examples:
        written.append(_write_example(_pair(pairs, example.track), example, output / example.file))
    record = {"target": recipe.target, "recipe": recipe.model_dump(mode="json"), "made": provenance(inputs=written)}
    write_yaml(output / recipe.name / "passport.yaml", record)
    return written


def _pair(pairs: dict[str, Pair], name: str) -> Pair:
    if name not in pairs:
        raise DatasetError(f"The recipe names the track {name!r}, but the pairs are {', '.join(sorted(pairs))}.")
    return pairs[name]


def _write_pair(pair: Pair, excerpt: Excerpt, recipe: ExcerptRecipe, folder: Path) -> list[Path]:
    written = []
    for stem, source in (("instrument", pair.instrument), ("rest", pair.rest)):
        samples = _cut(pair, source, excerpt)
        if recipe.mono:
            samples = samples.mean(axis=1, keepdims=True)
        rate = audio.probe(source).sample_rate_hz
        path = folder / f"{stem}_{pair.name}.flac"
        audio.write(path, audio.resample(samples, rate, recipe.sample_rate_hz), recipe.sample_rate_hz, "PCM_16")
        written.append(path)
    return written


def _write_example(pair: Pair, example: Example, path: Path) -> Path:
    mixture = _cut(pair, pair.instrument, example) + _cut(pair, pair.rest, example)
    audio.write(path, mixture, audio.probe(pair.instrument).sample_rate_hz)
    return path


def _cut(pair: Pair, source: Path, excerpt: Excerpt) -> audio.Audio:
    info = check_pair(pair)
    start, length = (round(value * info.sample_rate_hz) for value in (excerpt.start_s, excerpt.duration_s))
    if start + length > info.n_samples:
        raise DatasetError(f"{source} ends at {info.duration_s:.1f} s, before the excerpt {excerpt} does.")
    return audio.read(source, start=start, n_samples=length)[0]
