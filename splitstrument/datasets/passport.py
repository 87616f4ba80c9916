"""The dataset passport: everything that was decided, counted and checked while a dataset was built."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from splitstrument.datasets.build import Built
from splitstrument.datasets.classes import EXCLUDED
from splitstrument.datasets.index import TrackEntry
from splitstrument.datasets.leakage import LeakageCheck, TrackFacts, check_leakage
from splitstrument.datasets.silence_cut import histogram
from splitstrument.datasets.sources import get_source
from splitstrument.datasets.steps import key_of
from splitstrument.errors import DatasetError
from splitstrument.files import write_yaml
from splitstrument.provenance import provenance
from splitstrument.settings import read_yaml, short_repr

PASSPORT_FILE, EVALUATION_FILE = "passport.yaml", "evaluation.yaml"
MAX_PASSPORT_BYTES = 100_000_000


def write_passport(built: Built) -> dict[str, Any]:
    """Write ``passport.yaml`` and ``evaluation.yaml``; an unchanged dataset keeps its passport as it is.

    Raises
    ------
    DatasetError
        After the passport is written, if a song is on both sides of the split, or an evaluation track is not there.
    """
    output = built.recipe.output
    passport = describe(built)
    path = output / PASSPORT_FILE
    before = read_yaml(path, MAX_PASSPORT_BYTES) if path.is_file() else {}
    if not isinstance(before, dict) or key_of({**before, "made": None}) != key_of({**passport, "made": None}):
        write_yaml(path, {**passport, "made": provenance()})
    _write_evaluation(built, passport["evaluation"])
    _refuse_leaks(passport)
    return passport


def describe(built: Built) -> dict[str, Any]:
    """The passport as plain data, without ``made``."""
    recipe, tracks = built.recipe, _tracks(built)
    entries = {name: built.entries[name] for name in tracks}
    return {
        "name": recipe.name,
        "target": recipe.target,
        "description": recipe.description,
        "n_tracks": len(tracks),
        "hours": round(sum(track["duration_s"] for track in tracks.values()) / 3600, 3),
        "sample_rates_hz": list(_rates(built)),
        "sources": _sources(entries),
        "evaluation": evaluation_names(built),
        "unknown": list(recipe.unknown),
        "published": recipe.published,
        "left_out": _left_out(built),
        "unknown_instruments": _unknown_instruments(entries),
        "named_by_classifier": sum(stem.confidence is not None for entry in entries.values() for stem in entry.stems),
        **_silence(built),
        "leakage": [_plain(check) for check in _leakage(built, entries)],
        "tracks": tracks,
        "files": built.files,
        "sha256": key_of(built.files),
        "recipe": recipe.model_dump(mode="json", exclude_defaults=True),
        "made": None,
    }


def _tracks(built: Built) -> dict[str, dict[str, Any]]:
    """Finished tracks: where from, how long, what was done to them."""
    names = sorted({Path(file).parent.name for file in built.files})
    return {name: _track(built, name) for name in names}


def _track(built: Built, name: str) -> dict[str, Any]:
    entry = built.entries[name]
    facts: dict[str, Any] = {"source": entry.source, "artist": entry.artist, "title": entry.title, "genre": entry.genre}
    if name in built.mixed:
        mixed = built.mixed[name].report
        facts |= {key: mixed[key] for key in ("duration_s", "gain_db", "length_difference_s")}
        facts |= {"instrument": mixed["instrument_stems"], "rest": mixed["rest_stems"]}
    if name in built.cut:
        cut = built.cut[name].report
        facts["duration_s"] = cut["duration_s"] - cut["removed_s"]
        facts["audible_share"] = cut["share_after"]
    facts |= {"same_song_as": list(entry.same_song_as), "notes": list(entry.notes)}
    return {
        key: round(value, 7) if isinstance(value, float) else value
        for key, value in facts.items()
        if value not in ("", [])
    }


def _rates(built: Built) -> list[int]:
    return sorted({int(Path(file).parts[0][7:-2]) for file in built.files}, reverse=True)


def _sources(entries: dict[str, TrackEntry]) -> list[dict[str, Any]]:
    """Each raw dataset with its licence and the number of finished tracks from it."""
    found = []
    for name in sorted({entry.source for entry in entries.values()}):
        source = get_source(name)
        described = {key: getattr(source, key) for key in ("name", "title", "licence", "citation", "url")}
        found.append({**described, "n_tracks": sum(entry.source == name for entry in entries.values())})
    return found


def _left_out(built: Built) -> dict[str, str]:
    """Tracks without a pair, and why."""
    skipped = {name: done.report["skipped"] for name, done in built.mixed.items() if done.report["skipped"]}
    dropped = {name: done.report["dropped"] for name, done in built.cut.items() if done.report["dropped"]}
    return dict(sorted({**skipped, **dropped, **built.failures}.items()))


def _unknown_instruments(entries: dict[str, TrackEntry]) -> dict[str, int]:
    names = [" + ".join(s.instrument) for e in entries.values() for s in e.stems if s.stem_class == EXCLUDED]
    return {name: names.count(name) for name in sorted(set(names)) if name}


def _silence(built: Built) -> dict[str, Any]:
    """Histograms of silent shares before and after, where silences were looked at."""
    reports = [done.report for done in built.cut.values()]
    if not reports:
        return {}
    before = histogram([report["share_before"] for report in reports])
    after = histogram([report["share_after"] for report in reports if not report["dropped"]])
    return {"silence_histogram": {"before": before, "after": after}}


def _leakage(built: Built, entries: dict[str, TrackEntry]) -> list[LeakageCheck]:
    facts = {
        name: TrackFacts(entry.artist, entry.title, entry.same_song_as, frozenset(stem.sha256 for stem in entry.stems))
        for name, entry in entries.items()
    }
    return check_leakage(facts, evaluation_names(built))


def _plain(check: LeakageCheck) -> dict[str, Any]:
    return {"check": check.name, "fatal": check.fatal, "found": [list(pair) for pair in check.found]}


def evaluation_names(built: Built) -> list[str]:
    """Tracks held out: those of the recipe, else of the folder's ``evaluation.yaml``, else of its origin's.

    The file may be written by hand or by ``splitstrument dataset split``; a build keeps it.
    """
    names = list(built.recipe.evaluation)
    for folder in (built.recipe.output, built.origin):
        if not names and folder and (folder / EVALUATION_FILE).is_file():
            present = _tracks(built)
            names = [name for name in read_evaluation(folder / EVALUATION_FILE) if name in present]
    return names


def read_evaluation(path: Path) -> list[str]:
    """The names in an ``evaluation.yaml``; an empty file has none.

    Raises
    ------
    DatasetError
        If it holds anything else than a list of names, of which tracks could leak into the training unnoticed.
    """
    listed = read_yaml(path) or []
    wrong = [one for one in listed if not isinstance(one, str)] if isinstance(listed, list) else [listed]
    if wrong:
        raise DatasetError(
            f"{path} should be a list of track names, one to a line after `- ` and in quotes where they look like "
            f"numbers or dates (received {short_repr(wrong[0])}): mend it."
        )
    return listed


def _write_evaluation(built: Built, names: list[str]) -> None:
    if missing := sorted(set(names) - set(_tracks(built))):
        raise DatasetError(
            f"The recipe holds {missing[0]!r} out ({len(missing)} such names), but the dataset has no such pair."
        )
    path = built.recipe.output / EVALUATION_FILE
    if names and (not path.is_file() or read_yaml(path) != names):
        write_yaml(path, names)


def _refuse_leaks(passport: dict[str, Any]) -> None:
    for check in passport["leakage"]:
        if check["fatal"] and check["found"]:
            one, other = check["found"][0]
            raise DatasetError(
                f"{one!r} is held out and {other!r} is not, but they have in common: {check['check']} "
                f"({len(check['found'])} such pairs; the passport lists them): hold out both or neither."
            )
