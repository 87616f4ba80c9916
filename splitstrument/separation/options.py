"""Options of one separation: everything that changes the output is here, so that it can be recorded."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from splitstrument.errors import SettingsError
from splitstrument.network.settings import ModelSettings
from splitstrument.settings import Flag, Settings

INSTRUMENT, REST = "instrument", "rest"
NO_GATE_DB = -120.0


class MaskOptions(Settings):
    """Changes to a mask after the network (see `splitstrument.separation.postprocess`).

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

    strength: Annotated[float, Flag("Above 1 takes out more of the rest.", "mask")] = Field(1.0, ge=0, le=8)
    cleanup: Annotated[float, Flag("0 to 1: take out steady noise.", "mask")] = Field(0.0, ge=0, le=1)
    floor_db: Annotated[float | None, Flag("Lower no bin by more than this, in dB (negative).", "mask")] = Field(
        None, ge=-120, le=0
    )
    dry: Annotated[float, Flag("0 to 1: share of the unprocessed song.", "mask")] = Field(0.0, ge=0, le=1)


class SeparationOptions(Settings):
    """How a song is separated and written; each field with a `Flag` is a flag of ``splitstrument separate``.

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
        Of a model that hears in mono. ``mix``: one mask for all channels, from their average, or from their
        differences where they cancel; ``magnitude``: one mask, from the average of the channels' magnitudes; ``each``:
        a mask per channel (costs as many times more). None is ``mix``, and the only choice of a model that hears mid
        and side.
    stems
        What to write: instruments of the model (the one of a model that has only one is called ``instrument``) and
        ``rest``, which is the song less the instruments that are written, or less all of them where none is. None:
        all instruments and the rest.
    start_s, duration_s
        Take only this part of the song.
    keep_mask
        Write the mask beside the stems, so that `reprocess_file` can change the strength without the network.
    """

    start_s: Annotated[float, Flag("Begin here, in seconds or as 1:30.", "input", seconds=True, show_default=False)] = (
        Field(0.0, ge=0)
    )
    duration_s: Annotated[float | None, Flag("Take only this long.", "input", seconds=True)] = Field(None, gt=0)
    filename: Annotated[str, Flag("Also: {fields}.", "output")] = "{track}/{stem}.{ext}"
    format: Annotated[Literal["wav", "flac", "ogg", "mp3"], Flag("", "output")] = "wav"
    stems: Annotated[
        tuple[str, ...] | None,
        Flag(
            "Which to write, with commas between: the model's instruments (instrument for one of one) and rest; "
            "default all.",
            "output",
        ),
    ] = None
    keep_mask: Annotated[bool, Flag("Also write the mask, for quick changes of strength and floor.", "output")] = False
    engine: Annotated[str | None, Flag("One of {engines}.", "engine")] = None
    threads: Annotated[int | None, Flag("Threads of the engine; default one per core and job.", "engine")] = Field(
        None, ge=1, le=256
    )
    overlap: Annotated[float | None, Flag("Overlap of chunks, 0 to 0.875; the default is the model's.", "engine")] = (
        Field(None, ge=0, le=0.875)
    )
    gate_db: Annotated[
        float | None,
        Flag(
            "Fade the instrument out where it stays so many dB (negative) below the song; the default is the model's, "
            "-120 is none.",
            "engine",
        ),
    ] = Field(None, ge=-120, lt=0)
    rest_gate_db: Annotated[float | None, Flag("The same for the rest.", "engine")] = Field(None, ge=-120, lt=0)
    channels: Annotated[
        Literal["mix", "magnitude", "each"] | None,
        Flag(
            "One mask from the average of the channels (default), or of their magnitudes, or one for each; not for "
            "models that hear mid and side.",
            "engine",
        ),
    ] = None
    mask: MaskOptions = MaskOptions()

    def resolved(self, model: ModelSettings) -> SeparationOptions:
        """The same, with the model's own overlap, gates, channels and stems where none were chosen.

        Raises
        ------
        SettingsError
            If the model lacks one of the stems, or has no choice of channels.
        """
        own = {
            "overlap": model.overlap,
            "gate_db": model.gate_db or NO_GATE_DB,
            "rest_gate_db": model.rest_gate_db or NO_GATE_DB,
            "channels": "mix" if model.channels == "mono" else None,
        }
        if self.channels and model.channels != "mono":
            raise SettingsError(
                f"The model hears mid and side of a song, so channels={self.channels!r} is no choice: leave it out."
            )
        chosen = {key: value for key, value in own.items() if getattr(self, key) is None}
        return self.model_copy(update=chosen | {"stems": chosen_stems(self.stems, model)})


def instruments_of(model: ModelSettings) -> tuple[str, ...]:
    """The model's instruments by the names of their stems, in the order of its outputs."""
    return model.names if len(model.names) > 1 else (INSTRUMENT,)


def chosen_stems(stems: tuple[str, ...] | None, model: ModelSettings) -> tuple[str, ...]:
    """The stems to write, in order; the target of a model with one instrument is another word for ``instrument``.

    Raises
    ------
    SettingsError
        If the model has no such stem.
    """
    known = (*instruments_of(model), REST)
    if stems is None:
        return known
    wanted = {known[0] if stem == model.target else stem for stem in stems}
    if strange := sorted(wanted - set(known)):
        alias = "" if len(model.names) > 1 else f" (or {model.target}, which this model takes out)"
        raise SettingsError(f"There is no stem {strange[0]!r}: this model gives {known[0]}{alias}{_and(known[1:])}.")
    return tuple(stem for stem in known if stem in wanted)


def separated_instruments(stems: tuple[str, ...], model: ModelSettings) -> tuple[str, ...]:
    """The instruments that are taken out of the song for `stems`: those among them, or all for the rest alone."""
    return tuple(stem for stem in stems if stem != REST) or instruments_of(model)


def _and(words: tuple[str, ...]) -> str:
    """The end of a list of words: `, piano and rest`."""
    return "".join(f", {word}" for word in words[:-1]) + f" and {words[-1]}"
