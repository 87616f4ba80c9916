"""From spectra to masks: cut into chunks, ask the network, cross-fade the answers.

The chunks are laid out as in the thesis (`splitstrument.network.chunks`): the first starts half a chunk before the
song, the last reaches past its end, zeros fill both. With overlap the masks of neighbouring chunks are averaged with
the weights of a Hann window, so that the borders cannot be heard.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from splitstrument.errors import ModelError
from splitstrument.network.calibration import calibrated
from splitstrument.network.chunks import chunk_count, normalisation_scale
from splitstrument.network.settings import ModelSettings
from splitstrument.network.stereo import cancels, exchanged
from splitstrument.separation.hearing import Hearing, InMono
from splitstrument.spectrogram import Complex, Float
from splitstrument.streams import ArrayQueue

Predict = Callable[[Float], Float]
BATCH_VALUES = 1 << 17  # magnitudes per call of the network: more costs memory and gains nothing on a CPU


class ChunkLayout:
    """Length and step of the chunks, in frames.

    Parameters
    ----------
    overlap
        Share of a chunk that the next one covers; None takes the model's own.
    at_once
        Chunks the network is asked for at a time, at least.
    """

    def __init__(self, model: ModelSettings, overlap: float | None = None, at_once: int = 1) -> None:
        self.size = model.n_frames
        self.step = max(1, round(self.size * (1 - (model.overlap if overlap is None else overlap))))
        batch = max(1, BATCH_VALUES // (model.spectrogram.n_bins * self.size))
        self.batch = -(-batch // at_once) * at_once  # none of those that run side by side is left without a chunk
        self.lead = self.size // 2

    @property
    def weights(self) -> Float:
        """Weight of each frame of a chunk, never zero; all ones where chunks do not overlap."""
        if self.step == self.size:
            return np.ones(self.size, np.float32)
        return (np.sin(np.pi * (np.arange(self.size) + 0.5) / self.size) ** 2).astype(np.float32)

    def padding(self, n_frames: int) -> int:
        """Number of zero frames after a song of `n_frames`, so that the last chunk is whole."""
        count = chunk_count(n_frames, self.size, self.step)
        return self.step * (count - 1) + self.size - self.lead - n_frames


def estimate_masks(
    spectra: Iterator[Complex],
    model: ModelSettings,
    predict: Predict,
    layout: ChunkLayout,
    hearing: Hearing | None = None,
    stems: Sequence[int] = (0,),
) -> Iterator[tuple[Complex, Float]]:
    """Pair every frame of a stream with its masks.

    Parameters
    ----------
    spectra
        Blocks (n_channels, n_bins, any number of frames).
    predict
        The network: magnitudes (batch, n_bins, n_frames, model.n_views) -> masks (batch, n_bins, n_frames, at least
        n_views for each of the model's stems).
    hearing
        How the network hears the channels; None is the average of the channels.
    stems
        Which of the model's stems are wanted.

    Yields
    ------
    spectrum : (n_channels, n_bins, n_frames), the input's frames in order
    masks : (n_stems, n_views, n_bins, n_frames) between 0 and 1
    """
    queue, counter = ArrayQueue(axis=-1), _Counter()
    ask = _Asker(model, predict, layout, hearing or InMono(), list(stems))
    fade = _CrossFade(layout)
    emit = _Trim(layout.lead, counter)
    wanted = layout.step * (layout.batch - 1) + layout.size
    for block in _padded(spectra, layout, counter):
        queue.push(block)
        while len(queue) >= wanted:
            for spectrum, mask in _advance(queue, layout.batch, ask, fade):
                yield from emit(spectrum, mask)
    while len(queue) >= layout.size:
        n_chunks = min(layout.batch, (len(queue) - layout.size) // layout.step + 1)
        for spectrum, mask in _advance(queue, n_chunks, ask, fade):
            yield from emit(spectrum, mask)
    if len(queue):
        rest = queue.pop(len(queue))
        yield from emit(rest, fade.take(rest.shape[-1]))


def _advance(queue: ArrayQueue, n_chunks: int, ask: _Asker, fade: _CrossFade) -> Iterator[tuple[Complex, Float]]:
    """Ask the network for the next chunks; yield the frames that no later chunk will change, a step at a time.

    Later stages round by block, so the blocks must not depend on how many chunks are asked for at once.
    """
    layout = fade.layout
    spectrum = queue.peek(layout.step * (n_chunks - 1) + layout.size)
    fade.add(ask(spectrum, n_chunks))
    for _ in range(n_chunks):
        yield queue.pop(layout.step), fade.take(layout.step)


class _Asker:
    """Asks the network for the masks of chunks, whatever its views are."""

    def __init__(
        self, model: ModelSettings, predict: Predict, layout: ChunkLayout, hearing: Hearing, stems: list[int]
    ) -> None:
        self.model, self.predict, self.layout, self.hearing, self.stems = model, predict, layout, hearing, stems

    def __call__(self, spectrum: Complex, n_chunks: int) -> Float:
        """Masks of the chunks in `spectrum`: (n_chunks, n_stems, n_views, n_bins, size), clipped to [0, 1].

        Chunks of pure zeros are not asked for; whatever their mask, nothing times it is nothing.
        """
        views = self.hearing.views(spectrum)
        starts = [index * self.layout.step for index in range(n_chunks)]
        chunks = self.hearing.asked(np.stack([views[:, :, start : start + self.layout.size] for start in starts]))
        masks = np.zeros((n_chunks, len(self.stems), *chunks.shape[1:]), np.float32)
        for first in range(0, chunks.shape[1], self.model.n_views):  # views that the network sees together
            together = slice(first, first + self.model.n_views)
            audible = np.flatnonzero(chunks[:, together].any(axis=(1, 2, 3)))
            if len(audible):
                masks[audible, :, together] = self._upright(chunks[audible, together])
        return masks

    def _upright(self, chunks: Float) -> Float:
        """Show the network chunks (batch, n_views, n_bins, size) whose mid is the louder part; turn its masks back."""
        if self.model.n_views == 1:
            return self._checked(chunks)
        turned = cancels(chunks)
        if not turned.any():
            return self._checked(chunks)
        return exchanged(self._checked(exchanged(chunks, turned)), turned[:, None])

    def _checked(self, chunks: Float) -> Float:
        """Masks (batch, n_stems, n_views, n_bins, size) of chunks (batch, n_views, n_bins, size)."""
        n_chunks, n_views, n_bins, size = chunks.shape
        level = normalisation_scale(chunks.reshape(n_chunks, n_views * n_bins, size), self.model.normalisation)
        answer = np.asarray(self.predict(np.moveaxis(chunks / level[:, None], 1, -1)))
        n_masks = n_views * len(self.model.names)
        if answer.shape[:3] != (n_chunks, n_bins, size) or not np.isfinite(answer[..., :n_masks]).all():
            raise ModelError(
                f"The network gave masks of shape {answer.shape[:3]} for {(n_chunks, n_bins, size)}, or values that "
                "are not numbers: its weights are damaged or the song holds values far above full scale."
            )
        masks = np.empty((n_chunks, len(self.stems), n_views, n_bins, size), np.float32)
        for index, view in np.ndindex(masks.shape[1:3]):
            np.clip(answer[..., n_views * self.stems[index] + view], 0, 1, out=masks[:, index, view])
        for index, stem in enumerate(self.stems):
            if curve := (self.model.calibration or {}).get(self.model.names[stem]):
                masks[:, index] = calibrated(masks[:, index], curve)
        return masks


class _CrossFade:
    """Weighted overlap-add of chunk masks along time."""

    def __init__(self, layout: ChunkLayout) -> None:
        self.layout, self.weights = layout, layout.weights
        self.total = np.zeros((1, 1, 1, 0), np.float32)
        self.weight = np.zeros(0, np.float32)

    def add(self, masks: Float) -> None:
        """Add (n_chunks, n_stems, n_views, n_bins, size), the first chunk at the first frame not yet taken."""
        length = self.layout.step * (len(masks) - 1) + self.layout.size
        total, weight = np.zeros((*masks.shape[1:-1], length), np.float32), np.zeros(length, np.float32)
        kept = self.total.shape[-1]
        total[..., :kept] = self.total
        weight[:kept] = self.weight
        for index, mask in enumerate(masks):
            part = slice(index * self.layout.step, index * self.layout.step + self.layout.size)
            total[..., part] += mask * self.weights
            weight[part] += self.weights
        self.total, self.weight = total, weight

    def take(self, n_frames: int) -> Float:
        """Take out the first `n_frames`, which are final."""
        done = self.total[..., :n_frames] / self.weight[:n_frames]
        self.total, self.weight = self.total[..., n_frames:], self.weight[n_frames:]
        return done


class _Counter:
    """Counts frames of the song; `ended` tells that the count is final."""

    def __init__(self) -> None:
        self.n_frames = 0


class _Trim:
    """Drops the zero frames before and after the song."""

    def __init__(self, lead: int, counter: _Counter) -> None:
        self.lead, self.counter, self.n_out = lead, counter, 0

    def __call__(self, spectrum: Complex, mask: Float) -> Iterator[tuple[Complex, Float]]:
        skip = min(self.lead, spectrum.shape[-1])
        self.lead -= skip
        stop = skip + min(spectrum.shape[-1] - skip, self.counter.n_frames - self.n_out)
        self.n_out += stop - skip
        if stop > skip:
            yield spectrum[..., skip:stop], mask[..., skip:stop]


def _padded(spectra: Iterator[Complex], layout: ChunkLayout, counter: _Counter) -> Iterator[Complex]:
    """The stream between zero frames; frames that are out are counted, which tells `_Trim` where the song ends."""
    shape: tuple[int, ...] = ()
    for block in spectra:
        if not shape:
            shape = block.shape[:-1]
            yield np.zeros((*shape, layout.lead), np.complex64)
        counter.n_frames += block.shape[-1]
        yield block
    if shape:
        yield np.zeros((*shape, layout.padding(counter.n_frames)), np.complex64)
