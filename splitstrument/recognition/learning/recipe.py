"""Recipe of a recogniser: what it hears in training, what chooses its thresholds, and how long it learns."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from splitstrument.recipes import find_recipe
from splitstrument.recognition.learning.network import NetworkSettings
from splitstrument.settings import Settings, load_settings


class Clips(Settings):
    """A collection of labelled clips; see `splitstrument.recognition.learning.clips`."""

    kind: Literal["irmas", "openmic", "medleydb"]
    path: Path
    part: str = Field("train", description="which part of the collection, by its own words")


class Sounds(Settings):
    """Where labelled sounds lie.

    Attributes
    ----------
    sets
        Stem sets.
    parts
        Folders of solo parts, each with a ``parts.yaml``.
    under
        Stem sets whose moments lie under two thirds of the solo parts that are scored.
    clips
        Collections of clips with labels, such as IRMAS.
    """

    sets: tuple[Path, ...] = ()
    parts: tuple[Path, ...] = ()
    under: tuple[Path, ...] = ()
    clips: tuple[Clips, ...] = ()


class RecogniserRecipe(Settings):
    """One training of the recogniser.

    Attributes
    ----------
    start
        Weights (``best.weights.h5``) of another training to begin with.
    moments, more_moments
        Excerpts of three seconds that are drawn of each track of a stem set, and how many of those of single sets.
    cache
        Where the excerpts are kept. Those of other folders or numbers of moments are made again; delete it to draw
        others.
    """

    name: str = Field(pattern=r"^[a-z0-9_\-]+$")
    summary: str = ""
    train: Sounds
    choose: Sounds
    score: dict[str, Sounds] = Field({})
    cache: Path = Path("data/recognise")
    start: Path | None = None
    moments: int = Field(14, ge=1, le=1000)
    more_moments: dict[Path, int] = Field({})
    network: NetworkSettings = NetworkSettings()
    batch_size: int = Field(32, ge=1, le=4096)
    steps_per_epoch: int = Field(300, ge=1)
    epochs: int = Field(8, ge=1, le=1000)
    baseline_overlays: int = Field(3000, ge=50, description="that the support vector machines learn from")
    learning_rate: float = Field(2e-3, gt=0, le=1)
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    seed: int = Field(24, ge=0)


def read_recipe(path: str | Path) -> RecogniserRecipe:
    """Read a recipe, by path or by the name of one that ships; its own paths are relative to the working folder."""
    return load_settings(find_recipe(path, "trainings"), RecogniserRecipe).settings
