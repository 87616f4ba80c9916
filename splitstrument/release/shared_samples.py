"""Which SoundFonts hold the same recordings: a bank of another name may not be another bank.

    splitstrument dataset fetch && python -m splitstrument.release.shared_samples

Two samples count as the same where their first 400 numbers (9 ms at 44.1 kHz) are: a copy at another volume or rate is
not found. Samples that are shorter or start with silence are left out. Banks that share nothing are not listed one by
one. `--names` lists all shared samples.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import numpy as np

from splitstrument.corpus import catalogue
from splitstrument.errors import DatasetError

COMPARED = 400
SILENT = 50  # of 32768
HEADER = np.dtype([("name", "S20"), ("start", "<u4"), ("end", "<u4"), ("rest", "V18")])  # SoundFont 2.01, section 7.10


def main() -> None:
    """Print a line for each pair of banks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ingredients", type=Path, default=Path("data/ingredients"))
    parser.add_argument("--names", action="store_true", help="all names of shared samples")
    arguments = parser.parse_args()
    banks = [bank for bank in catalogue.BANKS if bank.path.endswith(".sf2")]
    known = {bank.name: samples_of(catalogue.bank_path(arguments.ingredients, bank)) for bank in banks}
    print("samples compared:", ", ".join(f"{name} {len(samples)}" for name, samples in known.items()))
    for one, other in combinations(banks, 2):
        shared = known[one.name].keys() & known[other.name].keys()
        if not shared:
            continue
        names = sorted({known[one.name][key] for key in shared})
        sizes = f"{len(known[one.name])} and {len(known[other.name])}"
        print(f"{one.name} ({'/'.join(one.parts)}) and {other.name} ({'/'.join(other.parts)}): ", end="")
        print(f"{len(shared)} samples shared of {sizes}. {', '.join(names if arguments.names else names[:8])}")


def samples_of(soundfont: Path) -> dict[str, str]:
    """Names of the samples of a SoundFont by a fingerprint of how they begin.

    Raises
    ------
    DatasetError
        If it is no SoundFont.
    """
    data = soundfont.read_bytes()
    chunks = dict(_chunks(data, 0, len(data)))
    if not {b"smpl", b"shdr"} <= chunks.keys():
        raise DatasetError(f"{soundfont} is no SoundFont: expected the chunks smpl and shdr.")
    sound, headers = (np.frombuffer(chunks[key], kind) for key, kind in ((b"smpl", "<i2"), (b"shdr", HEADER)))
    found = {}
    for header in headers[:-1]:  # the last one marks the end
        beginning = sound[header["start"] : header["end"]][:COMPARED]
        if len(beginning) == COMPARED and np.abs(beginning).max() > SILENT:
            name = header["name"].split(b"\0")[0].decode("latin-1")
            found[hashlib.sha256(beginning.tobytes()).hexdigest()] = name
    return found


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
