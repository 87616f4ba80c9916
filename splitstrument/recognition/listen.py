"""Recognise songs of any length in flat memory: arrays, files, or blocks as they pass by.

>>> import splitstrument
>>> splitstrument.recognise(audio, 44100).sentence()  # doctest: +SKIP
'distorted guitar 0:12-2:40, piano from 1:05'
"""

from __future__ import annotations

import contextlib
import queue
import threading
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from splitstrument.audio import open_audio, resample_blocks
from splitstrument.audio.plausible import LOUDEST, MAX_CHANNELS, RATES_HZ, check_header, check_values, is_rate
from splitstrument.errors import AudioFileError, SettingsError
from splitstrument.recognition.features import (
    CHUNK_FRAMES,
    CHUNK_STEPS,
    N_MELS,
    RATE_HZ,
    STEP_FRAMES,
    STEP_S,
    mel_blocks,
    to_network,
)
from splitstrument.recognition.model import SHIPPED, Recogniser, load_recogniser
from splitstrument.recognition.timeline import Timeline, timeline_of
from splitstrument.spectrogram import Float
from splitstrument.streams import ArrayQueue

BLOCK = 1 << 16
CHUNKS_AT_ONCE, QUEUED = 2, 4  # more at once costs memory and gains nothing on a CPU
EDGE_STEPS = CHUNK_STEPS // 4  # on each side of a chunk: answered by its neighbours, which hear more around them
INNER_STEPS = CHUNK_STEPS - 2 * EDGE_STEPS
EVERY_S = (0.1, 3600.0)


def recognise(
    audio: ArrayLike, sample_rate_hz: float, every_s: float = 1.0, model: str | Path | None = None
) -> Timeline:
    """Recognise what plays in an array.

    Parameters
    ----------
    audio
        (n_samples, n_channels) or (n_samples,) at full scale 1.0; it is not modified.
    every_s
        Distance of the probabilities, in seconds.
    model
        Folder of a recogniser; None is the one that ships.

    Raises
    ------
    SettingsError
        If `audio` is empty, of another shape, has more than 64 channels or values that are no sound, or the rate or
        `every_s` is out of range.
    ModelError
    """
    song = _checked(audio)
    rate = int(sample_rate_hz)
    if not is_rate(rate) or rate != sample_rate_hz:
        raise SettingsError(f"The sample rate {sample_rate_hz!r} is no whole number of {RATES_HZ}: give it in Hz.")
    blocks = (song[start : start + BLOCK] for start in range(0, len(song), BLOCK))
    return recognise_blocks(blocks, song.shape[1], rate, every_s, _loaded(model))


def _checked(audio: ArrayLike) -> Float:
    """A song as (n_samples, n_channels) float32."""
    song = np.asarray(audio, np.float32)
    if song.ndim not in (1, 2) or not song.size or not np.isfinite(song).all():
        raise SettingsError(
            f"Audio should be (n_samples, n_channels) or (n_samples,), finite, at least one sample; got {song.shape}."
        )
    if song.ndim == 2 and song.shape[1] > MAX_CHANNELS:
        raise SettingsError(
            f"Audio should be (n_samples, n_channels) of up to {MAX_CHANNELS} channels; got {song.shape}: transpose it."
        )
    if (largest := float(np.abs(song).max())) > LOUDEST:
        raise SettingsError(f"Audio holds values that are no sound ({largest}): full scale should be 1.0.")
    return song.reshape(len(song), -1)


def recognise_file(
    path: str | Path,
    every_s: float = 1.0,
    model: str | Path | None = None,
    advance: Callable[[float], None] | None = None,
) -> Timeline:
    """Recognise what plays in a file of any format and length.

    Parameters
    ----------
    advance
        Called with the seconds that each block took of the file.

    Raises
    ------
    AudioFileError
        If it cannot be read, ends before its time, or holds no sound.
    """
    recogniser = _loaded(model)
    with open_audio(path) as file:
        check_header(file, path)
        rate = file.sample_rate_hz

        def blocks() -> Iterator[Float]:
            while len(block := file.read(BLOCK)):
                check_values(block, path)
                if advance:
                    advance(len(block) / rate)
                yield block
            if not file.position:
                raise AudioFileError(f"{path} holds no samples: get the file again.")

        return recognise_blocks(blocks(), file.n_channels, rate, every_s, recogniser)


def recognise_blocks(
    blocks: Iterator[Float], n_channels: int, sample_rate_hz: int, every_s: float, recogniser: Recogniser
) -> Timeline:
    """Recognise what plays in a stream of blocks (any number of samples, n_channels)."""
    if not EVERY_S[0] <= every_s <= EVERY_S[1]:
        raise SettingsError(f"Expected every_s between {EVERY_S[0]} and {EVERY_S[1]} seconds; received {every_s}.")
    n_samples = 0

    def counted() -> Iterator[Float]:
        nonlocal n_samples
        for block in blocks:
            n_samples += len(block)
            yield block

    answers = array("f")
    for steps in step_probabilities(resample_blocks(counted(), n_channels, sample_rate_hz, RATE_HZ), recogniser):
        answers.extend(steps.ravel())
    duration_s = n_samples / sample_rate_hz
    table = np.frombuffer(answers, np.float32).reshape(-1, len(recogniser.classes))
    table = table[: int(np.ceil(duration_s / STEP_S))]
    return timeline_of(table, STEP_S, every_s, duration_s, recogniser.classes, recogniser.description.thresholds)


class Listener:
    """Recognises in a thread of its own what passes by: `add` blocks, then `finish`, or `close` if nothing comes of it.

    Parameters
    ----------
    n_channels, sample_rate_hz
        Of the blocks: (any number of samples, n_channels) float32.
    """

    def __init__(self, n_channels: int, sample_rate_hz: int, every_s: float = 1.0) -> None:
        self._blocks: queue.Queue[Float | None] = queue.Queue(QUEUED)
        self._result: list[Timeline] = []
        self._error: Exception | None = None
        recogniser = load_recogniser()

        def work() -> None:
            try:
                timeline = recognise_blocks(self._taken(), n_channels, sample_rate_hz, every_s, recogniser)
                self._result.append(timeline)
            except Exception as error:  # raised where `finish` is called
                self._error = error

        self._thread = threading.Thread(target=work, name="splitstrument-listener", daemon=True)
        self._thread.start()

    def add(self, block: Float) -> None:
        """Hear a block, which must not be changed afterwards."""
        self._put(block)

    def finish(self) -> Timeline:
        """Return what was heard."""
        self.close()
        if self._error:
            raise self._error
        return self._result[0]

    def _taken(self) -> Iterator[Float]:
        while (block := self._blocks.get()) is not None:
            yield block

    def close(self) -> None:
        """End the thread."""
        self._put(None)
        self._thread.join()

    def _put(self, item: Float | None) -> None:
        while self._thread.is_alive():
            with contextlib.suppress(queue.Full):
                self._blocks.put(item, timeout=0.2)
                return


def step_probabilities(blocks: Iterator[Float], recogniser: Recogniser) -> Iterator[Float]:
    """Answers for a stream at the recogniser's rate: (any number of steps, n_classes) at a time, `STEP_S` apart.

    Chunks overlap by half; each answers for the middle half of it. Silence surrounds the song.
    """
    waiting = ArrayQueue()
    silent = np.zeros((EDGE_STEPS * STEP_FRAMES, N_MELS), np.float32)
    waiting.push(silent)
    inner, wanted = INNER_STEPS * STEP_FRAMES, CHUNK_FRAMES + (CHUNKS_AT_ONCE - 1) * INNER_STEPS * STEP_FRAMES
    for mels in mel_blocks(blocks):
        waiting.push(mels)
        while len(waiting) >= wanted:
            yield _answers(waiting.peek(wanted), recogniser)
            waiting.drop(CHUNKS_AT_ONCE * inner)
    left = waiting.peek(len(waiting))
    n_chunks = -(-max(0, len(left) - len(silent)) // inner)
    if n_chunks:
        missing = (n_chunks - 1) * inner + CHUNK_FRAMES - len(left)
        yield _answers(np.pad(left, ((0, missing), (0, 0))), recogniser)


def _answers(mels: Float, recogniser: Recogniser) -> Float:
    """Answers for the middle of each chunk of (n_frames, n_mels)."""
    chunks = np.lib.stride_tricks.sliding_window_view(mels, CHUNK_FRAMES, axis=0)[:: INNER_STEPS * STEP_FRAMES]
    steps = recogniser.predict(to_network(chunks.swapaxes(1, 2)))
    return steps[:, EDGE_STEPS : CHUNK_STEPS - EDGE_STEPS].reshape(-1, steps.shape[-1])


def _loaded(model: str | Path | None) -> Recogniser:
    return load_recogniser(SHIPPED if model is None else Path(model).expanduser())
