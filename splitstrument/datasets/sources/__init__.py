"""Sources of raw stems, a file each; `get_source` finds one by name."""

from __future__ import annotations

import importlib

from splitstrument.datasets.sources.contract import RawStem, RawTrack, Source
from splitstrument.errors import SettingsError

SOURCES = {
    "medleydb": "medleydb:MedleyDB",
    "slakh": "slakh:Slakh",
    "moisesdb": "moisesdb:MoisesDB",
    "rockband": "rockband:RockBand",
    "cambridge": "folders:Cambridge",
    "solo": "solo:Solo",
    "folders": "folders:Folders",
}

__all__ = ["SOURCES", "RawStem", "RawTrack", "Source", "get_source"]


def get_source(name: str) -> Source:
    """Make the source called `name`.

    Raises
    ------
    SettingsError
        With the known names.
    """
    if name not in SOURCES:
        raise SettingsError(f"{name!r} is no source: known are {', '.join(SOURCES)}.")
    module, cls = SOURCES[name].split(":")
    return getattr(importlib.import_module(f"{__name__}.{module}"), cls)()
