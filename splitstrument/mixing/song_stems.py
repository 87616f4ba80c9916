"""The stems that a mix is made of: those that lie in a folder, or those of a song that is taken apart for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from splitstrument.audio import is_audio_name, probe
from splitstrument.errors import SettingsError
from splitstrument.files import scratch_folder
from splitstrument.model_folder import find_model
from splitstrument.progress import progress

SIDECAR = "separation.json"
NOT_STEMS = ("mask", "song", "mix", "mixture")


def names_of(song: Path, model: str) -> tuple[list[str], dict[str, str]]:
    """Names of the stems that a song will have, or a folder has, and other names for them.

    Raises
    ------
    SettingsError, ModelError
        If a folder holds no stems, or there is no such model.
    """
    if song.is_dir():
        return list(stems_in(song)), aliases_in(song)
    from splitstrument.separation.options import INSTRUMENT, SeparationOptions

    description = find_model(model).description
    names = list(SeparationOptions().resolved(description.model).stems or ())
    return names, {description.name: INSTRUMENT} if INSTRUMENT in names else {}


@contextmanager
def stems_of(song: Path, model: str, quiet: bool) -> Iterator[dict[str, Path]]:
    """The stems of a folder, or those of a song, which is taken apart for it."""
    if song.is_dir():
        yield stems_in(song)
        return
    from splitstrument.separation.options import SeparationOptions
    from splitstrument.separation.songs import separate_file

    with scratch_folder() as folder:
        total = probe(song).duration_s
        with progress(f"separating {song.name}", total, "s", quiet) as advance:
            done = 0.0

            def report(now_s: float, total_s: float) -> bool:
                nonlocal done
                advance(now_s - done)
                done = now_s
                return True

            separated = separate_file(song, Path(folder), model, SeparationOptions(), report)
        yield stems_in(separated.sidecar.parent)


def stems_in(folder: Path) -> dict[str, Path]:
    """Audio files of a folder by their names, without the folder's; songs, masks and what was mixed are left out.

    Raises
    ------
    SettingsError
        If there are none, or two have one name.
    """
    stems: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        made_by_remix = path.with_name(f"{path.name}.json").is_file()
        if not is_audio_name(path) or not path.is_file() or path.stem.lower() in NOT_STEMS or made_by_remix:
            continue
        name = path.stem.removesuffix(f"_{folder.resolve().name}")  # as in the folders of datasets
        if name in stems:
            raise SettingsError(f"{path} and {stems[name]} are both called {name}: take one away.")
        stems[name] = path
    if not stems:
        raise SettingsError(f"{folder} holds no stems: give a folder that `splitstrument separate` wrote.")
    return stems


def aliases_in(folder: Path) -> dict[str, str]:
    """The name of the instrument, where a sidecar tells it: ``guitar`` for ``instrument``."""
    from splitstrument.separation.result import read_sidecar

    if not (folder / SIDECAR).is_file():
        return {}
    return {read_sidecar(folder / SIDECAR).model.name: "instrument"}
