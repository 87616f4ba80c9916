"""The rules of an automatic mix: each takes what was measured and gives what to do, with its reason.

They are those of a project on karaoke mixes (a voice over a finished backing), found in its code and notes; each is a
line in the report. None of them was learned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from splitstrument.loudness import Loudness
from splitstrument.mixing.automix.dynamics import Compression
from splitstrument.mixing.automix.settings import LEADS
from splitstrument.mixing.effects.equalizer import Band

N_CONFLICTS, MAX_EQ_DB, QUALITY = 4, 8.0, 1.0
ESSENTIAL_BACKING, ESSENTIAL_LEAD = 2, 6  # octaves that carry the backing, and the lead
SHORTEST_RT60_S, LONGEST_RT60_S = 0.3, 4.0
WET_SHARE = 0.16
WET_DB = 20 * float(np.log10(WET_SHARE / (1 - WET_SHARE)))
BETWEEN_SAMPLES_DB = 6.0  # by so much may a peak lie above the samples around it
UNTOUCHED = "left as it is"


@dataclass(frozen=True)
class Decision:
    """One line of the report.

    Attributes
    ----------
    rule
        Its name, which is its switch.
    measured
        What it looked at, in words and numbers.
    decision
        What it did.
    reason
        Why, in a sentence.
    """

    rule: str
    measured: str
    decision: str
    reason: str


def choose_lead(names: Sequence[str], loudness_lufs: Mapping[str, float | None], wanted: str | None) -> Decision:
    """Decide which stem leads; the decision is its name."""
    if wanted is not None:
        return Decision("lead", "stems: " + ", ".join(names), wanted, "It was asked for.")
    for name in LEADS:
        if name in names:
            return Decision(
                "lead", "stems: " + ", ".join(names), name, f"The first of {', '.join(LEADS)} that is there."
            )
    loudest = max(names, key=lambda name: (loudness_lufs.get(name) or -np.inf, name))
    levels = ", ".join(f"{name} {_lufs(loudness_lufs.get(name))}" for name in names)
    return Decision("lead", levels, loudest, "No stem has a lead's name; the loudest leads.")


def equalize(octaves_hz: Sequence[float], levels_db: NDArray[np.float64] | None) -> tuple[tuple[Band, ...], Decision]:
    """Equalize the lead where it and its backing are in each other's way.

    The backing less the lead, octave by octave and less its mean over the octaves, is a conflict where one of them
    is essential and the other louder: the lead is cut in an octave that carries the backing and not the lead, and
    raised in one that carries the lead and not the backing. The largest conflicts count.

    Parameters
    ----------
    levels_db
        Of lead and backing (2, n_octaves), by the hertz; None where the lead is never heard.
    """
    if levels_db is None:
        return (), Decision("equalizer", "the lead is never heard", UNTOUCHED, "There is nothing to equalize.")
    lead, backing = levels_db
    apart = (backing - lead) - (backing - lead).mean()
    carries_backing, carries_lead = (
        np.isin(np.arange(len(lead)), np.argsort(-levels, kind="stable")[:count])
        for levels, count in ((backing, ESSENTIAL_BACKING), (lead, ESSENTIAL_LEAD))
    )
    conflicts = (carries_backing & ~carries_lead & (apart < 0)) | (carries_lead & ~carries_backing & (apart > 0))
    order = [int(at) for at in np.argsort(-np.abs(apart), kind="stable") if conflicts[at]][:N_CONFLICTS]
    bands = tuple(
        Band("peak", octaves_hz[at], round(float(np.clip(apart[at], -MAX_EQ_DB, MAX_EQ_DB)), 2), QUALITY)
        for at in sorted(order)
    )
    measured = "backing less lead: " + ", ".join(
        f"{_hz(octaves_hz[at])} {apart[at]:+.1f} dB" for at in range(len(lead))
    )
    done = ", ".join(f"{_hz(band.hertz)} {band.gain_db:+.1f} dB" for band in bands)
    reason = "The lead is raised where it lives and the backing is louder, and cut where only the backing lives."
    if not bands:
        return (), Decision("equalizer", measured, UNTOUCHED, "Neither is louder where the other lives.")
    return bands, Decision("equalizer", measured, f"lead {done}, Q {QUALITY:g}", reason)


def needs_compression(range_lu: float | None, limit_lu: float) -> bool:
    """Tell whether a lead's loudness range is too large."""
    return range_lu is not None and range_lu > limit_lu


def compress(
    range_lu: float | None, limit_lu: float, tried: Sequence[Compression], ranges_lu: Sequence[float | None]
) -> tuple[Compression | None, Decision]:
    """Choose the mildest of the compressions that were tried that brings the range down to the limit."""
    measured = "loudness range of the lead not measurable" if range_lu is None else f"loudness range {range_lu:.1f} LU"
    if not tried:
        return None, Decision("compression", measured, UNTOUCHED, f"The range is not above {limit_lu:g} LU.")
    reached = [index for index, value in enumerate(ranges_lu) if value is not None and value <= limit_lu]
    chosen = tried[reached[0] if reached else -1]
    left = ranges_lu[reached[0] if reached else -1]
    decision = f"threshold {chosen.threshold_dbfs:.1f} dBFS, ratio {chosen.ratio:g}, attack 30 ms, release 150 ms"
    reason = (
        f"The mildest of {len(tried)} steps that leaves {limit_lu:g} LU or less (expected: {left:.1f})."
        if reached
        else f"No step leaves {limit_lu:g} LU or less; this is the strongest."
    )
    return chosen, Decision("compression", measured, decision, reason)


def set_level(lead: Loudness, backing: Loudness, wanted_lu: float) -> tuple[float, Decision]:
    """Gain in dB that puts the lead, as it is behind equalizer and compressor, where it belongs."""
    levels = lead.integrated_lufs, backing.integrated_lufs
    measured = f"lead {_lufs(levels[0])}, backing {_lufs(levels[1])}"
    if levels[0] is None or levels[1] is None:
        return 0.0, Decision("level", measured, UNTOUCHED, "One of them is too quiet or too short to be measured.")
    gain_db = round(levels[1] + wanted_lu - levels[0], 2)
    reason = f"The lead belongs {wanted_lu:+g} LU from its backing."
    return gain_db, Decision("level", measured, f"lead {gain_db:+.1f} dB", reason)


def choose_room(tempo_bpm: float | None, told: bool) -> tuple[float | None, Decision]:
    """Reverberation time in seconds from the tempo."""
    if tempo_bpm is None:
        return None, Decision("reverb", "no tempo was found", UNTOUCHED, "The room follows from the tempo: give one.")
    rt60_s = float(np.clip(40 / 9 - tempo_bpm / 45, SHORTEST_RT60_S, LONGEST_RT60_S))
    measured = f"tempo {tempo_bpm:.1f} a minute ({'told' if told else 'estimated'})"
    reason = "40/9 s - tempo/45 s, a rule of thumb: faster music wants a shorter room. No measurement stands behind it."
    return round(rt60_s, 3), Decision("reverb", measured, f"{rt60_s:.2f} s at {WET_DB:.1f} dB", reason)


def set_master(
    loudness_lufs: float | None, highest: float, wanted_lufs: float, ceiling_dbtp: float
) -> tuple[float, bool, Decision]:
    """Gain in dB of the mix, and whether its peaks may have to be limited then.

    Parameters
    ----------
    highest
        What no sample of the mix can exceed.
    """
    gain_db = 0.0 if loudness_lufs is None else round(wanted_lufs - loudness_lufs, 2)
    peak_dbfs = 20 * float(np.log10(max(highest, 1e-12))) + gain_db
    limited = peak_dbfs > ceiling_dbtp - BETWEEN_SAMPLES_DB
    decision = f"mix {gain_db:+.1f} dB" + (f", peaks kept to {ceiling_dbtp:g} dBTP" if limited else "")
    reason = f"{wanted_lufs:g} LUFS were asked for" + (f"; peaks could reach {peak_dbfs:.1f} dBFS." if limited else ".")
    return gain_db, limited, Decision("master", f"mix {_lufs(loudness_lufs)}", decision, reason)


def switched_off(rule: str) -> Decision:
    """The line of a rule that is switched off."""
    return Decision(rule, "not looked at", UNTOUCHED, "It is switched off.")


def _lufs(value: float | None) -> str:
    return "not measurable" if value is None else f"{value:.1f} LUFS"


def _hz(hertz: float) -> str:
    return f"{hertz:g} Hz" if hertz < 1000 else f"{hertz / 1000:g} kHz"
