"""Slakh2100 (original, redux, FLAC or WAV) and BabySlakh: rendered MIDI songs with one file per stem.

The split is the folder's (``train``, ``validation``, ``test``, ``omitted``); slakh-utils' ``redux.json``, put into the
root, corrects the folders of the original release. Songs made from one MIDI file have the same UUID in their metadata
(and stand in ``duplicates.json``, where that lies in the root): they never go to different sides of a split.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from splitstrument.datasets.sources.contract import (
    RawStem,
    RawTrack,
    Source,
    is_there,
    missing_files,
    read_json,
    readable_folders,
)
from splitstrument.errors import SettingsError
from splitstrument.settings import read_yaml

SPLITS = ("train", "validation", "test", "omitted")


class Slakh(Source):
    """Slakh2100 and BabySlakh."""

    name = "slakh"
    title = "Slakh2100 (redux) or BabySlakh"
    citation = (
        "E. Manilow, G. Wichern, P. Seetharaman, J. Le Roux, Cutting Music Source Separation Some Slakh: A Dataset to "
        "Study the Impact of Training Data Quality and Quantity, WASPAA 2019."
    )
    licence = "CC BY 4.0"
    url = "https://zenodo.org/records/4599666 (Slakh2100-redux), https://zenodo.org/records/4603870 (BabySlakh)"
    layout = "[train|validation|test/]TrackNNNNN/{metadata.yaml, mix.flac, stems/SNN.flac} (or .wav)"

    def scan(self, root: Path) -> Iterator[RawTrack]:
        """Yield every track folder that is not omitted."""
        moved, duplicates = _moves(root), _read_if_there(root / "duplicates.json")
        tracks: dict[str, RawTrack] = {}
        by_midi: defaultdict[str, list[str]] = defaultdict(list)
        for folder in _track_folders(root):
            split = moved.get(folder.name, folder.parent.name if folder.parent.name in SPLITS else "")
            if split == "omitted":
                continue
            midi, tracks[folder.name] = _read_track(folder, split)
            by_midi[midi or str(duplicates.get(folder.name, {}).get("midi_md5") or folder.name)].append(folder.name)
        for group in by_midi.values():
            for name in group:
                yield replace(tracks[name], same_song_as=tuple(sorted(set(group) - {name})))


def _track_folders(root: Path) -> Iterator[Path]:
    for folder, subfolders, _ in readable_folders(root):
        found = [name for name in subfolders if re.fullmatch(r"Track\d+", name)]
        subfolders[:] = sorted(set(subfolders) - set(found))
        yield from (folder / name for name in sorted(found))


def _read_track(folder: Path, split: str) -> tuple[str, RawTrack]:
    """The MIDI file's identifier and the track."""
    path = folder / "metadata.yaml"
    try:
        data = read_yaml(path)
        stems = tuple(_stems(folder, data))
    except (SettingsError, KeyError, TypeError, AttributeError) as error:
        problem = f"no usable metadata.yaml ({error})"
        return "", RawTrack(folder.name, (), split=split, problems=(problem,), folder=folder)
    problems = missing_files(stems) or (() if stems else ("no stem is there",))
    return str(data.get("UUID") or ""), RawTrack(folder.name, stems, split=split, problems=problems, folder=folder)


def _stems(folder: Path, data: dict[str, Any]) -> Iterator[RawStem]:
    """Stems that are there or should be, and the mix. Stems that were never rendered are no loss."""
    for key, stem in sorted(data["stems"].items()):
        path = _audio(folder / "stems" / str(key))
        if is_there(path) or stem.get("audio_rendered"):
            yield RawStem(path, (_instrument(stem),))
    if is_there(_audio(folder / "mix")):
        yield RawStem(_audio(folder / "mix"), stem_class="mix")


def _instrument(stem: dict[str, Any]) -> str:
    """The MIDI program's name; drums have none."""
    return "Drums" if stem.get("is_drum") else str(stem.get("midi_program_name") or stem["inst_class"])


def _audio(path: Path) -> Path:
    """The FLAC or WAV file of that name; FLAC where there is neither."""
    wav = path.with_name(f"{path.name}.wav")
    return wav if is_there(wav) else path.with_name(f"{path.name}.flac")


def _moves(root: Path) -> dict[str, str]:
    """Track -> split, for the tracks that ``redux.json`` moves or omits."""
    moves = {}
    for name, entry in _read_if_there(root / "redux.json").items():
        action = entry.get("action")
        if action == "move":
            moves[name] = str(entry.get("destination_split"))
        elif action:
            moves[name] = "omitted"
    return moves


def _read_if_there(path: Path) -> dict[str, Any]:
    return read_json(path) if is_there(path) else {}
