"""Find SoundFonts that hold the same recordings: a bank of another name may not be another bank.

    splitstrument dataset fetch && python -m splitstrument.release.shared_samples

Two samples count as the same where their first 400 numbers (9 ms at 44.1 kHz) are, or where 24 distances between zero
crossings in a row are, anywhere in the first second: a copy that was cut or made louder is found, one at another rate
is not. Banks that share nothing are not listed one by one. `--names` lists all shared samples, `--programs` the General
MIDI programs of guitars and pianos that play some.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterable, Iterator
from itertools import combinations
from pathlib import Path

import numpy as np

from splitstrument.corpus import catalogue
from splitstrument.errors import DatasetError

COMPARED = 400
SILENT = 50  # of 32768
CROSSINGS, LISTENED, SHORTEST, DISTINCT = 24, 44_100, 300, 8
# SoundFont 2.01, chapter 7
HEADER = np.dtype([("name", "S20"), ("start", "<u4"), ("end", "<u4"), ("rest", "V18")])
PRESET = np.dtype([("name", "S20"), ("program", "<u2"), ("bank", "<u2"), ("bag", "<u2"), ("rest", "V12")])
INSTRUMENT = np.dtype([("name", "S20"), ("bag", "<u2")])
BAG = np.dtype([("first", "<u2"), ("modulator", "<u2")])
GENERATOR = np.dtype([("kind", "<u2"), ("amount", "<u2")])
INSTRUMENT_OF, SAMPLE_OF = 41, 53
PROGRAMS = (*range(6), *range(24, 32))


def main() -> None:
    """Print a line for each pair of banks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ingredients", type=Path, default=Path("data/ingredients"))
    parser.add_argument("--names", action="store_true", help="all names of shared samples")
    parser.add_argument(
        "--programs", action="store_true", help="programs of guitars and pianos that play shared samples"
    )
    arguments = parser.parse_args()
    banks = [bank for bank in catalogue.BANKS if bank.path.endswith(".sf2")]
    paths = {bank.name: catalogue.bank_path(arguments.ingredients, bank) for bank in banks}
    known = {name: samples_of(path) for name, path in paths.items()}
    print(
        "samples compared:", ", ".join(f"{name} {len(set().union(*found.values()))}" for name, found in known.items())
    )
    for one, other in combinations(banks, 2):
        shared = known[one.name].keys() & known[other.name].keys()
        if not shared:
            continue
        names = sorted(_names(known[one.name], shared))
        print(f"{one.name} ({'/'.join(one.parts)}) and {other.name} ({'/'.join(other.parts)}): ", end="")
        print(f"{len(names)} samples shared. {', '.join(names if arguments.names else names[:8])}")
        for name in (one.name, other.name) if arguments.programs else ():
            theirs = _names(known[name], shared)
            playing = [program for program, used in programs_of(paths[name]).items() if used & theirs]
            print(f"    {name} plays some with programs {sorted(set(playing) & set(PROGRAMS)) or 'of other families'}")


def _names(found: dict[str, set[str]], fingerprints: Iterable[str]) -> set[str]:
    return set().union(*(found[fingerprint] for fingerprint in fingerprints))


def samples_of(soundfont: Path) -> dict[str, set[str]]:
    """Names of the samples of a SoundFont by fingerprints of how they sound.

    Raises
    ------
    DatasetError
        If it is no SoundFont.
    """
    chunks = _read(soundfont, b"smpl", b"shdr")
    sound, headers = np.frombuffer(chunks[b"smpl"], "<i2"), np.frombuffer(chunks[b"shdr"], HEADER)
    found: dict[str, set[str]] = {}
    for header in headers[:-1]:  # the last one marks the end
        name, sample = _name(header), sound[header["start"] : header["end"]]
        for fingerprint in (*_beginning(sample), *_crossings(sample)):
            found.setdefault(fingerprint, set()).add(name)
    return found


def _beginning(sample: np.ndarray) -> Iterator[str]:
    """Fingerprint of the first numbers; none where they are silent."""
    first = sample[:COMPARED]
    if len(first) == COMPARED and np.abs(first).max() > SILENT:
        yield hashlib.sha256(first.tobytes()).hexdigest()


def _crossings(sample: np.ndarray) -> Iterator[str]:
    """Fingerprints of the distances between zero crossings, which do not depend on level; none for plain waves."""
    distances = np.diff(np.flatnonzero(np.diff(np.signbit(sample[:LISTENED]))))
    for start in range(len(distances) - CROSSINGS):
        window = distances[start : start + CROSSINGS]
        if window.sum() > SHORTEST and len(set(window.tolist())) > DISTINCT:
            yield window.astype("<u4").tobytes().hex()


def programs_of(soundfont: Path) -> dict[int, set[str]]:
    """Names of the samples that each program of bank 0 plays.

    Raises
    ------
    DatasetError
        If it is no SoundFont.
    """
    names = (b"phdr", b"pbag", b"pgen", b"inst", b"ibag", b"igen", b"shdr")
    kinds = (PRESET, BAG, GENERATOR, INSTRUMENT, BAG, GENERATOR, HEADER)
    chunks = _read(soundfont, *names)
    presets, preset_bags, preset_kinds, instruments, bags, generators, samples = (
        np.frombuffer(chunks[name], kind) for name, kind in zip(names, kinds, strict=True)
    )
    used: dict[int, set[str]] = {}
    for index in np.flatnonzero(presets["bank"][:-1] == 0):
        played: set[str] = set()
        for instrument in _amounts(presets, preset_bags, preset_kinds, int(index), INSTRUMENT_OF):
            chosen = _amounts(instruments, bags, generators, instrument, SAMPLE_OF)
            played |= {_name(samples[sample]) for sample in chosen}
        used[int(presets[index]["program"])] = played
    return used


def _amounts(heads: np.ndarray, bags: np.ndarray, generators: np.ndarray, index: int, kind: int) -> list[int]:
    """Return the values of the generators of one kind in all zones of a preset or instrument."""
    first, last = (int(bags[int(heads[at]["bag"])]["first"]) for at in (index, index + 1))
    zone = generators[first:last]
    return [int(amount) for amount in zone["amount"][zone["kind"] == kind]]


def _name(record: np.void) -> str:
    return str(record["name"].split(b"\0")[0].decode("latin-1"))


def _read(soundfont: Path, *wanted: bytes) -> dict[bytes, bytes]:
    data = soundfont.read_bytes()
    chunks = dict(_chunks(data, 0, len(data)))
    if not set(wanted) <= chunks.keys():
        raise DatasetError(f"{soundfont} is no SoundFont: expected the chunks {b', '.join(wanted).decode()}.")
    return chunks


def _chunks(data: bytes, start: int, stop: int) -> Iterator[tuple[bytes, bytes]]:
    """Names and contents of RIFF's chunks, lists opened."""
    while start + 8 <= stop:
        name, size = data[start : start + 4], int.from_bytes(data[start + 4 : start + 8], "little")
        if name in (b"RIFF", b"LIST"):
            yield from _chunks(data, start + 12, start + 8 + size)
        else:
            yield name, data[start + 8 : start + 8 + size]
        start += 8 + size + size % 2


if __name__ == "__main__":
    main()
