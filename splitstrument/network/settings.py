"""What a model is, as settings: its spectrogram, its chunks, its normalisation and its network. Imports no Keras."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from splitstrument.settings import Settings

Target = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,30}$")]


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


class HourglassSettings(Settings):
    """The stacked hourglass of the thesis (section 5; widths as in its published model files).

    Attributes
    ----------
    filters
        Width F of the hourglass itself.
    levels
        Depth of one hourglass; the thesis calls these "stacks".
    modules
        Hourglasses one after another, each with masks (and a loss) of its own, as in arXiv 1805.08559.
    initial_widths
        Widths of the convolutions before the hourglass; the first is 7x7, the others 3x3.
    end_width
        Width of the two convolutions after each hourglass.
    """

    kind: Literal["hourglass"] = "hourglass"
    filters: int = Field(192, ge=1, le=4096)
    levels: int = Field(6, ge=1, le=10)
    modules: int = Field(1, ge=1, le=8)
    outputs: int = Field(1, ge=1, le=8)
    initial_widths: tuple[int, ...] = Field((64, 128, 128, 128, 256), min_length=1, max_length=12)
    end_width: int = Field(256, ge=1)
    dropout: float = Field(0.2, ge=0, lt=1)
    batch_normalization: bool = True

    def check(self, n_bins: int, n_frames: int) -> None:
        """Raise ValueError if `n_bins` (without DC) and `n_frames` cannot be halved `levels` times."""
        factor = 2**self.levels
        for name, value in (("n_fft / 2", n_bins), ("n_frames", n_frames)):
            if value % factor:
                raise ValueError(
                    f"{name} = {value} must be divisible by 2^levels = {factor}: change it or use fewer levels"
                )


class BandUnetSettings(Settings):
    """The fast network: a U-Net on folded bands with frequency-wide layers (see `splitstrument.network.bandunet`).

    Attributes
    ----------
    folds
        The bins above DC are cut into as many bands of equal size; so many neighbouring bins of each band become the
        channels of one row.
    time_fold
        So many neighbouring frames likewise.
    width, growth
        Channels at the first level, and more per level below it.
    levels
        How often rows and frames are halved.
    blocks
        3x3 convolutions per block.
    bottleneck
        The frequency-wide layers narrow the rows by this factor; 0 leaves these layers out.
    compression
        Exponent that the magnitudes are raised to.
    inputs
        Magnitudes that the network sees of each bin: 1 of a mono song, 2 of mid and side.
    outputs
        Masks of each bin: one for each stem, or for mid and side of each stem.
    members
        So many networks with weights of their own side by side; the mask is the mean of theirs.
    """

    kind: Literal["bandunet"] = "bandunet"
    folds: tuple[Annotated[int, Field(ge=1, le=1024)], ...] = Field((2, 4, 8, 8), min_length=1, max_length=64)
    time_fold: int = Field(2, ge=1, le=16)
    width: int = Field(32, ge=4, le=512)
    growth: int = Field(16, ge=0, le=256)
    levels: int = Field(3, ge=1, le=6)
    blocks: int = Field(2, ge=1, le=8)
    bottleneck: int = Field(8, ge=0, le=64)
    compression: float = Field(0.3, gt=0, le=1)
    inputs: int = Field(1, ge=1, le=2)
    outputs: int = Field(1, ge=1, le=16)
    members: int = Field(1, ge=1, le=8)

    def bands(self, n_bins: int) -> list[tuple[int, int, int]]:
        """First bin, bin after the last, and fold of each band of `n_bins` bins above DC."""
        size = n_bins // len(self.folds)
        return [(index * size, (index + 1) * size, fold) for index, fold in enumerate(self.folds)]

    def n_bins_of(self, n_rows: int) -> int:
        """Bins above DC that are folded into `n_rows`."""
        return round(n_rows * len(self.folds) / sum(1 / fold for fold in self.folds))

    def check(self, n_bins: int, n_frames: int) -> None:
        """Raise ValueError if `n_bins` (without DC) and `n_frames` cannot be folded and halved."""
        size, factor = n_bins // len(self.folds), 2**self.levels
        if n_bins % len(self.folds) or any(size % fold for fold in self.folds):
            raise ValueError(
                f"n_fft / 2 = {n_bins} must divide into {len(self.folds)} bands and these by their folds {self.folds}"
            )
        rows = sum(size // fold for fold in self.folds)
        if rows % factor:
            raise ValueError(f"{rows} rows (of n_fft / 2 = {n_bins}) must be divisible by 2^levels = {factor}")
        if n_frames % (self.time_fold * factor):
            raise ValueError(
                f"n_frames = {n_frames} must be divisible by time_fold * 2^levels = {self.time_fold * factor}"
            )


NetworkSettings = Annotated[HourglassSettings | BandUnetSettings, Field(discriminator="kind")]


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
    network: NetworkSettings = HourglassSettings()

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
