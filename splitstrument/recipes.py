"""Folders of the recipes and the sample set: in a checkout, or inside the installed package."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from splitstrument.errors import SettingsError

Kind = Literal["datasets", "trainings"]


def recipes_folder(kind: Kind) -> Path:
    """Folder of all recipes of a kind; setup.cfg installs it as ``splitstrument/_<kind>``."""
    package = Path(__file__).resolve().parent
    installed = package / f"_{kind}"
    return installed if installed.is_dir() else package.parent / kind


def find_recipe(name: str | Path, kind: Kind) -> Path:
    """Resolve a recipe given as a path, or by its name among those that ship.

    ``trainings/table_06.yaml``, ``table_06.yaml`` and ``table_06`` all work from any folder.

    Raises
    ------
    SettingsError
        If there is neither such a file nor such a recipe.
    """
    path = Path(name)
    if path.is_file():
        return path
    parts = path.parts[1:] if path.parts[:1] == (kind,) else path.parts
    inside = recipes_folder(kind).joinpath(*parts)
    shipped = [inside, inside.with_name(f"{inside.name}.yaml")]
    for candidate in shipped if ".." not in parts and not path.is_absolute() else []:
        if candidate.is_file():
            return candidate
    known = ", ".join(sorted(recipe.stem for recipe in recipes_folder(kind).glob("*.yaml")))
    raise SettingsError(f"There is no recipe {str(name)!r}: give the path of a YAML file or one of {known}.")
