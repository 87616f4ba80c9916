"""A model adapted to songs, without their stems: the statistics of batch normalization are moved towards theirs.

A network that learned from a few songs expects every layer's inputs to be as large as theirs were. Another song's are
not, and can be measured on the mixture alone (adaptive batch normalization, Li et al. 2016, arXiv:1603.04779; the share
that stays is ours). Needs the extra ``train``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from splitstrument.errors import ModelError, SettingsError, missing_extra
from splitstrument.files import write_json
from splitstrument.model_folder import (
    KERAS_FILES,
    ModelFolder,
    copy_code,
    read_model_folder,
    save_weights,
    write_model_folder,
)
from splitstrument.model_tools.song_chunks import normalised, song_chunks
from splitstrument.network.settings import ModelSettings
from splitstrument.pairs import Pair
from splitstrument.provenance import provenance
from splitstrument.spectrogram import Float

BATCH = 16  # chunks: as many as a training's batch, so that their statistics are as steady


def adapt(
    model: ModelFolder,
    songs: Sequence[Path | Pair],
    output: Path,
    share: float = 0.3,
    weights: str = "best",
    advance: Callable[[float], None] = lambda seconds: None,
) -> ModelFolder:
    """Write a model folder at `output`: the same network with its statistics moved towards those of `songs`.

    Parameters
    ----------
    songs
        Song files, or pairs, of which the mixture is heard.
    share
        0 to 1: how far the statistics go; 1 forgets those of the training.
    weights
        ``best`` or ``last`` of a run.
    advance
        Called with the seconds of audio of each chunk that was heard.

    Raises
    ------
    SettingsError
        If `output` is not empty, or no song has an audible chunk.
    ModelError
        If the model has no such weights or its network has no statistics.
    AudioFileError
        If a song cannot be read.
    """
    try:
        from splitstrument.network.batch_statistics import estimate_statistics, normalization_statistics
        from splitstrument.network.registry import build_network
    except ImportError:
        raise missing_extra("Adapting a model", "train") from None
    if output.exists() and any(output.iterdir()):
        raise SettingsError(f"{output} is not empty: choose a new folder.")
    network = build_network(model.settings, code=model.code)
    network.load_weights(model.file(f"{weights}.weights.h5"))
    if not normalization_statistics(network):
        raise ModelError(f"{model.path} has no batch normalization: there is nothing to adapt.")
    batches = _Batches(model.settings, songs, advance)
    estimate_statistics(network, batches, share)
    if not batches.count:
        raise SettingsError("There is nothing audible to adapt to: give songs of at least some seconds.")
    save_weights(network, output / KERAS_FILES[0])
    _describe(model, songs, output, share, weights)
    return read_model_folder(output)


class _Batches:
    """Audible chunks of all songs, `BATCH` at a time; a last batch of less than half is left out."""

    def __init__(self, settings: ModelSettings, songs: Sequence[Path | Pair], advance: Callable[[float], None]) -> None:
        self.settings, self.songs, self.advance, self.count = settings, songs, advance, 0

    def __iter__(self) -> Iterator[Float]:
        chunks = self._chunks()
        while batch := list(islice(chunks, BATCH)):
            if not self.count or len(batch) >= BATCH // 2:
                self.count += 1
                yield np.concatenate(batch)

    def _chunks(self) -> Iterator[Float]:
        for song in self.songs:
            for chunk in song_chunks(self.settings, song):
                self.advance(self.settings.chunk_s)
                if chunk.any():
                    yield normalised(chunk, self.settings)


def _describe(model: ModelFolder, songs: Sequence[Path | Pair], output: Path, share: float, weights: str) -> None:
    """Write provenance, then ``model.yaml``, last, so that a folder with one is whole."""
    files = [file for song in songs for file in ([song.instrument, song.rest] if isinstance(song, Pair) else [song])]
    settings = {"model": str(model.path), "weights": weights, "share": share}
    write_json(output / "provenance.json", provenance(settings, files))
    description = model.description
    summary = f"{description.summary} Adapted to {len(songs)} song{'s' * (len(songs) != 1)} ({share:.0%}).".strip()
    changes = {"name": f"{description.name[:180]}_adapted", "summary": summary}
    copy_code(model, output)
    write_model_folder(output, description.model_copy(update=changes), [KERAS_FILES[0]])
