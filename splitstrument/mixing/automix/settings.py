"""Settings of an automatic mix: every rule is a switch with its numbers."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from splitstrument.settings import Flag, Settings

LEADS = ("voice", "vocals", "vocal", "lead", "instrument", "guitar", "piano")  # who leads, unless told


class AutomixSettings(Settings):
    """What `splitstrument.mixing.automix.mix.automix_files` does.

    Attributes
    ----------
    lead
        Stem that is set against all others; None takes the first of `LEADS` that is there, else the loudest.
    equalizer, compression, level, reverb, master
        Rules, in the order in which they work; False leaves one out.
    relative_lu
        Loudness of the lead less that of its backing.
    range_lu
        Loudness range that the lead may have at most.
    tempo_bpm
        Sets the reverberation time; None estimates it.
    loudness_lufs
        Integrated loudness of the mix.
    ceiling_dbtp
        Highest true peak.
    """

    lead: Annotated[str | None, Flag("Stem that is set against the others.", "mix")] = None
    equalizer: Annotated[bool, Flag("Equalize the lead where it and its backing mask each other.", "rules")] = True
    compression: Annotated[bool, Flag("Compress the lead to a smaller loudness range.", "rules")] = True
    level: Annotated[bool, Flag("Set the lead's level against the backing.", "rules")] = True
    reverb: Annotated[bool, Flag("Give the lead a room.", "rules")] = True
    master: Annotated[bool, Flag("Set the mix's loudness and limit its peaks.", "rules")] = True
    relative_lu: Annotated[float, Flag("Lead against backing, in LU.", "mix")] = Field(-0.5, ge=-40, le=40)
    range_lu: Annotated[float, Flag("Largest loudness range of the lead, in LU.", "mix")] = Field(14.0, ge=1, le=60)
    tempo_bpm: Annotated[float | None, Flag("Tempo, in beats a minute; estimated by default.", "mix")] = Field(
        None, ge=30, le=300
    )
    loudness_lufs: Annotated[float, Flag("Loudness of the mix: -14 streaming, -23 broadcast, -28 films.", "mix")] = (
        Field(-14.0, ge=-70, le=0)
    )
    ceiling_dbtp: Annotated[float, Flag("Highest true peak, in dBTP.", "mix")] = Field(-1.0, ge=-20, le=0)
