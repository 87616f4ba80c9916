"""What may be chosen for one separation; everything that changes the output is here, so that it can be recorded."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from splitstrument.network.settings import ModelSettings
from splitstrument.settings import Settings

Stem = Literal["instrument", "rest"]
STEMS: tuple[Stem, ...] = ("instrument", "rest")
NO_GATE_DB = -120.0
FORMATS = ("wav", "flac", "ogg", "mp3")


class MaskOptions(Settings):
    """What is done to a mask after the network (see `splitstrument.separation.postprocess`).

    Attributes
    ----------
    strength
        The mask is raised to this power: above 1 less of the rest leaks in, below 1 less of the instrument is lost.
    cleanup
        0 to 1: how much of the steady bed under the instrument is taken out (minimum statistics).
    floor_db
        No bin is lowered by more than this (a negative number); hides musical noise. None: no floor.
    dry
        Share of the unprocessed mixture in the instrument, 0 to 1.
    """

    strength: float = Field(1.0, ge=0, le=8)
    cleanup: float = Field(0.0, ge=0, le=1)
    floor_db: float | None = Field(None, ge=-120, le=0)
    dry: float = Field(0.0, ge=0, le=1)


class SeparationOptions(Settings):
    """How a song is separated and written.

    Attributes
    ----------
    engine
        A name of `splitstrument.separation.engines.ENGINES`; None takes the best that the model and the machine have.
    threads
        Threads of the engine; None is one per available core.
    overlap
        Share of a chunk that the next one covers; None takes the model's own.
    gate_db, rest_gate_db
        The instrument (the rest) fades out where it stays this far below the song for long (see
        `splitstrument.separation.gate`); negative numbers, -120 for no gate. None takes the model's own.
    channels
        ``mix``: one mask for all channels, from their average; ``magnitude``: one mask, from the average of the
        channels' magnitudes (hears what cancels in the average); ``each``: a mask per channel (costs as many times
        more).
    start_s, duration_s
        Take only this part of the song.
    keep_mask
        Write the mask beside the stems, so that `reprocess_file` can change the strength without the network.
    """

    engine: str | None = None
    threads: int | None = Field(None, ge=1, le=256)
    overlap: float | None = Field(None, ge=0, le=0.875)
    gate_db: float | None = Field(None, ge=-120, lt=0)
    rest_gate_db: float | None = Field(None, ge=-120, lt=0)
    channels: Literal["mix", "magnitude", "each"] = "mix"
    mask: MaskOptions = MaskOptions()
    format: Literal["wav", "flac", "ogg", "mp3"] = "wav"
    filename: str = "{track}/{stem}.{ext}"
    stems: tuple[Stem, ...] = STEMS
    start_s: float = Field(0.0, ge=0)
    duration_s: float | None = Field(None, gt=0)
    keep_mask: bool = False

    def resolved(self, model: ModelSettings) -> SeparationOptions:
        """The same, with the model's own overlap and gates where none were chosen."""
        own = {
            "overlap": model.overlap,
            "gate_db": model.gate_db or NO_GATE_DB,
            "rest_gate_db": model.rest_gate_db or NO_GATE_DB,
        }
        return self.model_copy(update={key: value for key, value in own.items() if getattr(self, key) is None})
