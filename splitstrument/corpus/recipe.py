"""Settings of a rendered corpus; `datasets/corpus*.yaml` are written in them."""

from __future__ import annotations

import hashlib
import json
from typing import Literal

from pydantic import Field

from splitstrument.settings import Settings

Part = Literal["train", "validation", "test"]
Target = Literal["guitar", "piano"]


class Realism(Settings):
    """Steps between a clean rendering and a recording; each can be switched off, and none changes another's draws."""

    soundfont_per_stem: bool = Field(True, description="a bank of its own for each stem, else one for the song")
    random_programs: bool = Field(True, description="another program of the family, such as steel for nylon")
    plucked_strings: bool = Field(True, description="some guitars from our own string synthesis")
    amplifiers: bool = Field(True, description="electric guitars through drive, amplifier and cabinet")
    own_parts: bool = Field(True, description="rock guitars, piano, drums and tunes of our own over the charts")
    recast: bool = Field(True, description="songs without a guitar or piano give one of their parts to it")
    strums: bool = Field(True, description="recorded acoustic strums over the charts")
    real_drums: bool = Field(True, description="sampled acoustic kits")
    voices: bool = Field(True, description="crude singing in the rest")
    humanise: bool = True
    doubling: bool = Field(True, description="guitars played twice, panned apart in stereo")
    transpose: bool = True
    tempo: bool = True
    equaliser: bool = True
    compression: bool = True
    modulation: bool = Field(True, description="chorus and tremolo")
    space: bool = Field(True, description="echo and room")
    levels: bool = Field(True, description="levels as in mixes; off: every stem equally loud")
    master: bool = Field(True, description="one compressor, equaliser and limiter over all stems, with one gain curve")
    speech: bool = Field(False, description="recorded speech over the music in the rest")
    sampled_kits: bool = Field(False, description="more recorded kits and drum machines (Hydrogen's)")
    patches: bool = Field(False, description="some parts on Freepats' recorded instruments")
    recorded_notes: bool = Field(False, description="some parts on recorded instruments, a file for each note")
    fm: bool = Field(False, description="some parts on the FM synthesis of a sound card")
    reshaped: bool = Field(False, description="most banks with other keys' samples, other filters and envelopes")
    velocity_layers: bool = Field(False, description="some pianos on a grand recorded at six strengths")
    singing: bool = Field(False, description="most voices are recorded speakers who sing (pyworld)")
    heavy: bool = Field(
        False, description="half of the songs with driven guitars tuned down, picked, behind walls of gain"
    )
    modelled: bool = Field(False, description="most guitars and pianos are instruments of our own, drawn per song")
    stereo: bool = Field(False, description="places as on records: takes hard left and right, stereo rooms, width")
    codec: bool = Field(False, description="the mixture through MP3 or OGG, its stems changed to add up to it")


class Sources(Settings):
    """Shares of the tracks by where their score comes from."""

    composed: float = Field(0.55, ge=0, description="charts of our own, played by MMA")
    freedoom: float = Field(0.2, ge=0)
    simutrans: float = Field(0.15, ge=0)
    openmsx: float = Field(0.1, ge=0)
    phrases: float = Field(
        0.0, ge=0, description="recorded phrases of guitars and pianos over drums and bass of our own"
    )


class Levels(Settings):
    """Levels of the finished mix."""

    drums_db: float = Field(0.0, ge=-20, le=20, description="drums louder than the other stems of the base, by so much")
    target_to_rest_db: tuple[float, float] = Field((-12.0, 3.0), description="limits of the draw")
    target_to_rest_mean_db: float = Field(-4.5, description="mean of the normal draw between the limits")
    target_to_rest_spread_db: float = Field(3.5, gt=0)
    mixture_dbfs: tuple[float, float] = Field((-20.0, -11.0), description="root mean square of the mixture")
    peak_dbfs: float = Field(-0.3, le=0)


# what does not change a single track
PLAN_KEYS = {"name", "description", "hours"}
# steps that came later: tracks made without them are the same as before there were any
LATER_STEPS = (
    "speech",
    "sampled_kits",
    "patches",
    "recorded_notes",
    "fm",
    "reshaped",
    "modelled",
    "velocity_layers",
    "singing",
    "heavy",
    "stereo",
    "codec",
)
# settings that came later: their defaults are left out of the fingerprint
LATER_KEYS = ("form", "notes_share")


class CorpusRecipe(Settings):
    """One rendered corpus."""

    name: str = Field(pattern=r"^[a-z0-9_\-]+$")
    description: str = ""
    hours: float = Field(2.0, gt=0, le=1000)
    part: Part = Field("train", description="whose songs, grooves and sounds: never mixed")
    targets: tuple[Target, ...] = ("guitar", "piano")
    seed: int = Field(2021, ge=0)
    sample_rate_hz: int = Field(22_050, ge=8000, le=96_000)
    channels: Literal[1, 2] = 1
    track_s: float = Field(170.0, gt=5, le=600, description="nominal length; game songs may be shorter")
    form: Literal["pairs", "stem_set"] = Field("pairs", description="pairs for each target, or a stem set (stereo)")
    keep_stems: bool = True
    pure: bool = Field(False, description="the target alone: everything else is left out and the rest is silence")
    min_audible: float = Field(0.15, ge=0, le=1, description="no pair of a target that is audible for less of the time")
    banks: tuple[str, ...] | None = Field(None, description="only these SoundFonts, by name")
    measured_responses: bool = Field(True, description="recorded cabinets beside those of our own")
    notes_share: float = Field(0.6, ge=0, le=1, description="of the parts that a recorded instrument can play")
    excerpts: dict[str, float] = Field({}, description="only these game songs, each from this second on")
    sources: Sources = Sources()
    realism: Realism = Realism()
    levels: Levels = Levels()

    def digest(self) -> str:
        """Fingerprint of everything that changes how a track sounds: a track of another one is rendered again."""
        data = self.model_dump(mode="json", exclude=PLAN_KEYS)
        data["realism"] = {step: on for step, on in data["realism"].items() if on or step not in LATER_STEPS}
        if not data["sources"]["phrases"]:
            del data["sources"]["phrases"]
        if not data["levels"]["drums_db"]:
            del data["levels"]["drums_db"]
        for key in LATER_KEYS:
            if data[key] == type(self).model_fields[key].default:
                del data[key]
        text = json.dumps(data, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]
