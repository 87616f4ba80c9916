"""The scores page: what the thesis published, and what was measured of the models on offer."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from splitstrument.errors import SplitstrumentError
from splitstrument.recipes import recipes_folder
from splitstrument.settings import read_yaml

SCORE_FILES = ("scores.yaml", "evaluation.yaml")


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
            rows.append({"name": numbers.get("table", path.stem), "target": _target(recipe, numbers), **numbers})
    return sorted(
        rows, key=lambda row: (len(row["name"].split()) < 2, [int(n) for n in re.findall(r"\d+", row["name"])])
    )


def _target(recipe: dict[str, Any], numbers: dict[str, Any]) -> str:
    model = recipe.get("model")
    found = numbers.get("target") or (model.get("target") if isinstance(model, dict) else None)
    return str(found or ("piano" if "piano" in str(recipe.get("base", "")) else "guitar"))


def measured(models: Iterable[Any]) -> list[dict[str, Any]]:
    """Tables of what lies beside each model: wherever its score file names several things with numbers."""
    rows = []
    for model in models:
        path = next((model.folder.path / name for name in SCORE_FILES if (model.folder.path / name).is_file()), None)
        if path is not None:
            data = read_yaml(path)
            note = str(data.get("note") or data.get("about") or "") if isinstance(data, dict) else ""
            rows.append({"model": model.name, "note": note, "tables": list(_tables(data, ()))})
    return rows


def _tables(data: Any, names: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """Every mapping of mappings of numbers becomes a table, titled by the keys that lead to it."""
    if not isinstance(data, dict):
        return
    lines = {str(key): value for key, value in data.items() if _is_line(value)}
    if lines:
        header = list(dict.fromkeys(str(key) for line in lines.values() for key in line))
        rows = [[name, *(_shown(line.get(key)) for key in header)] for name, line in lines.items()]
        yield {"caption": ", ".join(names), "header": ["", *header], "rows": rows}
    for key, value in data.items():
        if not _is_line(value):
            yield from _tables(value, (*names, str(key).replace("_", " ")))


def _is_line(value: Any) -> bool:
    return isinstance(value, dict) and any(isinstance(one, int | float) for one in value.values())


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.2f}"
    return "–" if value is None or isinstance(value, dict | list) else str(value)
