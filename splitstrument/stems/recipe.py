"""Recipes of datasets: which raw tracks, and how they become pairs; read from ``datasets/*.yaml``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, field_validator, model_validator

from splitstrument.errors import SettingsError
from splitstrument.settings import Settings, load_settings, read_yaml
from splitstrument.stems.mix import MixOptions
from splitstrument.stems.organise import OrganiseSettings
from splitstrument.stems.silence import SilenceSettings


class SourceRecipe(OrganiseSettings):
    """Which tracks of one raw dataset.

    Attributes
    ----------
    root
        The raw dataset's folder, relative to the working folder.
    only, leave_out
        Names of tracks to take (empty: all) and not to take.
    splits
        Take only tracks of these splits of the dataset's own; empty takes all.
    limit
        Take at most so many tracks that have the target, the first by MD5 of their names; None takes all.
    """

    root: Path
    only: tuple[str, ...] = ()
    leave_out: tuple[str, ...] = ()
    splits: tuple[str, ...] = ()
    limit: int | None = Field(None, ge=1)


class DatasetRecipe(Settings):
    """Contents of ``datasets/*.yaml``.

    Attributes
    ----------
    output
        Folder to build, relative to the working folder.
    sources
        Raw datasets; or else `pairs_from`.
    pairs_from
        Recipe of another dataset whose pairs are taken (its silences cut here), relative to this recipe.
    sample_rates_hz
        Rates to take of the pairs of `pairs_from`; empty takes all.
    marks
        File of quality marks for the target, imported into the organised tracks.
    silence
        How silences are cut; None leaves them.
    evaluation
        Names of the tracks that are held out for evaluation.
    unknown
        What the thesis did not publish and this recipe therefore leaves open, a sentence each.
    published
        Numbers of the thesis to compare with.
    """

    name: str = Field(pattern=r"^\w[\w-]*$")
    target: str
    description: str = ""
    output: Path
    sources: tuple[SourceRecipe, ...] = ()
    pairs_from: Path | None = None
    sample_rates_hz: tuple[int, ...] = ()
    marks: Path | None = None
    mix: MixOptions = MixOptions()
    silence: SilenceSettings | None = None
    evaluation: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    published: dict[str, Any] = Field(default_factory=dict)

    @field_validator("evaluation")
    @classmethod
    def _no_repetition(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) < len(names):
            raise ValueError("a track is named twice")
        return names

    @model_validator(mode="after")
    def _one_origin(self) -> DatasetRecipe:
        if bool(self.sources) == bool(self.pairs_from):
            raise ValueError("give either sources or pairs_from")
        return self


def _is_rendered(path: Path) -> bool:
    """Tell a corpus recipe, which has hours to render, from one of ours, or from a mistaken one."""
    data = read_yaml(path)
    return isinstance(data, dict) and "hours" in data and not {"sources", "pairs_from", "target"} & set(data)


def read_recipe(path: str | Path, overrides: dict[str, Any] | None = None) -> DatasetRecipe:
    """Read a recipe; `pairs_from` becomes relative to the working folder.

    Raises
    ------
    SettingsError
        If the recipe is wrong, or is its own origin.
    """
    path = Path(path)
    if _is_rendered(path):
        raise SettingsError(f"{path} describes music to render: use `splitstrument dataset render {path}`.")
    recipe = load_settings(path, DatasetRecipe, overrides).settings
    if recipe.pairs_from is None:
        return recipe
    origin = path.parent / recipe.pairs_from
    if origin.resolve() == path.resolve():
        raise SettingsError(f"{path} takes its pairs from itself: name another recipe.")
    return recipe.model_copy(update={"pairs_from": origin})
