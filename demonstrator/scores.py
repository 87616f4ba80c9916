"""Pages about the models: their cards, what they get wrong, and their scores beside the thesis's."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from demonstrator.handler import Handler
from demonstrator.sending import send_file
from splitstrument.errors import SplitstrumentError
from splitstrument.evaluation.report.text import worse
from splitstrument.recipes import recipes_folder
from splitstrument.settings import read_yaml
from splitstrument.tables import number

SCORE_FILES = ("evaluation*.yaml", "evaluations/*.yaml", "scores.yaml")
MEASURES = {"sdr": "SDR", "sir": "SIR", "sar": "SAR", "si_sdr": "SI-SDR"}
SYSTEMS = {"estimate": "this model"}
BASES = {"mixture": "the song as it is", "eq": "the fixed equalizer"}
MAX_BYTES = 20_000_000


class Models(Handler):
    """The models on offer with their cards."""

    def GET(self) -> bytes:
        return self.kept_page(
            "models", "Models", lambda: [[(model, model.card) for model in self.site.models.values()]]
        )


class ModelSound(Handler):
    """A sound that a model lists among its failures, and no other file."""

    def GET(self, name: str, file: str) -> Iterator[bytes]:
        model = self.site.models.get(name)
        sounds = {path.name: path for failure in (model.failures if model else ()) for path in failure.sounds.values()}
        if file not in sounds:
            raise self.refuse("404 Not Found", "There is no such sound.")
        return send_file(sounds[file], cache="public, max-age=600")


class Scores(Handler):
    """Published numbers beside ours."""

    def GET(self) -> bytes:
        models = self.site.models.values()
        return self.kept_page("scores", "Scores", lambda: [published(), measured(models)], lambda: score_files(models))


def score_files(models: Iterable[Any]) -> list[Path]:
    """The files that the scores are read from."""
    beside = [path for model in models for pattern in SCORE_FILES for path in model.folder.path.glob(pattern)]
    return sorted([*recipes_folder("trainings").glob("*.yaml"), *beside])


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
    """Tables of what lies beside each model: evaluations as `splitstrument evaluate` writes them, and score files."""
    rows = []
    for model in models:
        found = [(path, _read(path)) for pattern in SCORE_FILES for path in sorted(model.folder.path.glob(pattern))]
        tables = [table for path, data in found for table in _tables_of(path.stem, data)]
        if tables:
            notes = [str(data["note"]) for _, data in found if isinstance(data, dict) and "note" in data]
            rows.append({"model": model.name, "note": " ".join(notes), "tables": tables})
    return rows


def _read(path: Path) -> Any:
    try:
        return read_yaml(path, MAX_BYTES)
    except SplitstrumentError:  # a page must not fail for a file that somebody is writing
        return None


def _tables_of(name: str, data: Any) -> Iterator[dict[str, Any]]:
    if isinstance(data, dict) and {"summary", "systems"} <= data.keys():
        return _evaluation_tables(data)
    return _tables(data, () if name == "scores" else (name,))


def _evaluation_tables(record: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Medians of an evaluation: a table for the instrument and one for the rest, every baseline beside the model."""
    about = record.get("measured_on")
    where = str(about.get("name", "unnamed data")) if isinstance(about, dict) else "unnamed data"
    where += f" ({record['stem']})" if "stem" in record else ""
    for source in ("instrument", "rest"):
        rows = []
        for system, sources in record["summary"].items():
            values = [(sources.get(source, {}).get(measure) or {}).get("median") for measure in MEASURES]
            rows.append([SYSTEMS.get(system, record["systems"].get(system, system)), *map(_shown, values)])
        caption = f"{where}: {source}, medians of {len(record.get('tracks', ()))} tracks{_gains(record, source)}"
        yield {"caption": caption, "header": ["", *MEASURES.values()], "rows": rows}


def _gains(record: dict[str, Any], source: str) -> str:
    """What this model gains over the song as it is and over a fixed equalizer, and on how many songs it loses."""
    parts = []
    for base, name in BASES.items():
        gain = record.get("improvement", {}).get(base, {}).get(source, {}).get("si_sdr", {})
        if gain.get("n"):
            median, lost = number(gain["median_difference"], signed=True, digits=1), worse(gain)
            parts.append(f"SI-SDR {median} over {name} at the median, worse on {lost}")
    return "".join(f"; {part}" for part in parts)


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
