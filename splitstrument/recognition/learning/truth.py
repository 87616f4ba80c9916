"""What is known of a sound: the classes it is, and those it may be.

A stem of a rendered track is made by players whose programs are recorded (``records/<track>.json`` beside the set).
Where they are all of one class the stem is that class; where they differ nobody knows when which of them plays, and the
stem *may be* each of theirs. What is unknown is neither learned nor scored.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitstrument.recognition.classes import all_classes, class_names, class_of_program
from splitstrument.stem_set import STEMS, SetTrack

ELECTRIC_PIANOS = ("tine", "reed", "fm")
DRIVEN = ("crunch", "lead", "metal")
OF_STEM = {"bass": {"bass"}, "drums": {"drums"}, "percussion": {"drums"}, "voice": {"voice"}, "vocals": {"voice"}}
KINDS = frozenset(name for name, one in all_classes().items() if one.of == "guitar")


@dataclass(frozen=True)
class Truth:
    """Classes that a sound is, and those that it may be; it is none of the others."""

    is_: frozenset[str]
    may_be: frozenset[str] = frozenset()

    def vectors(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """The two as flags by class, in the order of the network's outputs."""
        names = all_classes()
        return (
            np.array([name in self.is_ for name in names]),
            np.array([name in self.may_be for name in names]),
        )


def truth_of_class(name: str) -> Truth:
    """What is known of a sound of one class; of a guitar, not which kind."""
    return Truth(frozenset({name}), KINDS if name == "guitar" else frozenset())


def read_players(root: Path, track: str) -> list[dict[str, Any]] | None:
    """The players of a rendered track; None of a track that was not rendered."""
    path = root / "records" / f"{track}.json"
    if not path.is_file():
        return None
    players: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["players"]
    return players


def truth_of_stem(track: SetTrack, stem: str, players: Iterable[Mapping[str, Any]] | None) -> Truth:
    """What is known of one stem of a set."""
    if players is None:
        return _unrecorded(track, stem)
    mine = [set(_classes_of(player)) for player in players if _stem_of(player) == stem]
    if not mine:
        return _unrecorded(track, stem)
    common, union = set.intersection(*mine), set.union(*mine)
    unknown = KINDS if "guitar" in common and not union & KINDS else set()
    return Truth(frozenset(common), frozenset(union - common | unknown))


def _unrecorded(track: SetTrack, stem: str) -> Truth:
    """A stem by its name; ``other`` may be all whose stems are not known."""
    if stem != "other":
        return truth_of_class(stem) if stem != "piano" else Truth(frozenset(), frozenset({"piano", "electric_piano"}))
    known = set(track.known) | ({"electric_piano"} if "piano" in track.known else set())
    kinds = set() if "guitar" in known else KINDS
    return Truth(frozenset(), frozenset((set(class_names()) - known) | kinds))


def _stem_of(player: Mapping[str, Any]) -> str:
    name = {"vocals": "voice", "percussion": "drums"}.get(player["class"], player["class"])
    return name if name in STEMS else "other"


def _classes_of(player: Mapping[str, Any]) -> set[str]:
    """Classes of one player by program, model and amplifier."""
    stem, program = player["class"], player.get("program") or 0
    if stem in OF_STEM:
        return OF_STEM[stem]
    if stem == "piano":
        return {"electric_piano"} if program in (4, 5) or player.get("model") in ELECTRIC_PIANOS else {"piano"}
    if stem == "guitar":
        kind = None if player["kind"] == "phrase" else _kind_of_guitar(player, program)
        return {"guitar", kind} if kind else {"guitar"}
    found = class_of_program(program)
    return {found} if found else {"other", "voice", "strings"}


def _kind_of_guitar(player: Mapping[str, Any], program: int) -> str:
    amplifier = player.get("amplifier")
    if amplifier in DRIVEN or (not amplifier and program in (29, 30)):
        return "guitar_distorted"
    return "guitar_clean" if amplifier or program in (26, 27, 28) else "guitar_acoustic"
