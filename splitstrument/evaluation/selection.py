"""Choice of a run's weights: those of the lowest validation loss, or those of the last epoch.

The thesis evaluated the last epoch's; what ships are the best.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from splitstrument.errors import DatasetError, ModelError
from splitstrument.evaluation.stems import StemTrack
from splitstrument.files import scratch_folder
from splitstrument.model_folder import ModelFolder, copy_code, write_model_folder
from splitstrument.pairs import Pair
from splitstrument.settings import read_yaml

BEST, LAST = "best", "last"
LAST_FILE, LAST_SUFFIX = "last.weights.h5", " (last weights)"


@contextlib.contextmanager
def model_with(model: ModelFolder, weights: str) -> Iterator[Path]:
    """Give the folder of a model that has just the weights asked for.

    The model itself has the best ones; with its last ones a folder stands beside them while the block runs, whose name
    and summary say so.

    Raises
    ------
    ModelError
        If the model has no last weights.
    """
    if weights == BEST:
        yield model.path
        return
    if LAST_FILE not in model.description.files:
        raise ModelError(f"{model.path} has no {LAST_FILE}: only a run folder keeps the last weights beside the best.")
    file = model.file(LAST_FILE).resolve()
    with scratch_folder(model.path, ".last-") as temporary:
        folder = Path(temporary)
        (folder / LAST_FILE).symlink_to(file)
        if (model.path / PROVENANCE).is_file():
            (folder / PROVENANCE).symlink_to((model.path / PROVENANCE).resolve())
        described = model.description.model_copy(update={"name": model.description.name + LAST_SUFFIX})
        copy_code(model, folder)
        write_model_folder(folder, described, [LAST_FILE])
        yield folder


SPLITS = ("all", "evaluation", "validation")
VALIDATION_RATIO = 0.2
PROVENANCE = "provenance.json"


def choose_tracks(pairs: list[Pair], folder: Path, split: str | None, names: Sequence[str] = ()) -> list[Pair]:
    """Pick the tracks to evaluate.

    Parameters
    ----------
    pairs
        All pairs below `folder`, sorted by MD5 of their names.
    split
        ``evaluation``: the names in the dataset's ``evaluation.yaml``; ``validation``: those in ``validation.yaml``, or
        the first 20 % by MD5, as training takes them; ``all``; None: ``evaluation`` where the dataset has such a list,
        else ``all``.
    names
        Only these; wins over `split`.

    Raises
    ------
    DatasetError
        If a name is unknown or the list is missing.
    """
    if split is None:
        split = "evaluation" if _list_file(folder, "evaluation") else "all"
    wanted = list(names) or _names_of(pairs, folder, split)
    unknown = sorted(set(wanted) - {pair.name for pair in pairs})
    if unknown:
        some = ", ".join(pair.name for pair in pairs[:8])
        raise DatasetError(f"{folder} has no track {unknown[0]!r}: it has {some}.")
    return [pair for pair in pairs if pair.name in set(wanted)]


def choose_stem_tracks(
    tracks: list[StemTrack], folder: Path, split: str | None, names: Sequence[str] = ()
) -> list[StemTrack]:
    """Pick the tracks of a folder of stems to evaluate, as `choose_tracks` does; a stem set knows its own parts.

    Raises
    ------
    DatasetError
        If there are none, a name is unknown or the list is missing.
    """
    if not tracks:
        raise DatasetError(f"{folder} holds no tracks in stems: expected <track>/<stem>.wav or a stem set.")
    part = {"validation": "validation", "evaluation": "test"}.get(split or "")
    if not names and part and any(track.part for track in tracks):
        chosen = [track for track in tracks if track.part == part]
        if not chosen:
            raise DatasetError(f"The stem set {folder} has no track of the part {part}: use --split all.")
        return chosen
    stand_ins = [Pair(track.name, track.folder, track.folder) for track in tracks]
    wanted = {pair.name for pair in choose_tracks(stand_ins, folder, split, names)}
    return [track for track in tracks if track.name in wanted]


def seen_in_training(model_folder: Path, pairs: Sequence[Pair]) -> list[str]:
    """Names of tracks that the run's provenance lists as training tracks; empty where it lists none."""
    try:
        record = json.loads((model_folder / PROVENANCE).read_text(encoding="utf-8"))
        trained = {str(name).split("/", 1)[-1] for name in record["tracks"]["training"]}
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return sorted({pair.name for pair in pairs} & trained)


def _names_of(pairs: list[Pair], folder: Path, split: str) -> list[str]:
    if split == "all":
        return [pair.name for pair in pairs]
    path = _list_file(folder, split)
    if path is None and split == "validation":
        return [pair.name for pair in pairs[: max(1, int(VALIDATION_RATIO * len(pairs)))]]
    if path is None:
        raise DatasetError(
            f"{folder} has no {split}.yaml: make it with `splitstrument dataset split`, or use --split all."
        )
    names = read_yaml(path)
    if isinstance(names, dict):
        names = names.get("tracks")
    if not isinstance(names, list) or not names:
        raise DatasetError(f"{path} should be a list of track names.")
    return [str(name) for name in names]


def _list_file(folder: Path, split: str) -> Path | None:
    """The list of a split, in the dataset's folder or, given one of its ``tracks_<rate>hz`` folders, above it."""
    places = (folder, folder.parent) if folder.name.startswith("tracks_") else (folder,)
    return next((place / f"{split}.yaml" for place in places if (place / f"{split}.yaml").is_file()), None)
