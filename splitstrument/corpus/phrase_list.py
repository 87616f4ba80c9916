"""Recorded phrases of guitars and pianos: where they lie and who may use them."""

from __future__ import annotations

from dataclasses import dataclass

GCOMPRIS = "usr/share/gcompris-qt/rcc/instruments.rcc#gcompris/src/activities/instruments/resource"
LMMS, SONIC_PI = "usr/share/lmms/samples", "usr/share/sonic-pi/samples"


@dataclass(frozen=True)
class Phrase:
    """One recorded phrase of one instrument.

    Attributes
    ----------
    path
        File below the package's folder; what stands after a ``#`` is a file inside a Qt resource.
    stem
        ``guitar`` or ``piano``.
    part
        ``validation`` or ``test``.
    """

    package: str
    path: str
    stem: str
    part: str


PHRASES = {
    "gcompris_guitar": Phrase("gcompris-qt-data", f"{GCOMPRIS}/guitar.ogg", "guitar", "validation"),
    "gcompris_electric_guitar": Phrase("gcompris-qt-data", f"{GCOMPRIS}/electric_guitar.ogg", "guitar", "validation"),
    "gcompris_piano": Phrase("gcompris-qt-data", f"{GCOMPRIS}/piano.ogg", "piano", "validation"),
    **{
        f"lmms_{name}": Phrase("lmms-common", f"{LMMS}/{folder}/{name}.ogg", stem, "validation")
        for folder, stem, names in (
            ("latin", "guitar", ("latin_guitar01", "latin_guitar02", "latin_guitar03")),
            ("instruments", "guitar", ("steel_guitar01", "steel_guitar_medium_distorted01")),
            ("instruments", "guitar", ("steel_guitar_heavy_distorted01",)),
            ("instruments", "piano", ("piano02",)),
        )
        for name in names
    },
    **{
        f"sonic_pi_{name}": Phrase("sonic-pi-samples", f"{SONIC_PI}/{name}.flac", stem, "test")
        for stem, names in (
            ("guitar", ("guit_e_fifths", "guit_e_slide", "guit_em9", "guit_harmonics")),
            ("piano", ("ambi_piano",)),
        )
        for name in names
    },
}
