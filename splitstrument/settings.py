"""YAML to typed settings: safe reading, inheritance by ``base``, and errors that suggest the right key.

A settings class derives from `Settings`; `load_settings` reads a YAML file, follows its ``base`` chain, merges the
mappings key by key (lists and scalars replace), validates, and remembers which file each value came from.
"""

from __future__ import annotations

import difflib
import os
import re
import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from splitstrument.errors import SettingsError

MAX_YAML_BYTES = 8_000_000
MAX_BASES = 10
FLAG_ORIGIN = "command line"
DEFAULT_ORIGIN = "default"


class Settings(BaseModel):
    """Base of all settings: frozen, and an unknown key is an error, as is a number that is infinite or none (NaN)."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)


@dataclass(frozen=True)
class Flag:
    """How a field of settings is a flag of a command, in ``Annotated[float, Flag(...)]``.

    Attributes
    ----------
    help
        Its line in the help; ``{name}`` stands for what the command fills in.
    group
        Where it stands in the help.
    short
        A second spelling, such as ``-g``.
    seconds
        Whether it is a time, which may also be written as minutes:seconds.
    """

    help: str
    group: str
    short: str | None = None
    seconds: bool = False
    show_default: bool = True


S = TypeVar("S", bound=Settings)


@dataclass(frozen=True)
class Loaded(Generic[S]):
    """Settings with the origin of each value.

    Attributes
    ----------
    settings
        The validated settings.
    origins
        Dotted key -> file name, ``command line`` or, for keys that are absent here, the default.
    """

    settings: S
    origins: dict[str, str]

    def origin(self, key: str) -> str:
        """File that set `key` (dotted), or ``default``."""
        return self.origins.get(key, DEFAULT_ORIGIN)


def read_yaml(path: str | Path, max_bytes: int = MAX_YAML_BYTES) -> Any:
    """Read a YAML file that may be hostile.

    Raises
    ------
    SettingsError
        If the file is missing, too large, no YAML, not UTF-8, or refused by `check_events`.
    """
    path = Path(path)
    try:
        if path.stat().st_size > max_bytes:
            raise SettingsError(f"{path} is larger than {max_bytes} bytes, which no recipe of ours is: check the path.")
        return parse_yaml(path.read_text(encoding="utf-8"), str(path))
    except FileNotFoundError:
        raise SettingsError(f"There is no file {path}: check the path.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read as text ({error}): expected a UTF-8 YAML file.") from None


def parse_yaml(text: str, name: str) -> Any:
    """Parse YAML text with the safe loader, refusing repeated keys; `name` is what errors call it."""
    try:
        check_events(yaml.parse(text, Loader=_Loader), name)
        return yaml.load(text, Loader=_Loader)
    except _RepeatedKeyError as error:
        raise SettingsError(f"{name}: {error}: keep one of them.") from None
    except (yaml.YAMLError, RecursionError, *_YAML_VALUE_ERRORS) as error:
        problem = " ".join(str(error).split())[:300]
        raise SettingsError(f"{name} is not valid YAML ({problem}): mend that line.") from None


class _RepeatedKeyError(Exception):
    """A key stands twice in one mapping."""


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The safe loader, but of two values for one key it takes none."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Check the keys as they are written: afterwards those of merged mappings (``<<``) stand among them."""
        self._refuse_repeated_keys(node)
        super().flatten_mapping(node)

    def _refuse_repeated_keys(self, node: yaml.MappingNode) -> None:
        seen: dict[Any, int] = {}
        for key_node, _ in node.value:
            if isinstance(key_node, yaml.ScalarNode) and key_node.tag != "tag:yaml.org,2002:merge":
                key, line = self.construct_object(key_node), key_node.start_mark.line + 1
                if key in seen:
                    raise _RepeatedKeyError(f"key {short_repr(key)} is on line {seen[key]} and again on line {line}")
                seen[key] = line


# what the safe loader lets through for values that only look like dates or numbers, such as 2020-02-31 or !!bool x
_YAML_VALUE_ERRORS = (ValueError, ArithmeticError, LookupError, AttributeError, TypeError)


def load_settings(path: str | Path, cls: type[S], overrides: Mapping[str, Any] | None = None) -> Loaded[S]:
    """Read `path` and its bases into `cls`.

    Parameters
    ----------
    path
        A YAML file; its optional key ``base`` names another one, relative to it.
    cls
        The settings class.
    overrides
        Dotted keys and values from flags; they win.

    Raises
    ------
    SettingsError
        Unknown key (with a suggestion), wrong type or range, missing file, or a circle of bases.
    """
    data, origins = _merged(Path(path).expanduser(), ())
    return _overridden(data, origins, cls, overrides, str(path))


def settings_from_data(
    data: dict[str, Any], cls: type[S], overrides: Mapping[str, Any] | None = None, name: str = "settings"
) -> Loaded[S]:
    """As `load_settings`, from plain data that another reader has made; `name` is their origin."""
    origins: dict[str, str] = {}
    for key, value in data.items():
        _note_origins(value, origins, name, key)
    return _overridden(data, origins, cls, overrides, name)


def _overridden(
    data: dict[str, Any], origins: dict[str, str], cls: type[S], overrides: Mapping[str, Any] | None, name: str
) -> Loaded[S]:
    for key, value in (overrides or {}).items():
        _set_dotted(data, key, value)
        origins[key] = FLAG_ORIGIN
    return Loaded(validate(data, cls, name), origins)


def validate(data: Any, cls: type[S], name: str) -> S:
    """Validate plain data as `cls`; `name` is what the error message calls the data."""
    if not isinstance(data, Mapping):
        raise SettingsError(f"{name} should hold keys and values, but holds {type(data).__name__}.")
    try:
        return cls.model_validate(data)
    except ValidationError as error:
        raise SettingsError(f"{name}: {_explain(error, cls)}") from None


def _merged(path: Path, seen: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, str]]:
    if os.path.realpath(path) in seen or len(seen) > MAX_BASES:
        raise SettingsError(f"{path} is its own base, directly or through others: remove one `base:` line.")
    data = read_yaml(path)
    if not isinstance(data, dict):
        raise SettingsError(f"{path} should hold keys and values, but holds {type(data).__name__}.")
    data = home_expanded(data)
    base = data.pop("base", None)
    merged, origins = _merged(path.parent / str(base), (*seen, os.path.realpath(path))) if base else ({}, {})
    _merge(merged, data, origins, path.name, "")
    return merged, origins


def home_expanded(data: Any) -> Any:
    """Plain data with ``~/`` at the start of texts replaced by the user's home folder."""
    if isinstance(data, dict):
        return {key: home_expanded(value) for key, value in data.items()}
    if isinstance(data, list):
        return [home_expanded(value) for value in data]
    return str(Path(data).expanduser()) if isinstance(data, str) and data.startswith("~/") else data


def _merge(target: dict[str, Any], source: dict[str, Any], origins: dict[str, str], name: str, prefix: str) -> None:
    for key, value in source.items():
        dotted = f"{prefix}{key}"
        if isinstance(value, dict) and isinstance(target.get(key), dict):
            _merge(target[key], value, origins, name, f"{dotted}.")
        else:
            target[key] = value
            _note_origins(value, origins, name, dotted)


def _note_origins(value: Any, origins: dict[str, str], name: str, dotted: str) -> None:
    origins[dotted] = name
    if isinstance(value, dict):
        for key, inner in value.items():
            _note_origins(inner, origins, name, f"{dotted}.{key}")


def _set_dotted(data: dict[str, Any], dotted: str, value: Any) -> None:
    *parents, last = dotted.split(".")
    for key in parents:
        inner = data.get(key)
        if not isinstance(inner, dict):
            inner = data[key] = {}
        data = inner
    data[last] = value


def _explain(error: ValidationError, cls: type[BaseModel]) -> str:
    """One sentence for the first problem that pydantic found."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])[:120]
    if first["type"] == "extra_forbidden":
        return f"unknown key '{key}'{did_you_mean(str(first['loc'][-1]), _known_keys(cls)) or '.'}"
    if first["type"] == "missing":
        return f"the key '{key}' is missing."
    message = first["msg"].removeprefix("Value error, ")
    received = short_repr(first.get("input"))
    return f"'{key}': {message} (received {received})." if key else f"{message} (received {received})."


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``; did you mean 'guitar'?`` where one of `known` is near to `name`, else nothing."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean '{close[0]}'?" if close else ""


def short_repr(value: Any) -> str:
    """Return a received value for an error message: at most 120 characters, however large or deep it is."""
    try:
        return _short.repr(value)[:120]
    except ValueError:
        return "a number of too many digits to show"


_short = reprlib.Repr()
_short.maxlevel, _short.maxstring, _short.maxother, _short.maxlong = 3, 120, 120, 120


def _known_keys(cls: type[BaseModel], depth: int = 4) -> list[str]:
    """All field names of a settings class and of the settings classes inside it."""
    names = list(cls.model_fields)
    if depth:
        for field in cls.model_fields.values():
            for inner in _settings_classes(field.annotation):
                names += _known_keys(inner, depth - 1)
    return names


def _settings_classes(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation, *annotation.__subclasses__()]
    return [cls for part in getattr(annotation, "__args__", ()) for cls in _settings_classes(part)]


MAX_DEPTH = 100
MAX_DIGITS = 1000


def _is_number(event: yaml.ScalarEvent) -> bool:
    """Whether a scalar may be read as an integer; Python neither reads nor shows those of many digits."""
    return event.implicit[0] and re.fullmatch(r"[-+]?[0-9][0-9a-fA-FxX_:]*", event.value) is not None


def check_events(events: Iterable[yaml.Event], name: str) -> None:
    """Refuse YAML that is small on disk and huge, or endless, in memory.

    Parameters
    ----------
    events
        What the parser of PyYAML makes of the text.
    name
        What the error calls it.

    Raises
    ------
    SettingsError
        If it has an alias, is nested deeper than `MAX_DEPTH`, or has a number of more than `MAX_DIGITS` digits.
    """
    depth = 0
    for event in events:
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if isinstance(event, yaml.AliasEvent):
            raise SettingsError(
                f"{name} uses the YAML alias *{event.anchor}; aliases are not read: write the value out."
            )
        if isinstance(event, yaml.ScalarEvent) and len(event.value) > MAX_DIGITS and _is_number(event):
            raise SettingsError(f"{name} has a number of {len(event.value)} digits, which no setting needs: mend it.")
        if depth > MAX_DEPTH:
            raise SettingsError(f"{name} is nested deeper than {MAX_DEPTH} levels, which no file of ours is.")
