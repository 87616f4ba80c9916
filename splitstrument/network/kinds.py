"""The settings of each kind of network; `splitstrument.network.registry` lists the kinds. Imports no Keras."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from splitstrument.settings import Settings


class NetworkSettings(Settings):
    """Base of the settings of a network.

    Attributes
    ----------
    kind
        Its name in the registry.
    outputs
        Masks of each bin.

    One that sees mid and side also has ``inputs``, which is then 2.
    """

    kind: str
    outputs: int = Field(1, ge=1, le=16)

    def check(self, n_bins: int, n_frames: int) -> None:
        """Raise ValueError if the network cannot take `n_bins` (without DC) and `n_frames`."""


class HourglassSettings(NetworkSettings):
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


class BandUnetSettings(NetworkSettings):
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


class OwnNetworkSettings(NetworkSettings):
    """A network that a function of the user's own builds; see docs/extending.md.

    Attributes
    ----------
    kind
        ``module:function``.
    inputs
        Magnitudes that the network sees of each bin: 1 of a mono song, 2 of mid and side.
    options
        What the function alone understands.
    """

    inputs: int = Field(1, ge=1, le=2)
    options: dict[str, JsonValue] = Field(default_factory=dict)
