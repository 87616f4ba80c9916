"""Sources of raw stems, a file each; `get_source` finds one by name."""

from __future__ import annotations

from splitstrument.datasets.sources.contract import RawStem, RawTrack, Source
from splitstrument.registry import Registry

SOURCES: Registry[type[Source]] = Registry(
    "source",
    "splitstrument.sources",
    {
        "medleydb": "splitstrument.datasets.sources.medleydb:MedleyDB",
        "slakh": "splitstrument.datasets.sources.slakh:Slakh",
        "moisesdb": "splitstrument.datasets.sources.moisesdb:MoisesDB",
        "rockband": "splitstrument.datasets.sources.rockband:RockBand",
        "cambridge": "splitstrument.datasets.sources.folders:Cambridge",
        "solo": "splitstrument.datasets.sources.solo:Solo",
        "folders": "splitstrument.datasets.sources.folders:Folders",
    },
    lambda member: isinstance(member, type) and issubclass(member, Source),
    "a class derived from Source",
)

__all__ = ["SOURCES", "RawStem", "RawTrack", "Source", "get_source"]


def get_source(name: str) -> Source:
    """Make the source called `name`.

    Raises
    ------
    SettingsError
        If there is none, with the known names, or if it is a plug-in that cannot be loaded.
    """
    return SOURCES.get(name)()
