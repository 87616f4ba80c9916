"""Stand-ins: rendered data of the shape of the thesis's datasets, so that its trainings run without them, in small.

From a corpus of ours, ``<corpus>/guitar`` and ``<corpus>/piano``, each dataset of the thesis is made below
``<corpus>_stand_ins``, beside the corpus and never in it, when a training asks for it: the recorded ones are the
corpus's pairs, those with less silence the same pairs cut by the thesis's rule, the pure ones the instrument alone with
a silent rest.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from splitstrument import audio
from splitstrument.audio import AudioWriter, probe
from splitstrument.datasets.silence import SilenceSettings
from splitstrument.datasets.silence_cut import cut_track, link_or_copy, pairs_by_track
from splitstrument.errors import DatasetError, SettingsError
from splitstrument.files import real_path
from splitstrument.network.settings import HourglassSettings, ModelSettings
from splitstrument.pairs import Pair, find_pairs
from splitstrument.settings import Settings, load_settings, parse_yaml, validate
from splitstrument.training.data.chunks import items_limit
from splitstrument.training.data.tracks import load_tracks
from splitstrument.training.settings import DatasetSource, TrainingSettings

SCALED_WIDTHS = (96, 192)
SILENCE_RULES = {
    "b_1_1": SilenceSettings(below_audible=0.3, to=0.5),
    "b_1_2": SilenceSettings(below_audible=0.7, to=0.7),
    "b_1_3": SilenceSettings(below_audible=0.7, to=0.7, discard_below=0.5),
    "less_silence": SilenceSettings(below_audible=0.7, to=0.7, discard_below=0.5),
}


class StandInScale(Settings):
    """How much smaller than the thesis's training its stand-in is.

    Attributes
    ----------
    filters
        Factor on the widths of the hourglass and of the (two) convolutions before it.
    dropout
        Factor on the dropout: a share that a layer of 192 channels averages out drowns one of 8.
    sample_rate_hz, n_fft
        Rate of the stand-in corpus, where it is not the recipe's; factor on n_fft, rounded to what the depth divides.
    levels, fewer_levels
        Depth of the hourglass at most; and how many levels less than the recipe's, which keeps a sweep of the depth one
        where chunks are shorter.
    tracks
        Factor on the limit of tracks: 1/8 makes 21 of 175, which the rule of ratios shares out as 15 + 5.
    frames
        Factor on the length of a chunk.
    batch_size
        Chunks of a batch; null keeps the recipe's.
    steps, epoch_steps
        Train for at least so many steps, in epochs of about `epoch_steps` (at n_fft 1536; shorter chunks are as many
        more, as in the thesis), with as many chunks of each track as that takes. Null keeps the recipe's epochs.
    learning_rate
        Factor on the learning rate: a small network that trains briefly needs a higher one.
    schedule
        ``cosine`` lowers the rate to nothing over the training, which a brief training gains from; null keeps the
        recipe's.
    validation_chunks
        Validate on at most so many chunks.
    """

    filters: float = Field(1 / 12, gt=0, le=1)
    dropout: float = Field(1.0, ge=0, le=1)
    sample_rate_hz: int | None = Field(None, ge=1000)
    n_fft: float = Field(1.0, gt=0, le=1)
    levels: int = Field(5, ge=1, le=10)
    fewer_levels: int = Field(0, ge=0, le=9)
    tracks: float = Field(1.0, gt=0, le=1)
    frames: float = Field(1.0, gt=0, le=1)
    batch_size: int | None = Field(None, ge=1)
    steps: int | None = Field(None, ge=1)
    epoch_steps: int = Field(128, ge=1)
    learning_rate: float = Field(1.0, gt=0)
    schedule: Literal["constant", "cosine"] | None = None
    validation_chunks: int | None = Field(None, ge=1)


def read_scale(*texts: str) -> StandInScale:
    """A scale from ``--scale``: a factor on the filters, or a YAML file; then ``KEY=VALUE`` to change either.

    Raises
    ------
    SettingsError
        If it is none of them.
    """
    data: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if text.endswith((".yaml", ".yml")):
            data |= load_settings(Path(text), StandInScale).settings.model_dump()
        else:
            data |= {key: parse_yaml(value, f"--scale {key}")} if equals else {"filters": text}
    return validate(data, StandInScale, "--scale")


def stand_in_settings(settings: TrainingSettings, corpus: Path, scale: StandInScale | None = None) -> TrainingSettings:
    """The same training on stand-ins, scaled down, with a name and a summary that say so."""
    scale = scale or StandInScale()
    network = settings.model.network
    if not isinstance(network, HourglassSettings):
        raise SettingsError(
            f"A stand-in is an hourglass network scaled down, but {settings.name} trains {network.kind!r}."
        )
    limit = settings.data.track_limit
    data = {
        "track_limit": limit and max(1, int(limit * scale.tracks)),
        "validation_chunks": scale.validation_chunks or settings.data.validation_chunks,
    }
    rate = settings.optimizer.learning_rate * scale.learning_rate
    kind = scale.schedule or settings.optimizer.schedule.kind
    optimizer = {"learning_rate": rate, "schedule": settings.optimizer.schedule.model_copy(update={"kind": kind})}
    model = _scaled_model(settings.model, network, scale)
    summary = (
        f"STAND-IN on rendered music at {model.spectrogram.sample_rate_hz} Hz with a network scaled by "
        f"{scale.filters:.3g} and a learning rate of {rate:.3g} ({kind}): not comparable with published numbers; "
        f"{settings.summary}"
    )
    scaled = settings.model_copy(
        update={
            "name": f"{settings.name}-stand-in",
            "summary": summary,
            "datasets": tuple(_stand_in(source, model, corpus) for source in settings.datasets),
            "model": model,
            "batch_size": scale.batch_size or settings.batch_size,
            "data": settings.data.model_copy(update=data),
            "optimizer": settings.optimizer.model_copy(update=optimizer),
        }
    )
    return _with_steps(scaled, scale.steps, scale) if scale.steps else scaled


def _scaled_model(model: ModelSettings, network: HourglassSettings, scale: StandInScale) -> ModelSettings:
    """The model with a smaller network, spectrogram and chunk, checked again."""
    n_frames = round(model.n_frames * scale.frames)
    levels = max(1, min(network.levels - scale.fewer_levels, scale.levels, n_frames.bit_length() - 1))
    step = 2 ** (levels + 1)
    spectrogram = {"n_fft": max(step, round(model.spectrogram.n_fft * scale.n_fft / step) * step)}
    if scale.sample_rate_hz:
        spectrogram["sample_rate_hz"] = scale.sample_rate_hz
    widths = tuple(max(2, round(width * scale.filters)) for width in SCALED_WIDTHS)
    small = {
        "filters": max(4, round(network.filters * scale.filters)),
        "levels": levels,
        "dropout": network.dropout * scale.dropout,
        "initial_widths": widths,
        "end_width": widths[-1],
    }
    data = model.model_dump()
    data |= {"n_frames": n_frames, "network": data["network"] | small, "spectrogram": data["spectrogram"] | spectrogram}
    return validate(data, ModelSettings, "the stand-in")


def _with_steps(settings: TrainingSettings, steps: int, scale: StandInScale) -> TrainingSettings:
    """The same training with at least `steps` steps, in epochs of about `scale.epoch_steps`."""
    n_tracks = len(load_tracks(settings).training)
    chunks = math.ceil(scale.epoch_steps * settings.batch_size / n_tracks * scale.n_fft)
    limited = settings.model_copy(update={"data": settings.data.model_copy(update={"chunks_per_track": chunks})})
    per_epoch = n_tracks * (items_limit(limited) or chunks) // settings.batch_size
    return limited.model_copy(update={"epochs": math.ceil(steps / max(1, per_epoch))})


def _stand_in(source: DatasetSource, model: ModelSettings, corpus: Path) -> DatasetSource:
    folder = real_path(corpus).with_name(f"{real_path(corpus).name}_stand_ins") / source.label
    _check_rate(corpus / model.target, model.spectrogram.sample_rate_hz)
    if not folder.is_dir():
        make_stand_in(corpus / model.target, folder, source.label)
    return source.model_copy(update={"path": str(folder), "name": f"{source.label}-stand-in"})


def _check_rate(pairs: Path, sample_rate_hz: int) -> None:
    """Refuse a corpus at other rates than the training's, and say what fits."""
    rates = sorted(int(folder.name[len("tracks_") : -len("hz")]) for folder in pairs.glob("tracks_*hz"))
    if rates and sample_rate_hz not in rates:
        raise DatasetError(
            f"{pairs} holds pairs at {' and '.join(map(str, rates))} Hz, and the training wants {sample_rate_hz}: add "
            f"--scale sample_rate_hz={rates[-1]}, or render the corpus at {sample_rate_hz} Hz."
        )


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
