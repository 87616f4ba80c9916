"""Files that seem to hold sound and cannot be taken, so that no stem, song or estimate is passed over in silence.

Text, pictures, MIDI and the like beside the sound are no loss and have no reason here.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from splitstrument.audio import is_audio_name
from splitstrument.files import inside, real_path

# endings of sound, and of films with sound, as far as `audio` does not read them
_SUFFIXES = """
.3g2 .3ga .3gp .3gpp .8svx .aac .ac3 .adts .aif .aifc .aiff .alac .amr .ape .asf .au .avi .awb .bwf .caf .dff
.dsd .dsf .dss .dts .dtshd .eac3 .ec3 .f4a .f4v .flac .flv .g722 .gsm .iff .ircam .la .loas .m2a .m2ts .m4a .m4b
.m4p .m4r .m4v .mka .mkv .mlp .mogg .mov .mp+ .mp1 .mp2 .mp3 .mp4 .mpa .mpc .mpeg .mpg .mpp .mts .nist .oga .ofr
.ofs .ogg .ogv .ogx .opus .paf .pcm .pvf .qcp .ra .ram .raw .rf64 .rm .rmvb .sd2 .sds .shn .snd .sph .spx .svx
.tak .thd .tta .vob .voc .vox .w64 .wav .wave .weba .webm .wma .wmv .wv .wvc .wve
"""
SOUND_SUFFIXES = frozenset(_SUFFIXES.split())


def unread_reason(path: Path) -> str | None:
    """Say why a file that seems to hold sound cannot be taken; None if it can, or is something else.

    The sentence names the file and how to mend it. No file is opened: a damaged one is found when it is read.
    """
    suffix = path.suffix.lower()
    if path.name.startswith(".") or not (suffix in SOUND_SUFFIXES or (path.is_symlink() and not suffix)):
        return None
    if path.is_symlink() and not os.path.exists(path):  # noqa: PTH110 - bears links to itself and unreadable folders
        return f"{path} is a link that leads nowhere: mend or remove it"
    if suffix and not is_audio_name(path) and not path.is_dir():
        return f"{path} is in a format that is not read here: convert it to FLAC or WAV"
    return None


def unread(paths: Iterable[Path]) -> dict[Path, str]:
    """Those of `paths` that have an `unread_reason`, sorted, with it."""
    reasons = ((path, unread_reason(path)) for path in sorted(paths))
    return {path: reason for path, reason in reasons if reason is not None}


def folders_once(folder: Path) -> Iterator[tuple[Path, list[str]]]:
    """Walk through a folder and those that links lead to, never twice into the same; hidden ones are left out.

    Yields
    ------
    place, names
        A folder and the names of all in it but its folders, sorted.
    """
    seen = {real_path(folder)}
    for place, subfolders, names in os.walk(folder, followlinks=True):
        kept = []
        for name in sorted(subfolders):
            link, real = Path(place) / name, real_path(Path(place) / name)
            within = link.is_symlink() and (inside(folder, real) or inside(real, folder))  # it has its own name there
            if not name.startswith(".") and not within and real not in seen:
                seen.add(real)
                kept.append(name)
        subfolders[:] = kept
        yield Path(place), sorted(names)


def unread_below(folder: Path) -> dict[Path, str]:
    """As `unread`, for all below a folder but hidden ones and macOS's ``__MACOSX``; links to folders elsewhere too."""
    found: dict[Path, str] = {}
    for place, subfolders, names in os.walk(folder):
        subfolders[:] = sorted(name for name in subfolders if name != "__MACOSX" and not name.startswith("."))
        for link in (Path(place) / name for name in subfolders):
            if link.is_symlink() and not inside(folder, link):
                found[link] = f"{link} leads out of {folder}: copy what it leads to"
        found |= unread(Path(place) / name for name in names)
    return found
