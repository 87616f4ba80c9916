"""Training recipes: reading them, placing their datasets, importing the thesis's configurations."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from splitstrument.errors import DatasetError, SettingsError
from splitstrument.files import real_path
from splitstrument.pairs import find_pairs
from splitstrument.settings import MAX_BASES, MAX_YAML_BYTES, Loaded, load_settings, parse_yaml, settings_from_data
from splitstrument.stem_set import read_set
from splitstrument.training.data_settings import DatasetSource
from splitstrument.training.settings import TrainingSettings


def load_recipe(
    recipe: Path, sets: tuple[str, ...] = (), places: tuple[str, ...] = (), epochs: int | None = None
) -> Loaded[TrainingSettings]:
    """Read a recipe (or a JSONC configuration of the thesis) with its bases, and apply what flags change."""
    overrides = dict(_assignment(text) for text in sets)
    if epochs:
        overrides["epochs"] = epochs
    if recipe.suffix in (".json", ".jsonc"):
        data = import_configuration(recipe, overrides.get("model.target"))
        loaded = settings_from_data(data, TrainingSettings, overrides, recipe.name)
    else:
        loaded = load_settings(recipe, TrainingSettings, overrides)
    return Loaded(placed(loaded.settings, places, recipe.parent), loaded.origins)


def placed(settings: TrainingSettings, places: tuple[str, ...], recipe_folder: Path | None = None) -> TrainingSettings:
    """Point datasets elsewhere by ``NAME=PATH``, second instruments by ``NAME.second=PATH``; their names stay.

    What the recipe holds out and the other data do not have need not be held out.
    """
    sources = {source.label: source for source in settings.datasets}
    seconds = {source.second.label: source.label for source in settings.datasets if source.second}
    for text in places:
        name, _, path = text.partition("=")
        if name not in (*sources, *seconds) or not path:
            known = ", ".join([*sources, *seconds])
            raise SettingsError(f"--dataset {text!r} should be NAME=PATH with a NAME of {known}.")
        moved, part = (seconds[name], "second_path") if name in seconds else (name, "path")
        sources[moved] = sources[moved].model_copy(update={"name": moved, part: path})
    for label in {seconds.get(name, name) for name in (text.partition("=")[0] for text in places)}:
        held_out = _there(sources[label], settings, recipe_folder)
        sources[label] = sources[label].model_copy(update={"exclude": held_out})
    return settings.model_copy(update={"datasets": tuple(sources.values())})


def _there(source: DatasetSource, settings: TrainingSettings, recipe_folder: Path | None) -> tuple[str, ...]:
    """Those of a dataset's held-out tracks that it has; all where it cannot be read, which is said when it is."""
    from splitstrument.training.data.tracks import locate

    names: set[str] = set()
    try:
        for part in filter(None, (source, source.second)) if source.exclude else ():
            folder = locate(part, recipe_folder)
            if settings.data.source == "stems":
                names |= set(read_set(folder).tracks)
            else:
                names |= {pair.name for pair in find_pairs(folder, settings.model.spectrogram.sample_rate_hz)}
    except DatasetError:
        return source.exclude
    return tuple(name for name in source.exclude if name in names)


def _assignment(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise SettingsError(f"--set {text!r} should be KEY=VALUE, as in --set optimizer.learning_rate=0.001.")
    return key, parse_yaml(value, f"--set {key}")


COMMENT = re.compile(r'("(?:\\.|[^"\\])*")|//[^\n]*|/\*.*?\*/', re.DOTALL)
CALL = re.compile(r"\b\w+\s*\(")
NORMALISATIONS = {"norm_max": "chunk_maximum", None: "none"}
LOSSES = {"L11_loss": "l11"}
TRANSFORMATIONS = ("train_window_predict_mask",)
TARGETS = ("guitar", "piano", "vocals", "drums", "bass")


def import_configuration(path: str | Path, target: str | None = None) -> dict[str, Any]:
    """Translate a configuration and its bases to the plain data of a recipe.

    Parameters
    ----------
    target
        The instrument; None takes it from the configuration's name.

    Raises
    ------
    SettingsError
        If the file is no JSON with comments, is its own base, lacks a key, or asks for what is not known here.
    """
    path = Path(path)
    try:
        return _recipe(_merged(path, ()), path, target)
    except (KeyError, TypeError, AttributeError) as error:
        raise SettingsError(
            f"{path} is no complete configuration of the thesis: {error} is missing or wrong."
        ) from None


def _recipe(config: dict[str, Any], path: Path, target: str | None) -> dict[str, Any]:
    collection, training = config.get("collection", {}), config.get("training", {})
    name = str(_value(collection, "name") or path.stem)
    return {
        "name": re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_").lower() or "imported",
        "summary": f"{name}; imported from {path.name}.",
        "model": {"target": target or _target(name, path), **_model(config, path)},
        "datasets": [_dataset(folder) for folder in collection.get("folders", [])],
        "validation_ratio": _value(collection, "validation_ratio", 0.2),
        "data": {
            "track_limit": _value(collection, "song_limit") or None,
            "chunks_per_track": _value(training, "limit_items_per_song") or None,
            "chunk_step": config.get("transformation", {}).get("options", {}).get("step"),
        },
        "loss": {"name": _known(LOSSES, training.get("loss_function", "L11_loss"), "loss_function", path)},
        "optimizer": {"name": training["optimizer"]["name"], "learning_rate": training["optimizer"]["lr"]},
        "batch_size": training["batch_size"],
        "epochs": training["epoch"]["count"],
        "early_stopping": _early_stopping(training),
    }


def parse_jsonc(text: str, name: str) -> Any:
    """Parse JSON with ``//`` and ``/* */`` comments; `name` is what errors call it."""
    try:
        return json.loads(COMMENT.sub(lambda match: match.group(1) or "", text))
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"{name} is not valid JSON with comments ({error}): mend that line.") from None


def _merged(path: Path, seen: tuple[Path, ...]) -> dict[str, Any]:
    if real_path(path) in seen or len(seen) > MAX_BASES:
        raise SettingsError(f"{path} is its own base, directly or through others: remove one 'base'.")
    try:
        if path.stat().st_size > MAX_YAML_BYTES:
            raise SettingsError(f"{path} is too large for a configuration: check the path.")
        data = parse_jsonc(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read ({error}): expected a configuration of the thesis.") from None
    if not isinstance(data, dict):
        raise SettingsError(f"{path} should hold keys and values, but holds {type(data).__name__}.")
    base = data.pop("base", None)
    # the published run folders name a base that lies elsewhere, but hold the merged configuration already
    beside = path.parent / Path(str(base)).name if base else None
    if beside is None or not beside.is_file():
        return data
    return _merge(_merged(beside, (*seen, real_path(path))), data)


def _merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def _model(config: dict[str, Any], path: Path) -> dict[str, Any]:
    transformation = config.get("transformation", {})
    _known(dict.fromkeys(TRANSFORMATIONS, True), transformation.get("name", TRANSFORMATIONS[0]), "transformation", path)
    options, network = transformation.get("options", {}), config["training"]["model"]["options"]
    parts = [network[part] for part in ("initial_convolutions", "hg_module", "hg_module_end")]
    dropouts, normalisations = ({part[key] for part in parts} for key in ("dropoutfactor", "batchnormalization"))
    if len(dropouts) > 1 or len(normalisations) > 1:
        raise SettingsError(f"{path} sets different dropout or batch normalization in parts of the network: use one.")
    return {
        "spectrogram": {
            "sample_rate_hz": _value(config["collection"], "sample_rate", 22050),
            "n_fft": config.get("spectrogram_generation", {}).get("fft_length", 1536),
        },
        "n_frames": options.get("size", 64),
        "normalisation": _known(NORMALISATIONS, options.get("normalizer"), "normalizer", path),
        "network": {
            "kind": "hourglass",
            "filters": network["hg_module"]["filters"],
            "levels": network["stacks"],
            "dropout": dropouts.pop(),
            "batch_normalization": normalisations.pop(),
        },
    }


def _dataset(folder: dict[str, Any]) -> dict[str, Any]:
    path = str(folder["path"]).rstrip("/")
    parts = [part for part in path.split("/") if not re.fullmatch(r"tracks_\d+hz", part)]
    return {"name": parts[-1], "path": path, "ratio": folder.get("ratio", 1)}


def _early_stopping(training: dict[str, Any]) -> dict[str, Any]:
    stopping = training.get("callbacks", {}).get("early_stopping", {"enabled": True, "patience": 20, "min_delta": 1e-5})
    return {
        "patience": stopping["patience"] if stopping.get("enabled") else None,
        "min_delta": stopping.get("min_delta", 0),
    }


def _target(name: str, path: Path) -> str:
    for target in TARGETS:
        if target in name.lower() or target in path.stem.lower():
            return target
    raise SettingsError(f"{path} does not say what it extracts: add --set model.target=NAME.")


def _value(section: dict[str, Any], key: str, default: Any = None) -> Any:
    """A value, or the default where it is absent or a call that the thesis would have evaluated."""
    value = section.get(key, default)
    return default if isinstance(value, str) and CALL.search(value) else value


def _known(table: dict[Any, Any], value: Any, what: str, path: Path) -> Any:
    if value not in table:
        raise SettingsError(
            f"{path}: the {what} {value!r} is not known here: choose one of {', '.join(map(str, table))}."
        )
    return table[value]
