"""The streaming engine: blocks of a song in, blocks of its instrument out, in memory that does not grow with the song.

resample -> STFT -> chunks -> masks -> gate -> after the mask -> inverse STFT -> resample back.
Reading, the network, the gates, and writing run in a thread each, a few chunks apart, so that no core waits for another
stage. Every piece is cut into units of its own, so that the output does not depend on how the input arrived. What the
model cannot see (above its Nyquist frequency) is not in the instrument and so stays in the rest.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from splitstrument.audio import resample_blocks, resampled_length
from splitstrument.errors import CancelledError
from splitstrument.model_folder import ModelFolder, find_model
from splitstrument.network.settings import ModelSettings
from splitstrument.separation.activity import Expectation
from splitstrument.separation.engines import Engine, open_engine
from splitstrument.separation.gate import Gate, gated
from splitstrument.separation.hearing import hearing_of
from splitstrument.separation.masks import ChunkLayout, estimate_masks
from splitstrument.separation.options import NO_GATE_DB, SeparationOptions, instruments_of, separated_instruments
from splitstrument.separation.postprocess import MaskProcessor
from splitstrument.spectrogram import Complex, Float, istft_blocks, stft_blocks
from splitstrument.streams import ahead

Progress = Callable[[float, float], bool | None]
MaskStream = Generator[tuple[Complex, Float], None, None]
Masks = Callable[[Iterator[Complex]], MaskStream]


@dataclass(frozen=True)
class LoadedModel:
    """A model with its engine open: load it once, separate many songs."""

    folder: ModelFolder
    engine: Engine

    @property
    def settings(self) -> ModelSettings:
        """Settings of the model."""
        return self.folder.settings


def load_model(
    model: str | Path | ModelFolder | LoadedModel, engine: str | None = None, threads: int | None = None
) -> LoadedModel:
    """Find a model, open it in an engine and try it; a model that is loaded already is returned as it is."""
    if isinstance(model, LoadedModel):
        return model
    folder = find_model(model)
    return LoadedModel(folder, open_engine(folder, engine, threads))


class SongSeparation:
    """One song on its way through the pipeline.

    Parameters
    ----------
    blocks
        The song, (any number of samples, n_channels) float32 a block.
    masks
        Makes masks of spectra: the network (`network_masks`) or a stored mask.
    options
        Resolved for the model.
    on_mask
        Called with every block of masks as network and gate gave them, before they are processed.

    Attributes
    ----------
    expectation
        Filled while the song passes.
    """

    def __init__(
        self,
        blocks: Iterator[Float],
        n_channels: int,
        sample_rate_hz: int,
        model: ModelSettings,
        masks: Masks,
        options: SeparationOptions,
        on_mask: Callable[[Float], None] | None = None,
    ) -> None:
        self.n_channels, self.sample_rate_hz = n_channels, sample_rate_hz
        self.spectrogram, self.masks, self.on_mask = model.spectrogram, masks, on_mask
        self.n_stems = len(separated_instruments(options.stems or (), model))
        self.hearing = hearing_of(model.channels, options.channels)
        layout = ChunkLayout(model, options.overlap)
        self.frames_at_once = layout.step * layout.batch
        self.process = [MaskProcessor(options.mask, self.spectrogram, self.hearing.powers) for _ in range(self.n_stems)]
        self.expectation = Expectation(self.n_stems)
        self._blocks = blocks
        self._n_in = self._n_model = 0

    def instrument_blocks(self) -> Generator[Float, None, None]:
        """The instruments at the song's rate, as many samples as came in: (n_stems, any number, n_channels) a block."""
        stft, n_all = self.spectrogram, self.n_stems * self.n_channels
        model_blocks = resample_blocks(self._counted(), self.n_channels, self.sample_rate_hz, stft.sample_rate_hz)
        spectra = stft_blocks(self._counted_model(model_blocks), stft.n_fft, stft.hop, self.frames_at_once)
        n_out = 0
        with contextlib.closing(ahead(spectra)) as read, contextlib.closing(ahead(self._masked(read))) as masked:
            audio = istft_blocks(masked, stft.n_fft, stft.hop, lambda: self._n_model)
            for block in resample_blocks(audio, n_all, stft.sample_rate_hz, self.sample_rate_hz):
                block = block[: self._n_in - n_out]  # two roundings of the length may leave a few samples too many
                n_out += len(block)
                if len(block):
                    yield block.reshape(len(block), self.n_stems, self.n_channels).swapaxes(0, 1)

    def _counted(self) -> Iterator[Float]:
        for block in self._blocks:
            self._n_in += len(block)
            yield block

    def _counted_model(self, blocks: Iterator[Float]) -> Iterator[Float]:
        for block in blocks:
            wanted = resampled_length(self._n_in, self.sample_rate_hz, self.spectrogram.sample_rate_hz)
            self._n_model = min(wanted, self._n_model + len(block))
            yield block

    def _masked(self, spectra: Iterator[Complex]) -> Iterator[Complex]:
        """The spectra of all instruments, one below the other: (n_stems * n_channels, n_bins, n_frames) a block."""
        with contextlib.closing(self.masks(spectra)) as pairs:
            for spectrum, masks in pairs:
                if self.on_mask:
                    self.on_mask(masks)
                self.expectation.add(self.hearing.powers(spectrum), masks)
                processed = [process(mask, spectrum) for process, mask in zip(self.process, masks, strict=True)]
                yield self.hearing.apply(spectrum, np.stack(processed)).reshape(-1, *spectrum.shape[1:])


def network_masks(model: LoadedModel, options: SeparationOptions) -> Masks:
    """Masks from the network, through the gate where the options have one; the options are resolved for the model."""
    settings, gate = model.settings, _gate_of(options)
    layout = ChunkLayout(settings, options.overlap, model.engine.chunks_at_once)
    hearing = hearing_of(settings.channels, options.channels)
    known = instruments_of(settings)
    stems = [known.index(stem) for stem in separated_instruments(options.stems or (), settings)]

    def masks(spectra: Iterator[Complex]) -> MaskStream:
        estimates = estimate_masks(spectra, settings, model.engine.predict, layout, hearing, stems)
        with contextlib.closing(ahead(estimates)) as found:
            yield from gated(found, gate, settings.spectrogram, hearing.powers) if gate else found

    return masks


def _gate_of(options: SeparationOptions) -> Gate | None:
    """The gate of resolved options; None where nothing would fade."""
    thresholds = [None if db == NO_GATE_DB else db for db in (options.gate_db, options.rest_gate_db)]
    return Gate(*thresholds) if thresholds != [None, None] else None


class Report:
    """Tells a callback how far the song is; the callback returns False to stop.

    Where the length is not known (None), the total is what has been done.

    Raises
    ------
    CancelledError
    """

    def __init__(self, progress: Progress | None, n_samples: int | None, sample_rate_hz: int) -> None:
        self.progress, self.rate = progress, sample_rate_hz
        self.total, self.done = n_samples or 0, 0
        self(0)

    def __call__(self, n_samples: int) -> None:
        """`n_samples` more are done."""
        self.done += n_samples
        if self.progress is None:
            return
        total = max(self.total, self.done)
        if self.progress(self.done / self.rate, total / self.rate) is False:
            raise CancelledError("The separation was cancelled; nothing was written.")
