"""Stand-ins: rendered data of the shape of the thesis's datasets, so that its trainings run without them, in small.

From a corpus of ours, ``<corpus>/guitar`` and ``<corpus>/piano``, each dataset of the thesis is made below
``<corpus>/stand_ins`` when a training asks for it: the recorded ones are the corpus's pairs, those with less silence
the same pairs cut by the thesis's rule, the pure ones the instrument alone with a silent rest.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from splitstrument import audio
from splitstrument.audio import AudioWriter, probe
from splitstrument.errors import DatasetError, SettingsError
from splitstrument.network.settings import HourglassSettings
from splitstrument.pairs import Pair, find_pairs
from splitstrument.stems.silence import SilenceSettings
from splitstrument.stems.silence_tracks import cut_track, link_or_copy, pairs_by_track
from splitstrument.training.settings import DatasetSource, TrainingSettings

SCALE = 1 / 12
SCALED_LEVELS = 5
SCALED_WIDTHS = (8, 16)
SILENCE_RULES = {
    "b_1_1": SilenceSettings(below_audible=0.3, to=0.5),
    "b_1_2": SilenceSettings(below_audible=0.7, to=0.7),
    "b_1_3": SilenceSettings(below_audible=0.7, to=0.7, discard_below=0.5),
    "less_silence": SilenceSettings(below_audible=0.7, to=0.7, discard_below=0.5),
}


def stand_in_settings(settings: TrainingSettings, corpus: Path, scale: float = SCALE) -> TrainingSettings:
    """The same training on stand-ins, with a network scaled down, and a name that says so.

    Parameters
    ----------
    scale
        Factor on the hourglass's filters; the other widths and the depth take small fixed values.
    """
    sources = tuple(_stand_in(source, settings.model.target, corpus) for source in settings.datasets)
    network = settings.model.network
    if not isinstance(network, HourglassSettings):
        raise SettingsError(
            f"A stand-in is an hourglass network scaled down, but {settings.name} trains {network.kind!r}."
        )
    small = {
        "filters": max(4, round(network.filters * scale)),
        "levels": min(network.levels, SCALED_LEVELS),
        "initial_widths": SCALED_WIDTHS,
        "end_width": SCALED_WIDTHS[-1],
    }
    model = settings.model.model_copy(update={"network": network.model_copy(update=small)})
    summary = (
        f"STAND-IN on rendered music with a network scaled by {scale:.3g}: not comparable with published numbers; "
        f"{settings.summary}"
    )
    return settings.model_copy(
        update={"name": f"{settings.name}-stand-in", "summary": summary, "datasets": sources, "model": model}
    )


def _stand_in(source: DatasetSource, target: str, corpus: Path) -> DatasetSource:
    folder = corpus / "stand_ins" / source.label
    if not folder.is_dir():
        make_stand_in(corpus / target, folder, source.label)
    return source.model_copy(update={"path": str(folder), "name": f"{source.label}-stand-in"})


def make_stand_in(pairs: Path, folder: Path, name: str) -> None:
    """Make the dataset `name` from a folder of rendered pairs; a half-made one is finished by the next call.

    Raises
    ------
    DatasetError
        If the corpus has no such pairs.
    """
    if not pairs.is_dir():
        raise DatasetError(
            f"There is no folder {pairs} to make the stand-in {name!r} from: render a corpus with "
            "`splitstrument dataset render datasets/corpus_development.yaml`."
        )
    being_made = folder.with_name(f".{folder.name}.part")
    rule = next((rule for part, rule in SILENCE_RULES.items() if part in name), None)
    if name.startswith("pure_"):
        for pair in find_pairs(pairs):
            _write_pure(pair, being_made)
    elif rule:
        for track_pairs in pairs_by_track(pairs).values():
            cut_track(track_pairs, pairs, being_made, rule)
    else:
        for pair in find_pairs(pairs):
            for path in (pair.instrument, pair.rest):
                link_or_copy(path, being_made / path.relative_to(pairs))
    being_made.rename(folder)


def _write_pure(pair: Pair, folder: Path) -> None:
    """The instrument alone, under another name, with a rest of digital silence."""
    info = probe(pair.instrument)
    name = f"pure_{pair.name}"
    track = folder / f"tracks_{info.sample_rate_hz}hz" / name
    rest = track / f"rest_{name}{pair.rest.suffix}"
    with AudioWriter(rest, info.sample_rate_hz, info.n_channels, info.subtype, container=info.format) as writer:
        for start in range(0, info.n_samples, audio.DEFAULT_BLOCK):
            n_samples = min(audio.DEFAULT_BLOCK, info.n_samples - start)
            writer.write(np.zeros((n_samples, info.n_channels), np.float32))
    link_or_copy(pair.instrument, track / f"instrument_{name}{pair.instrument.suffix}")
