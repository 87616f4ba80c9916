"""Instrument/rest pairs on disk: what the dataset tools write and what training and evaluation read.

A pair folder holds one folder per track with ``instrument_<track>.<ext>`` and ``rest_<track>.<ext>``; the mixture is
their sum. `find_pairs` accepts the dataset's root, its ``tracks_22050hz``-like folder or one track folder.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from splitstrument.audio import AudioInfo, is_audio_name, probe
from splitstrument.errors import DatasetError
from splitstrument.unread import folders_once, unread_reason


@dataclass(frozen=True, order=True)
class Pair:
    """One track: its name (`unique_names`) and its two files.

    Attributes
    ----------
    more
        Further files of the rest, where it lies in stems: the rest is the sum of `rests`.
    """

    name: str
    instrument: Path
    rest: Path
    more: tuple[Path, ...] = ()

    @property
    def rests(self) -> tuple[Path, ...]:
        """Every file of the rest."""
        return (self.rest, *self.more)


def md5_order(name: str) -> str:
    """Sort key of the thesis: MD5 of the track folder's name."""
    return hashlib.md5(name.rpartition("/")[2].encode("utf-8", "surrogateescape"), usedforsecurity=False).hexdigest()


def find_pairs(folder: str | Path, sample_rate_hz: int | None = None, halves: bool = False) -> list[Pair]:
    """List the pairs below `folder`, sorted by MD5 of the track's name.

    Parameters
    ----------
    sample_rate_hz
        Where the dataset has several ``tracks_<rate>hz`` folders, take this one.
    halves
        List a pair without its rest too, for `check_whole` to refuse when its turn comes.

    Raises
    ------
    DatasetError
        If there is no such folder, no pair in it, or half a pair.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DatasetError(f"There is no folder {folder}: expected a dataset of instrument/rest pairs.")
    folder = _rate_folder(folder, sample_rate_hz)
    files = sorted(path for path in _files_below(folder) if path.name.startswith("instrument_"))
    names = unique_names({path.parent for path in files}, folder)
    pairs = [_pair_of(path, names[path.parent]) for path in files]
    if not pairs:
        raise DatasetError(
            f"{folder} holds no pairs: expected <track>/instrument_<track>.wav and <track>/rest_<track>.wav; "
            "make them with `splitstrument dataset mix`."
        )
    dead = (path for path in _files_below(folder) if path.is_symlink() and not path.suffix)  # to tracks' folders
    pairs += [Pair(path.name, path, path) for path in dead]
    for pair in () if halves else pairs:
        check_whole(pair)
    return sorted(pairs, key=lambda pair: md5_order(pair.name))


def _files_below(folder: Path) -> Iterator[Path]:
    """Sound, and what seems to be sound and cannot be taken."""
    paths = (place / name for place, names in folders_once(folder) for name in names)
    return (path for path in paths if is_audio_name(path) or unread_reason(path))


def check_whole(pair: Pair) -> None:
    """Raise DatasetError if the rest is missing, or one of both cannot be taken."""
    for path in (pair.instrument, *pair.rests):
        if reason := unread_reason(path):
            raise DatasetError(f"{reason}.")
    if not pair.rest.is_file():
        raise DatasetError(f"{pair.instrument} has no rest_* file beside it: copy it there or remove the track.")


def check_pair(pair: Pair) -> AudioInfo:
    """Compare the headers of all files; return the instrument's.

    Raises
    ------
    DatasetError
        If rate, length or channels differ.
    """
    instrument = probe(pair.instrument)
    for path in pair.rests:
        rest = probe(path)
        for what, unit in (("sample_rate_hz", "Hz"), ("n_samples", "samples"), ("n_channels", "channels")):
            ours, theirs = getattr(instrument, what), getattr(rest, what)
            if ours != theirs:
                raise DatasetError(
                    f"{pair.instrument.parent}: {_role(pair.instrument)} has {ours} {unit} and {_role(path)} {theirs}: "
                    "make the pair again with `splitstrument dataset mix`."
                )
    return instrument


def _role(path: Path) -> str:
    """The part of a file's name that says which stem it is."""
    return path.stem.removesuffix(f"_{path.parent.name}")


def unique_names(folders: Iterable[Path], root: Path) -> dict[Path, str]:
    """Name of each track's folder, or its path below `root`, with slashes, where several have one name."""
    names = {folder: folder.absolute().name for folder in folders}
    count = Counter(names.values())
    return {folder: name if count[name] == 1 else folder.relative_to(root).as_posix() for folder, name in names.items()}


def _pair_of(instrument: Path, name: str) -> Pair:
    rests = (path for path in sorted(instrument.parent.glob("rest_*")) if is_audio_name(path) or unread_reason(path))
    missing = instrument.with_name("rest_" + instrument.name.removeprefix("instrument_"))
    return Pair(name, instrument, next(rests, missing))


def _rate_folder(folder: Path, sample_rate_hz: int | None) -> Path:
    rates = {int(path.name[7:-2]): path for path in folder.glob("tracks_*hz") if path.name[7:-2].isdigit()}
    if not rates:
        return folder
    if sample_rate_hz in rates:
        return rates[sample_rate_hz]
    if len(rates) == 1 or sample_rate_hz is None:
        return rates[max(rates)]
    return rates[min((rate for rate in rates if rate > sample_rate_hz), default=max(rates))]
