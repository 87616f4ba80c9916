"""Places of the outputs of a batch, so that no song takes the place of another.

A pattern such as ``{track}/{stem}.{ext}`` gives songs of one name the same place. Then the folders below the one that
was given are mirrored; songs that differ in their ending alone get it into their track's name; as the last resort
come as many of the folders above as are needed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from splitstrument.errors import SettingsError
from splitstrument.files import real_path, safe_name
from splitstrument.model_folder import ModelFolder
from splitstrument.separation.options import REST, SeparationOptions, separated_instruments
from splitstrument.separation.outputs import SIDECAR
from splitstrument.separation.result import Sidecar, read_sidecar

OutputsOf = Callable[[Path, str], Mapping[str, Path]]
# what does not change the stems, or is another word for the place where they lie
HARMLESS_OPTIONS = {"filename", "threads", "engine", "keep_mask", "stems"}


def choose_patterns(songs: Mapping[Path, Path | None], pattern: str, outputs_of: OutputsOf) -> dict[Path, str]:
    """The pattern of each song under which no two songs of the batch have one place, as far as there is such a one.

    Parameters
    ----------
    songs
        Song -> its folder below the folder that was given, None where it was given itself.
    outputs_of
        Outputs of a song by a pattern.
    """
    groups: defaultdict[tuple[Path, ...], list[Path]] = defaultdict(list)
    for song in songs:
        groups[tuple(outputs_of(song, pattern).values())].append(song)
    chosen: dict[Path, str] = {}
    for group in groups.values():
        chosen |= _distinct({song: songs[song] for song in group}, pattern, outputs_of)
    return {song: chosen[song] for song in songs}


def _distinct(songs: Mapping[Path, Path | None], pattern: str, outputs_of: OutputsOf) -> dict[Path, str]:
    """The same for songs that have one place."""
    ways = zip(*(patterns_of(song, below, pattern) for song, below in songs.items()), strict=False)
    for way in ways:
        patterns = dict(zip(songs, way, strict=True))
        if len({tuple(outputs_of(song, patterns[song]).values()) for song in songs}) == len(songs):
            return patterns
    return dict.fromkeys(songs, pattern)


def patterns_of(song: Path, below: Path | None, pattern: str) -> Iterator[str]:
    """Ever longer patterns for one song: plain, in its folder, with its ending, in the folders above it."""
    yield pattern
    above = song.absolute().parent.parts[1:]
    parents = [above[-count:] for count in range(1, len(above) + 1)]
    own = above[-1:] if below is None else below.parts
    ending = pattern.replace("{track}", "{track}." + _literal(safe_name(song.suffix[1:], 20)))
    yield _inside(own) + pattern
    for parts in ((), own, *parents):
        yield _inside(parts) + ending
        yield _inside(parts) + pattern


def _inside(folders: tuple[str, ...]) -> str:
    return "".join(f"{_literal(safe_name(name))}/" for name in folders)


def _literal(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def separation_at(outputs: Mapping[str, Path]) -> Sidecar | None:
    """Return the separation that lies at these places already, as its sidecar says; None where none can be read."""
    try:
        return read_sidecar(outputs[SIDECAR])
    except SettingsError:
        return None


def is_of(sidecar: Sidecar, path: Path, song: Path) -> bool:
    """Tell whether the sidecar at `path` is that of the file `song`, whatever the file held then."""
    return real_path(path.parent / sidecar.song.path) == real_path(song)


def is_done(sidecar: Sidecar, outputs: Mapping[str, Path], options: SeparationOptions, model: ModelFolder) -> bool:
    """Tell whether a song's earlier separation is what is wanted now: model, options and files."""
    place, before = outputs[SIDECAR].parent, sidecar.options
    wanted = outputs.keys() - {SIDECAR}
    there = {stem for stem, record in sidecar.outputs.items() if (place / record.path).is_file()}
    ours, theirs = (choice.model_dump(exclude=HARMLESS_OPTIONS) for choice in (options, before))
    taken_out = {separated_instruments(choice.stems or (), model.settings) for choice in (options, before)}
    same_rest = len(taken_out) == 1 or REST not in wanted
    same_engine = options.engine in (None, before.engine)
    same_model = sidecar.model.files == model.description.files
    return wanted <= there and ours == theirs and same_rest and same_engine and same_model
