"""Charts to scores with MMA (Musical MIDI Accompaniment), whose library of grooves plays the band."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from splitstrument.corpus.charts import Chart
from splitstrument.corpus.draws import pick, share_of
from splitstrument.corpus.midi import Score, read_score
from splitstrument.errors import DatasetError, MissingExtraError
from splitstrument.files import scratch_folder

INSTALL = "Composing songs needs MMA: run `apt-get install mma` and try again."
LIBRARY = Path("/usr/share/mma/lib")
TIMEOUT_S = 120
NO_MAIN = re.compile(r"intro|end|fill|break|count|silent|none|metronome", re.IGNORECASE)


@dataclass(frozen=True)
class GrooveFile:
    """One file of the library; songs are held out by it, because its grooves share their patterns."""

    name: str
    grooves: tuple[str, ...]

    def mains(self) -> list[str]:
        """Grooves for verses and choruses."""
        return [groove for groove in self.grooves if not NO_MAIN.search(groove)] or list(self.grooves)

    def matching(self, pattern: str) -> list[str]:
        """Grooves whose name contains `pattern`, such as ``intro``."""
        return [groove for groove in self.grooves if pattern in groove.lower()]


@lru_cache(maxsize=4)
def groove_files(library: Path = LIBRARY) -> tuple[GrooveFile, ...]:
    """All groove files of the library, sorted by name.

    Raises
    ------
    MissingExtraError
        If MMA is not installed.
    """
    if not shutil.which("mma") or not library.is_dir():
        raise MissingExtraError(INSTALL)
    files = []
    for path in sorted(library.rglob("*.mma")):
        text = path.read_text(encoding="utf-8", errors="replace")
        names = tuple(dict.fromkeys(re.findall(r"^\s*DefGroove\s+(\S+)", text, re.IGNORECASE | re.MULTILINE)))
        name = path.relative_to(library).with_suffix("").as_posix()
        if names and not re.search(r"metronome|/none$", name):
            files.append(GrooveFile(name, names))
    return tuple(files)


def chart_text(chart: Chart, grooves: GrooveFile, rng: np.random.Generator) -> str:
    """MMA's source of a chart: each letter of the form gets a groove of the file."""
    mains = grooves.mains()
    chosen = {letter: pick(rng, mains) for letter in "ABC"}
    chosen["i"] = pick(rng, grooves.matching("intro") or mains)
    chosen["e"] = pick(rng, grooves.matching("end") or mains)
    # grooves that vary their timing and strokes do so at random, unless MMA is given a seed
    seed = int(share_of(chart.title, "mma") * 2**31)
    lines = [f"RndSeed {seed}", f"Tempo {chart.tempo:g}", f"Use {grooves.name}"]
    number = 1
    for section in chart.sections:
        lines.append(f"Groove {chosen[section.letter]}")
        for chord in section.chords:
            lines.append(f"{number} {chord.name}")
            number += 1
    return "\n".join(lines) + "\n"


def play(text: str, title: str, extra: Sequence[str] = ()) -> Score:
    """Compile MMA source to a score.

    Raises
    ------
    DatasetError
        If MMA refuses the source.
    """
    program = shutil.which("mma")
    if not program:
        raise MissingExtraError(INSTALL)
    with scratch_folder() as folder:
        source, out = Path(folder, "song.mma"), Path(folder, "song.mid")
        source.write_text(text, encoding="utf-8")
        command = [program, *extra, "-f", str(out), str(source)]
        result = subprocess.run(command, capture_output=True, timeout=TIMEOUT_S, cwd=folder)
        if result.returncode or not out.exists():
            problem = (result.stdout + result.stderr).decode(errors="replace").strip().splitlines()
            raise DatasetError(f"MMA could not compile {title} ({problem[-1] if problem else 'no message'}).")
        return read_score(out, title)
