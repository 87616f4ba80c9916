"""What every mix of stems has in common: checks before it, its limiter, and its record."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from splitstrument import audio
from splitstrument.audio import AudioInfo
from splitstrument.errors import SettingsError
from splitstrument.files import write_json
from splitstrument.loudness import LOWEST_RATE_HZ, Loudness
from splitstrument.mixing.effects.chain import run
from splitstrument.mixing.effects.limiter import Limiter
from splitstrument.mixing.practice import Mix
from splitstrument.provenance import provenance
from splitstrument.separation.outputs import output_subtype
from splitstrument.settings import Settings

CLIP_DBFS = 0.01  # full scale itself is rounding

Report = Callable[[float], Any]  # called with seconds of music that were done


def check_stems(stems: Mapping[str, Path]) -> tuple[AudioInfo, Callable[[Path], str]]:
    """Return what the stems have in common, and the sample type of the mix.

    Raises
    ------
    SettingsError
        If there are none, they do not fit together, or their rate is too low for a loudness.
    """
    if not stems:
        raise SettingsError("There is nothing to mix: give a song, or a folder with stems.")
    infos = [audio.probe(path) for path in stems.values()]
    first = infos[0]
    for info in infos:
        shape, expected = ((one.sample_rate_hz, one.n_samples, one.n_channels) for one in (info, first))
        if shape != expected:
            raise SettingsError(
                f"{info.path} and {first.path} differ in rate, length or channels: stems of one song are alike."
            )
    if first.sample_rate_hz < LOWEST_RATE_HZ:
        raise SettingsError(
            f"{first.path} has {first.sample_rate_hz} Hz; a remix needs {LOWEST_RATE_HZ} Hz or more: resample the song."
        )
    subtypes = {info.subtype for info in infos}
    held = subtypes.pop() if len(subtypes) == 1 else "FLOAT"
    return first, lambda path: output_subtype(path.suffix[1:].lower(), held)


def check_output(stems: Mapping[str, Path], output: Path) -> None:
    """Refuse an output that is a stem.

    Raises
    ------
    SettingsError
    """
    if any(path.resolve() == output.resolve() for path in stems.values()):
        raise SettingsError(f"{output} is one of the stems of this mix: choose another output.")


def limited_blocks(blocks: Iterator[Mix], sample_rate_hz: int, n_channels: int, ceiling_dbtp: float) -> Iterator[Mix]:
    """Send a mix through a true-peak limiter."""
    limiter = Limiter(sample_rate_hz, n_channels, ceiling_dbtp)
    return (block.astype(np.float64) for block in run([limiter], (block.astype(np.float32) for block in blocks)))


def clipping_notes(mix: Loudness, subtype: str) -> Iterator[str]:
    """Say so where stems in floating point add up to more than the output holds; a limiter would change the song."""
    peak = mix.sample_peak_dbfs
    if peak is not None and peak > CLIP_DBFS and subtype not in ("FLOAT", "DOUBLE"):
        yield (
            f"The song peaks at {peak:+.1f} dBFS, more than this format holds, and was clipped there: "
            "write it as WAV, or set a loudness in LUFS."
        )


def write_mix_sidecar(
    output: Path, settings: Settings, result: dict[str, Any], stems: Mapping[str, Path], hashes: Mapping[str, str]
) -> None:
    """Write ``<output>.json``: how a mix was made, from what, and what came out.

    Parameters
    ----------
    result
        Plain data; its path is replaced by the name of the file.
    hashes
        SHA-256 of each stem, from before the mix was written.
    """
    made = {"settings": settings.model_dump(mode="json"), **result, "path": output.name}
    made["stems"] = {name: {"file": path.name, "sha256": hashes[name]} for name, path in stems.items()}
    write_json(output.with_name(f"{output.name}.json"), {**made, "provenance": provenance()})
