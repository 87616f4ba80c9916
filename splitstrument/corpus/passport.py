"""The record of a rendered corpus, and the check that nothing of a held-out set is in it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from splitstrument.corpus import catalogue
from splitstrument.corpus.phrase_list import PHRASES
from splitstrument.corpus.recipe import CorpusRecipe
from splitstrument.errors import DatasetError
from splitstrument.files import write_yaml
from splitstrument.provenance import provenance

KINDS = ("song", "groove file", "SoundFont", "amplifier response")
# validation songs are played on the banks of training; their songs, grooves and amplifiers are their own
SHARED_BY_DESIGN = {frozenset(("train", "validation")): ("SoundFont",)}

Record = dict[str, Any]


def read_records(output: Path) -> list[Record]:
    """Records of all finished tracks of a corpus, by name.

    Raises
    ------
    DatasetError
        If there are none.
    """
    paths = sorted((output / "records").glob("*.json"))
    if not paths:
        raise DatasetError(f"{output} holds no rendered tracks: expected records/<track>.json.")
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


def ingredients_of(records: Iterable[Record]) -> dict[str, set[str]]:
    """Return the ingredients heard in a corpus, by kind (`KINDS`)."""
    heard: dict[str, set[str]] = {kind: set() for kind in KINDS}
    for record in records:
        kind = "groove file" if record["source"] == "composed" else "song"
        heard[kind].add(f"{record['source']}: {record['title']}")
        for player in record["players"]:
            if player["bank"]:
                heard["SoundFont"].add(player["bank"])
            if player["response"]:
                heard["amplifier response"].add(player["response"])
    return heard


def strangers(records: Iterable[Record]) -> list[str]:
    """Ingredients that a track uses although another part of the corpus owns them."""
    owners = {bank.name: bank.parts for bank in catalogue.BANKS}
    found = set()
    for record in records:
        part = record["part"]
        owner = catalogue.owner_of(record["source"], record["title"])
        if owner != part:
            found.add(f"{record['name']}: {record['title']} belongs to {owner}")
        for player in record["players"]:
            if player["bank"] and part not in owners.get(player["bank"], ()):
                found.add(f"{record['name']}: the SoundFont {player['bank']} is not for {part}")
            if player["response"] and catalogue.part_of(player["response"]) != part:
                found.add(f"{record['name']}: the amplifier response {player['response']} is not for {part}")
    return sorted(found)


def leaks(records: list[Record], others: list[Record]) -> list[str]:
    """Songs, groove files, SoundFonts and responses that two corpora share though they are of different parts."""
    ours, theirs = ({record["part"] for record in group} for group in (records, others))
    found = []
    for our_part in ours:
        for their_part in theirs - {our_part}:
            a = ingredients_of(record for record in records if record["part"] == our_part)
            b = ingredients_of(record for record in others if record["part"] == their_part)
            allowed = SHARED_BY_DESIGN.get(frozenset((our_part, their_part)), ())
            for kind in KINDS:
                if kind not in allowed:
                    found += [f"{kind} {name} ({our_part} and {their_part})" for name in sorted(a[kind] & b[kind])]
    return sorted(set(found))


def write_passports(recipe: CorpusRecipe, output: Path, against: Iterable[Path] = ()) -> dict[str, Any]:
    """Write ``passport.yaml`` of the corpus and of each target's pairs; return the corpus's.

    Raises
    ------
    DatasetError
        After writing, if an ingredient belongs to another part, or is shared with a corpus in `against`.
    """
    records = read_records(output)
    passport = describe(recipe, records, against)
    write_yaml(output / "passport.yaml", passport)
    for target in recipe.targets:
        if (output / target).is_dir():
            write_yaml(output / target / "passport.yaml", {"target": target, **passport})
    found = [*passport["leakage"]["strangers"], *passport["leakage"]["shared"]]
    if found:
        raise DatasetError(
            f"{output} leaks: {found[0]} ({len(found)} in all, listed in passport.yaml): render it again."
        )
    return passport


def licences_of(records: Iterable[Record]) -> dict[str, str]:
    """Licence of every package that went into some tracks."""
    records = list(records)
    heard = ingredients_of(records)
    banks = [bank for bank in catalogue.BANKS if bank.name in heard["SoundFont"]]
    used = {bank.package for bank in banks if not bank.licence}
    used |= {catalogue.SONGS[record["source"]] for record in records if record["source"] in catalogue.SONGS}
    used |= {PHRASES[record["title"]].package for record in records if record["source"] == "phrases"}
    used |= {"guitarix-common"} if heard["amplifier response"] else set()
    licences = {name: catalogue.PACKAGES[name].licence for name in sorted(used)}
    licences |= {f"{bank.package}: {bank.name}": bank.licence for bank in banks if bank.licence}
    return {**licences, **({"mma": "GPL-2+"} if heard["groove file"] else {})}


def describe(recipe: CorpusRecipe, records: list[Record], against: Iterable[Path] = ()) -> dict[str, Any]:
    """The passport as plain data."""
    heard = ingredients_of(records)
    pairs = Counter(path.split("/")[0] for record in records for path in record["files"] if "/instrument_" in path)
    return {
        "name": recipe.name,
        "rendered": True,
        "part": recipe.part,
        "tracks": len(records),
        "hours": round(sum(record["duration_s"] for record in records) / 3600, 3),
        "pairs": dict(pairs),
        "licences": licences_of(records),
        "ingredients": {kind: sorted(names) for kind, names in heard.items()},
        "leakage": {
            "strangers": [] if recipe.excerpts else strangers(records),
            "compared_with": [str(folder) for folder in against],
            "shared": sorted({leak for folder in against for leak in leaks(records, read_records(folder))}),
        },
        "recipe": recipe.model_dump(mode="json"),
        "made": provenance(seed=recipe.seed),
        "files": {path: digest for record in records for path, digest in record["files"].items()},
    }
