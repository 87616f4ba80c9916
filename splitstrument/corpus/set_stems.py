"""Players to the stems of a set: who plays what, and what its listing says of a rendered track."""

from __future__ import annotations

from typing import Any

from splitstrument import stem_set
from splitstrument.audio import Audio
from splitstrument.corpus.arrange import Player

# stems of a set by the classes of players; `other` is everybody else
SET_STEMS = {"guitar": "guitar", "piano": "piano", "bass": "bass", "drums": "drums", "percussion": "drums"}
SET_STEMS |= {"vocals": "voice"}


def to_stems(players: list[Player], sounds: list[Audio]) -> dict[str, Audio]:
    """Sum of the players' 16-bit sounds by stem of a set; stems that nobody plays are left out."""
    stems: dict[str, Audio] = {}
    for player, sound in zip(players, sounds, strict=True):
        stem = SET_STEMS.get(player.stem_class, "other")
        stems[stem] = stems[stem] + sound if stem in stems else sound
    return stems


def set_track(record: dict[str, Any]) -> stem_set.SetTrack:
    """Return the entry of a rendered track in a set's listing: everything is known."""
    sounds: dict[str, set[str]] = {}
    for player in record["players"]:
        stem = SET_STEMS.get(player["class"], "other")
        sounds.setdefault(stem, set()).add(player["bank"] or player.get("model") or player["kind"])
    return stem_set.SetTrack(
        record["name"],
        known=stem_set.STEMS,
        stems=tuple(stem for stem in stem_set.STEMS if stem in sounds),
        group=f"{record['source']}: {record['title']}",
        part=record["part"],
        seed=record["seed"],
        duration_s=record["duration_s"],
        sounds={stem: tuple(sorted(names)) for stem, names in sounds.items()},
    )
