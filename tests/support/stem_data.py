"""Miniature raw datasets in the layouts of their makers, for the tests of sources, organising and building."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import numpy as np
import yaml

from splitstrument import audio

RATE = 8000


def tone(hz: float, seconds: float = 0.5, level: float = 0.3, rate: int = RATE, channels: int = 1) -> np.ndarray:
    """A sine, (n_samples, n_channels)."""
    wave = level * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)
    return np.repeat(wave[:, None], channels, axis=1).astype(np.float32)


def write_tone(path: Path, hz: float = 440.0, **options) -> Path:
    """A sine on disk."""
    audio.write(path, tone(hz, **options), options.get("rate", RATE))
    return path


def hide_folder(monkeypatch, hidden):
    """Make one folder unreadable, also for root, who may read everything."""
    scandir = os.scandir

    def refusing(path="."):
        if Path(path) == hidden:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)


def make_medleydb(root: Path) -> Path:
    """Two songs of MedleyDB's layout, one stem of them mixing two instruments."""
    for song, instruments in {
        "Artist_One": ["acoustic guitar", "piano"],
        "Artist_Two": ["drum set", ["piano", "violin"]],
    }.items():
        stems = {}
        for number, instrument in enumerate(instruments, 1):
            name = f"{song}_STEM_{number:02d}.wav"
            write_tone(root / "Audio" / song / f"{song}_STEMS" / name, 200.0 * number)
            stems[f"S{number:02d}"] = {"component": "", "filename": name, "instrument": instrument, "raw": {}}
        write_tone(root / "Audio" / song / f"{song}_MIX.wav")
        data = {"artist": "Artist", "title": song, "genre": "Rock", "has_bleed": "yes", "stems": stems}
        data |= {"stem_dir": f"{song}_STEMS", "mix_filename": f"{song}_MIX.wav"}
        (root / "Metadata").mkdir(parents=True, exist_ok=True)
        (root / "Metadata" / f"{song}_METADATA.yaml").write_text(yaml.safe_dump(data))
    return root


def make_slakh(root: Path) -> Path:
    """Two songs of Slakh's redux layout, made from the same MIDI file."""
    for split, song in (("train", "Track00001"), ("test", "Track00002")):
        folder = root / split / song
        stems = {}
        for number, name in enumerate(("Distortion Guitar", "Acoustic Grand Piano", "Never Rendered")):
            stems[f"S{number:02d}"] = {
                "audio_rendered": number < 2,
                "inst_class": name.split()[-1],
                "is_drum": False,
                "midi_program_name": name,
            }
            if number < 2:
                write_tone(folder / "stems" / f"S{number:02d}.flac", 200.0 * (number + 1) + int(song[-1]))
        write_tone(folder / "mix.flac", 90.0 + int(song[-1]))
        (folder / "metadata.yaml").write_text(yaml.safe_dump({"UUID": "abc", "stems": stems}))
    return root


def make_moisesdb(root: Path) -> Path:
    """One song of MoisesDB's layout."""
    folder, stems = root / "moisesdb_v0.1" / "0a1b", []
    for stem, kind in (("guitar", "acoustic guitar"), ("other_keys", "synth pad"), ("piano", "grand piano")):
        write_tone(folder / stem / f"{stem}id.wav", 200.0 + len(kind))
        stems.append({"stemName": stem, "tracks": [{"id": f"{stem}id", "extension": "wav", "trackType": kind}]})
    (folder / "data.json").write_text(json.dumps({"song": "Canção", "artist": "Ana", "genre": "pop", "stems": stems}))
    return root


def make_rockband(root: Path) -> Path:
    """A game song with a backing track, and one with numbered parts."""
    for name in ("guitar", "rhythm", "song"):
        write_tone(root / "r" / "Band - Song" / f"{name}.ogg", 100.0 * len(name), channels=2)
    (root / "r" / "Band - Song" / "song.ini").write_text("[Song]\nname = Song\nartist = Band\n% broken line\n")
    for name in ("01 - Kick Drum", "05 - Guitar", "06 - Vocals"):
        write_tone(root / "Other - Song" / f"{name}.wav", 100.0 * len(name))
    return root


def make_cambridge(root: Path) -> Path:
    """Two songs without metadata, the stems of one a folder deeper."""
    for name in ("01_Kick", "07_ElecGtr1", "09_Piano", "12_LeadVox"):
        write_tone(root / "Band_Tune_Full" / f"{name}.wav", 100.0 * len(name))
        write_tone(root / "Duo_Air_Full" / "Stems" / f"{name}.wav", 90.0 * len(name))
    return root


def make_solo(root: Path) -> Path:
    """A guitar recording of six and a half minutes, at a low rate to keep it small."""
    write_tone(root / "guitar" / "Long evening.flac", 220.0, seconds=390.0, rate=RATE // 4)
    return root


def make_folders(root: Path) -> Path:
    """A song of one's own with a name of another alphabet."""
    for name in ("Gitarre", "Bass", "Gesang Voc"):
        write_tone(root / "Übung №1" / f"{name}.aiff", 100.0 * len(name))
    return root


MAKERS = {
    "medleydb": make_medleydb,
    "slakh": make_slakh,
    "moisesdb": make_moisesdb,
    "rockband": make_rockband,
    "cambridge": make_cambridge,
    "solo": make_solo,
    "folders": make_folders,
}
