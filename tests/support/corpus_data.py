"""A small corpus through the real fluidsynth: one bank and one song of our own."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from splitstrument.corpus.midi import Note, Part, write_part

BANK = Path("/usr/share/sounds/sf2/TimGM6mb.sf2")
needs_fluidsynth = pytest.mark.skipif(
    not shutil.which("fluidsynth") or not BANK.exists(), reason="needs fluidsynth and timgm6mb-soundfont"
)
needs_mma = pytest.mark.skipif(not shutil.which("mma"), reason="needs mma")


def cli(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    command = [sys.executable, "-m", "splitstrument", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def write_song(path: Path) -> None:
    """Guitar, piano and bass for 8 s, in three channels of one file."""
    import mido

    song = mido.MidiFile(ticks_per_beat=480)
    for channel, (program, low) in enumerate(((30, 45), (0, 57), (33, 33))):
        notes = tuple(Note(0.4 * i, 0.4 * i + 0.35, low + (0, 5, 7)[i % 3], 90) for i in range(20))
        write_part(Part("p", program, False, notes), path, program)
        track = mido.MidiFile(path).tracks[0]
        for message in track:
            if not message.is_meta:
                message.channel = channel
        song.tracks.append(track)
    song.save(path)


def write_recipe(path: Path, **more) -> Path:
    """A recipe of one song on one bank, with `more`."""
    recipe = {
        "name": "tiny",
        "track_s": 8,
        "banks": ["timgm6mb"],
        "measured_responses": False,
        "excerpts": {"song": 0.0},
        "sources": {"composed": 0, "freedoom": 1, "simutrans": 0, "openmsx": 0},
        **more,
    }
    path.write_text(yaml.safe_dump(recipe))
    return path
