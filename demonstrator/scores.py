"""The scores page: what the thesis published, and what was measured of the models on offer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from splitstrument.errors import SplitstrumentError
from splitstrument.recipes import recipes_folder
from splitstrument.settings import read_yaml

SCORE_FILES = ("scores.yaml", "evaluation.yaml")
MEASURES = ("sdr", "sir", "sar")


def published() -> list[dict[str, Any]]:
    """Published medians of each training: name, target, parameters of the network and the six scores.

    They live in the recipes under ``published``; recipes without them are left out.
    """
    rows = []
    for path in sorted(recipes_folder("trainings").glob("*.yaml")):
        try:
            recipe = read_yaml(path)
        except SplitstrumentError:
            continue
        numbers = recipe.get("published") if isinstance(recipe, dict) else None
        if isinstance(numbers, dict) and "instrument" in numbers:
            rows.append({"name": path.stem, "target": _target(recipe, numbers), **numbers})
    return rows


def _target(recipe: dict[str, Any], numbers: dict[str, Any]) -> str:
    model = recipe.get("model")
    found = numbers.get("target") or (model.get("target") if isinstance(model, dict) else None)
    return str(found or ("piano" if "piano" in str(recipe.get("base", "")) else "guitar"))


def measured(models: Iterable[Any]) -> list[dict[str, Any]]:
    """What lies beside each model: its score file as plain data, where it has one."""
    rows = []
    for model in models:
        for name in SCORE_FILES:
            path = model.folder.path / name
            if path.is_file():
                rows.append({"model": model.name, "target": model.target, "scores": read_yaml(path)})
                break
    return rows
