"""Cut a stem into short files that a page fetches, decodes and joins without a seam while it plays.

Segment k holds `SECONDS` seconds from ``k * SECONDS`` on, at `RATE_HZ` whatever the song's rate is, with `MARGIN`
samples more on either side: there a lossy code settles, and there the page fades from one segment into the next. All
segments have the same length; what lies outside the song is silence. The code of a segment says where its first sample
is (Opus's pre-skip), so that decoders give back `SEGMENT_SAMPLES` samples, in step with every other stem.
"""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np

from splitstrument.audio import Audio, probe, read
from splitstrument.audio.resampling import fit_length, resample

RATE_HZ = 48_000
SECONDS = 4
MARGIN = 4_800
SETTLING = 1_200  # what the resampler rings at its ends
SEGMENT_SAMPLES = SECONDS * RATE_HZ + 2 * MARGIN
TOTAL_KBPS, MOST_KBPS = 340, 128  # of all stems together: 2.6 MB a minute; of one stem
FORMS = {"ogg": ("OGG", "OPUS"), "flac": ("FLAC", "PCM_16")}


def n_segments(duration_s: float) -> int:
    """Return how many segments a song of this length has."""
    return max(1, math.ceil(duration_s / SECONDS))


def read_segment(path: str | Path, index: int) -> Audio:
    """Read segment `index` of a file: (SEGMENT_SAMPLES, 1 or 2) float32 at `RATE_HZ`.

    Files of more than two channels are played by their average.
    """
    rate = probe(path).sample_rate_hz
    step = rate // math.gcd(rate, RATE_HZ)  # the shortest stretch that is whole samples at both rates
    margin = -(-(MARGIN + SETTLING) * rate // (RATE_HZ * step)) * step
    first = index * SECONDS * rate - margin
    audio, _ = read(path, start=max(0, first), n_samples=SECONDS * rate + 2 * margin + min(0, first))
    audio = fit_length(np.pad(audio, ((max(0, -first), 0), (0, 0))), SECONDS * rate + 2 * margin)
    audio = audio if audio.shape[1] <= 2 else audio.mean(axis=1, keepdims=True)
    start = margin * RATE_HZ // rate - MARGIN
    return resample(audio, rate, RATE_HZ)[start : start + SEGMENT_SAMPLES]


def encode_segment(audio: Audio, form: str, n_stems: int = 1) -> bytes:
    """Encode a segment as ``ogg`` (Opus, so that all stems together stay below `TOTAL_KBPS`) or ``flac``.

    Parameters
    ----------
    n_stems
        How many stems share the bit rate.
    """
    import soundfile

    container, subtype = FORMS[form]
    buffer = io.BytesIO()
    level = _opus_level(min(MOST_KBPS, TOTAL_KBPS / n_stems)) if form == "ogg" else 0.0
    with soundfile.SoundFile(
        buffer, "w", RATE_HZ, audio.shape[1], format=container, subtype=subtype, compression_level=level
    ) as file:
        file.write(np.clip(audio, -1, 1))
    return buffer.getvalue()


def _opus_level(kbps: float) -> float:
    """libsndfile's level for a bit rate: of two channels, 12 kbit/s at level 1 and 512 at level 0."""
    return 1 - (kbps - 12) / 500
