"""One part through one SoundFont: fluidsynth in a process of its own, its reverb and chorus off."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np

from splitstrument.audio import Audio
from splitstrument.corpus.midi import Part, write_part
from splitstrument.errors import DatasetError, MissingExtraError
from splitstrument.files import scratch_folder

RATE_HZ = 44_100
TIMEOUT_S = 600
MEMORY = Path("/dev/shm")


def render_part(part: Part, soundfont: Path, program: int, bank: int = 0) -> Audio:
    """Render a part in stereo at 44.1 kHz; the first sample is time zero, the end is when the last note has decayed.

    Lower rates would alias: the synthesizer's interpolation does not limit the band.

    Raises
    ------
    MissingExtraError
        If fluidsynth is not installed.
    DatasetError
        If fluidsynth fails.
    """
    fluidsynth = shutil.which("fluidsynth")
    if not fluidsynth:
        raise MissingExtraError("Rendering needs fluidsynth: run `apt-get install fluidsynth` and try again.")
    with scratch_folder(_scratch()) as folder:
        score, raw = Path(folder, "part.mid"), Path(folder, "part.raw")
        write_part(part, score, program, bank)
        command = [fluidsynth, "-ni", "-q", "-r", str(RATE_HZ), "-g", "0.5", "-O", "float", "-T", "raw", "-F", str(raw)]
        for setting in ("synth.reverb.active=0", "synth.chorus.active=0", "synth.dynamic-sample-loading=1"):
            command += ["-o", setting]
        result = subprocess.run([*command, str(soundfont), str(score)], capture_output=True, timeout=TIMEOUT_S)
        if result.returncode or not raw.exists():
            problem = result.stderr.decode(errors="replace").strip()[-200:]
            raise DatasetError(f"FluidSynth could not render {part.name} with {soundfont.name} ({problem}).")
        return np.fromfile(raw, "<f4").reshape(-1, 2)


def _scratch() -> Path | None:
    """A folder in memory where the system has one: a stem is 20 MB a minute, read once."""
    return MEMORY if MEMORY.is_dir() else None
