"""Settings of a model: its spectrogram, its chunks, its normalisation and its network. Imports no Keras."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SerializeAsAny, model_validator

from splitstrument.network.kinds import BandUnetSettings, HourglassSettings, NetworkSettings
from splitstrument.network.registry import network_settings
from splitstrument.settings import Settings

__all__ = ["BandUnetSettings", "HourglassSettings", "ModelSettings", "SpectrogramSettings", "Target"]
Target = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,30}$")]
Curve = Annotated[tuple[Annotated[float, Field(ge=0, le=1)], ...], Field(min_length=2, max_length=257)]


class SpectrogramSettings(Settings):
    """The STFT that the network sees; the song is resampled to `sample_rate_hz` first."""

    sample_rate_hz: int = Field(22050, ge=1000, le=384_000)
    n_fft: int = Field(1536, ge=16, le=65536, multiple_of=2)
    hop_length: int | None = Field(None, ge=1)

    @property
    def hop(self) -> int:
        """Hop in samples: a quarter of n_fft unless set."""
        return self.hop_length or self.n_fft // 4

    @property
    def n_bins(self) -> int:
        """Rows of the spectrogram, DC included."""
        return self.n_fft // 2 + 1

    @model_validator(mode="after")
    def _hop_reconstructs(self) -> SpectrogramSettings:
        if self.hop > self.n_fft // 2:
            raise ValueError(f"hop_length must be at most n_fft / 2 = {self.n_fft // 2}, or the inverse has gaps")
        return self


class ModelSettings(Settings):
    """Everything that separation must know of a model besides its weights.

    Attributes
    ----------
    target
        The instrument that output 0 extracts; of a model with several stems the first one.
    stems
        The instruments that a network extracts at once, in the order of its outputs; empty for one that extracts
        `target` alone.
    channels
        ``mono``: the network sees one magnitude and answers one mask for each stem; ``mid_side``: it sees those of mid
        and side, in that order, and answers a mask for each: outputs are guitar mid, guitar side, piano mid, and so on
        (see `splitstrument.network.stereo`).
    n_frames
        Length of a chunk in STFT frames.
    normalisation
        ``chunk_maximum``: each chunk is divided by its largest magnitude (the thesis's ``norm_max``; an all-zero chunk
        stays as it is); ``none``: magnitudes go in as they are.
    overlap
        Share of a chunk that the next one covers at separation; the masks are cross-faded by a Hann window. 0 is the
        thesis's way: chunks side by side.
    calibration
        Instrument -> curve from the network's mask to what it is worth (see `splitstrument.network.calibration`).
    gate_db, rest_gate_db
        At separation the instrument (the rest) fades out where it stays this far below the song for long (see
        `splitstrument.separation.gate`); negative numbers. None: it does not fade.
    """

    target: Target = "guitar"
    stems: tuple[Target, ...] = Field((), max_length=8)
    channels: Literal["mono", "mid_side"] = "mono"
    spectrogram: SpectrogramSettings = SpectrogramSettings()
    n_frames: int = Field(64, ge=1, le=65536)
    normalisation: Literal["chunk_maximum", "none"] = "chunk_maximum"
    overlap: float = Field(0.0, ge=0, le=0.875)
    gate_db: float | None = Field(None, ge=-120, lt=0)
    rest_gate_db: float | None = Field(None, ge=-120, lt=0)
    calibration: dict[Target, Curve] | None = None
    network: Annotated[SerializeAsAny[NetworkSettings], BeforeValidator(network_settings)] = HourglassSettings()

    @model_validator(mode="after")
    def _divisible(self) -> ModelSettings:
        self.network.check(self.spectrogram.n_fft // 2, self.n_frames)
        return self

    @model_validator(mode="after")
    def _outputs_fit(self) -> ModelSettings:
        if self.stems and (self.stems[0] != self.target or len(set(self.stems)) < len(self.stems)):
            raise ValueError(f"stems {list(self.stems)} must differ and begin with the target {self.target!r}")
        if self.channels == "mid_side" and getattr(self.network, "inputs", 1) != 2:
            raise ValueError("channels: mid_side needs a network of kind bandunet with inputs: 2")
        if self.channels == "mono" and getattr(self.network, "inputs", 1) != 1:
            raise ValueError("a network with inputs: 2 needs channels: mid_side")
        expected = self.n_views * len(self.names)
        if (self.stems or self.n_views > 1) and self.network.outputs != expected:
            raise ValueError(
                f"network.outputs must be {expected}, for {len(self.names)} stems and channels {self.channels}; "
                f"it is {self.network.outputs}"
            )
        return self

    @model_validator(mode="after")
    def _curves_fit(self) -> ModelSettings:
        for name, curve in (self.calibration or {}).items():
            if name not in self.names:
                raise ValueError(f"calibration names {name!r}, which is none of the stems {', '.join(self.names)}")
            if any(after < before for before, after in pairwise(curve)):
                raise ValueError(f"the curve of {name} under calibration falls: a larger mask must be worth no less")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The instruments that the network extracts, in the order of its outputs."""
        return self.stems or (self.target,)

    @property
    def n_views(self) -> int:
        """Magnitudes of each bin that the network sees, and masks of each stem: 1, or 2 for mid and side."""
        return 2 if self.channels == "mid_side" else 1

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(n_bins, n_frames, n_views): the network's input without the batch axis."""
        return (self.spectrogram.n_bins, self.n_frames, self.n_views)

    @property
    def chunk_s(self) -> float:
        """Seconds of audio that one chunk advances by."""
        return self.n_frames * self.spectrogram.hop / self.spectrogram.sample_rate_hz
