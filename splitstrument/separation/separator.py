"""The one driver of the engine: blocks of a song in, blocks of its instruments out.

Files (`splitstrument.separation.songs`), arrays (`splitstrument.separation.api`) and evaluation differ in where the
blocks come from and where they go; what happens between is here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from splitstrument.network.settings import ModelSettings
from splitstrument.recognition.timeline import Timeline
from splitstrument.separation.activity import Activity, ActivityMeter, warnings_of
from splitstrument.separation.options import REST, SeparationOptions, separated_instruments
from splitstrument.separation.pipeline import LoadedModel, Masks, Progress, Report, SongSeparation, network_masks
from splitstrument.separation.result import STORED_MASK, ModelIdentity
from splitstrument.separation.samples import Native, to_float32
from splitstrument.separation.stored_mask import MaskHeader, stored_masks
from splitstrument.spectrogram import Float
from splitstrument.streams import ArrayQueue

Write = Callable[[Native, Sequence[Float]], Sequence[Native]]


@dataclass(frozen=True)
class SongStream:
    """A song on its way in: blocks (any number of samples, n_channels), and how many samples are expected."""

    blocks: Iterator[Native]
    n_channels: int
    sample_rate_hz: int
    n_samples: int | None = None


@dataclass(frozen=True)
class Separator:
    """A model, or a stored mask in its place, with options that are resolved for it: takes any number of songs."""

    model: ModelSettings
    identity: ModelIdentity
    options: SeparationOptions
    masks: Masks

    @classmethod
    def by_network(cls, model: LoadedModel, options: SeparationOptions) -> Separator:
        """Separate by a model.

        Raises
        ------
        SettingsError
            If the options ask for what the model does not have.
        """
        options = options.resolved(model.settings)
        identity = ModelIdentity.of(model.folder, model.engine.name)
        return cls(model.settings, identity, options, network_masks(model, options))

    @classmethod
    def by_stored_mask(cls, path: str | Path, header: MaskHeader, options: SeparationOptions) -> Separator:
        """Separate by a stored mask; of `options` the mask processing and the outputs count.

        Raises
        ------
        SettingsError
            If a stem is asked for whose mask is not stored.
        """
        part = {"start_s": header.start_s, "duration_s": header.duration_s, "keep_mask": False, "channels": None}
        stems = options.stems or (*header.stems, REST)
        options = options.model_copy(update=part | {"stems": stems}).resolved(header.model)
        wanted = separated_instruments(options.stems or (), header.model)
        identity = ModelIdentity(header.model_name, None, header.model_files, STORED_MASK)
        return cls(header.model, identity, options, stored_masks(path, header, wanted))

    @property
    def instruments(self) -> tuple[str, ...]:
        """The instruments that are taken out, by the names of their stems."""
        return separated_instruments(self.options.stems or (), self.model)

    @property
    def stems(self) -> tuple[str, ...]:
        """Names of the stems: the instruments that are taken out, and the rest."""
        return (*self.instruments, REST)

    def run(
        self,
        song: SongStream,
        write: Write,
        progress: Progress | None = None,
        on_mask: Callable[[Float], None] | None = None,
        hear: Callable[[Float], None] | None = None,
    ) -> tuple[int, Activity]:
        """Take a song apart.

        Parameters
        ----------
        write
            Called with every block of the song and its instruments (n_samples, n_channels) float32; returns
            instruments and rest as they were kept.
        progress
            Called as ``progress(done_s, total_s)``; False cancels.
        on_mask
            Called with every block of masks before they are processed.
        hear
            Called with every block of the song as it comes in.

        Returns
        -------
        n_samples, activity
            Length of the song, and the levels of what was kept.

        Raises
        ------
        CancelledError
            If `progress` returned False.
        """
        report = Report(progress, song.n_samples, song.sample_rate_hz)
        waiting, meter = ArrayQueue(), ActivityMeter(song.sample_rate_hz, self.stems)

        def incoming() -> Iterator[Float]:
            for block in song.blocks:
                waiting.push(block)
                floats = to_float32(block)
                if hear:
                    hear(floats)
                yield floats

        separation = SongSeparation(
            incoming(), song.n_channels, song.sample_rate_hz, self.model, self.masks, self.options, on_mask
        )
        with contextlib.closing(separation.instrument_blocks()) as blocks:
            for instruments in blocks:
                n_samples = instruments.shape[1]
                meter.add(*map(to_float32, write(waiting.pop(n_samples), list(instruments))))
                report(n_samples)
        return report.done, meter.finish(separation.expectation.qualities)

    def warnings_of(self, activity: Activity, timeline: Timeline | None = None) -> list[str]:
        """Plain sentences where the separation has probably failed (see `splitstrument.separation.activity`)."""
        single = len(self.model.names) == 1
        return warnings_of(activity, [self.model.target] if single else self.instruments, timeline)
