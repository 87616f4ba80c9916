"""One part through GUS patches (Freepats): timidity in a process of its own, its effects off."""

from __future__ import annotations

import re
import shutil
import subprocess
from functools import lru_cache
from pathlib import Path

import numpy as np

from splitstrument.audio import Audio
from splitstrument.corpus.midi import Part, write_part
from splitstrument.corpus.soundfonts import RATE_HZ, TIMEOUT_S
from splitstrument.errors import DatasetError, MissingExtraError
from splitstrument.files import scratch_folder

INSTALL = "Rendering with Freepats needs timidity: run `apt-get install timidity` and try again."
CONFIGURATION = Path("etc/timidity/freepats.cfg")
PATCHES = Path("usr/share/midi/freepats")
PLAIN = ("--preserve-silence", "-EFreverb=0", "-EFchorus=0", "-EFdelay=0", "-EFns=0")


@lru_cache(maxsize=4)
def programs_of(package: Path) -> frozenset[int]:
    """General MIDI programs that the set has a patch of its own for."""
    found: set[int] = set()
    for line in _configuration(package).splitlines():
        if line.split()[:1] == ["drumset"]:
            found.clear()
        match = re.match(r"\s*(\d+)\s+(\S+\.pat)", line)
        if match and (package / PATCHES / match[2]).is_file() and "Tone_" in match[2]:
            found.add(int(match[1]))
    return frozenset(found)


def render_patches(part: Part, package: Path, program: int) -> Audio:
    """Render a part in stereo at 44.1 kHz; the first sample is time zero.

    Raises
    ------
    MissingExtraError
        If timidity is not installed.
    DatasetError
        If timidity fails.
    """
    timidity = shutil.which("timidity")
    if not timidity:
        raise MissingExtraError(INSTALL)
    with scratch_folder() as folder:
        score, raw, configuration = (Path(folder, name) for name in ("part.mid", "part.raw", "patches.cfg"))
        write_part(part, score, program)
        configuration.write_text(f"dir {(package / PATCHES).resolve()}\n{_configuration(package)}", encoding="utf-8")
        command = [timidity, "-c", str(configuration), *PLAIN, "-Or1sl", "-s", str(RATE_HZ), "-idqq", "-o", str(raw)]
        result = subprocess.run([*command, str(score)], capture_output=True, timeout=TIMEOUT_S)
        if result.returncode or not raw.exists():
            problem = (result.stderr or result.stdout).decode(errors="replace").strip()[-200:]
            raise DatasetError(f"Timidity could not render {part.name} ({problem}).")
        return np.fromfile(raw, "<i2").reshape(-1, 2).astype(np.float32) / np.float32(32768)


def _configuration(package: Path) -> str:
    """The set's own table of programs, without the folder it was installed to.

    Raises
    ------
    DatasetError
        If it is not there.
    """
    path = package / CONFIGURATION
    if not path.is_file():
        raise DatasetError(f"{package} holds no Freepats: expected {CONFIGURATION} in it.")
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(line for line in lines if not line.startswith("dir ")) + "\n"
