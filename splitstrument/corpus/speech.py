"""Recorded speech in the rest: one speaker's phrases, one after another over a song.

Telephone prompts (Asterisk's, CC-BY and CC-BY-SA) are no singing, but they are people: real consonants, breath and
formants, which the synthetic voices lack. Files are G.722, 16 kHz.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from splitstrument import audio
from splitstrument.audio import Audio
from splitstrument.corpus.midi import Part
from splitstrument.errors import missing_extra

RATE_HZ = 16_000
BITRATE = 64_000
MIN_CLIP_BYTES = 4800  # 0.6 s
PAUSE_S = (0.2, 4.0)
MAX_SHIFT = 2.0  # semitones: other throats from the same speaker


def clips_of(folder: Path) -> list[Path]:
    """Phrases of a speaker, sorted; no single syllables, no recorded silence."""
    paths = sorted(folder.rglob("*.g722"))
    return [path for path in paths if path.parent.name != "silence" and path.stat().st_size >= MIN_CLIP_BYTES]


def decode(path: Path) -> Audio:
    """A G.722 file at 64 kbit/s as mono audio at `RATE_HZ`.

    Raises
    ------
    MissingExtraError
        If the decoder is not installed.
    """
    try:
        from G722 import G722
    except ImportError:
        raise missing_extra("Reading recorded speech (G.722)", "train") from None
    samples = np.asarray(G722(RATE_HZ, BITRATE).decode(path.read_bytes()), np.float32)
    return (samples / np.float32(32768))[:, None]


def render_speech(part: Part, clips: list[Path], rate_hz: int, rng: np.random.Generator) -> Audio:
    """Speak from the first note's start to the last note's end, with pauses, mono."""
    out = np.zeros((round(part.end_s * rate_hz), 1), np.float32)
    source_hz = round(RATE_HZ * 2 ** (rng.uniform(-MAX_SHIFT, MAX_SHIFT) / 12))
    position = round(min((note.start_s for note in part.notes), default=0.0) * rate_hz)
    while clips and position < len(out):
        clip = audio.resample(decode(clips[int(rng.integers(len(clips)))]), source_hz, rate_hz)
        clip = clip[: len(out) - position]
        out[position : position + len(clip)] = clip
        position += len(clip) + round(rng.uniform(*PAUSE_S) * rate_hz)
    return out
