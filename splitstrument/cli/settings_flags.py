"""Flags from settings: each field that has a `Flag` becomes an option of the command line, named, typed and defaulted
by the field, so that a new one is written down once.

``gate_db`` is ``--gate``, ``keep_mask`` ``--keep-mask``, and what is on by default has a ``--no-``; fields of settings
inside the settings are flags like the others. The settings check the values; where click can say more at once (a
choice, a time), it does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Literal, get_args, get_origin

import click
from pydantic.fields import FieldInfo

from splitstrument.cli.common import Seconds, options
from splitstrument.errors import SettingsError
from splitstrument.settings import Flag, Settings

UNIT = re.compile(r"_(s|db|hz|lu|lufs|dbtp|bpm)$")


class Words(click.ParamType):
    """Words with commas between, in lower case."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Split the text; no word at all is a `SettingsError`."""
        words = [word.strip().casefold() for word in value.split(",") if word.strip()]
        if not words:
            name = param.opts[0] if param else "This option"
            raise SettingsError(f"{name} takes names with a comma between, like guitar,rest; received {value!r}.")
        return words


def flags_of(cls: type[Settings], group: str, **words: str) -> Callable[[Any], Any]:
    """The flags of one `group` of a settings class, as one decorator, in the order of its fields.

    Parameters
    ----------
    words
        What ``{name}`` in a help text stands for.
    """
    fields = ((name, field, flag) for name, field, flag, _ in _flags(cls) if flag.group == group)
    return options(*(_option(name, field, flag, words) for name, field, flag in fields))


def from_flags(cls: type[Settings], flags: dict[str, Any]) -> dict[str, Any]:
    """Plain data for `cls` from the values of its flags, which are taken out of `flags`."""
    data: dict[str, Any] = {}
    for name, _, _, inside in _flags(cls):
        (data.setdefault(inside, {}) if inside else data)[name] = flags.pop(name)
    return data


def _flags(cls: type[Settings], inside: str | None = None) -> Iterator[tuple[str, FieldInfo, Flag, str | None]]:
    """Name, field and flag of each field that has one, with the name of the settings that it lies inside."""
    for name, field in cls.model_fields.items():
        flag = next((each for each in field.metadata if isinstance(each, Flag)), None)
        if flag:
            yield name, field, flag, inside
        elif isinstance(field.annotation, type) and issubclass(field.annotation, Settings):
            yield from _flags(field.annotation, name)


def _option(name: str, field: FieldInfo, flag: Flag, words: dict[str, str]) -> Callable[[Any], Any]:
    spellings = [*([flag.short] if flag.short else []), "--" + UNIT.sub("", name).replace("_", "-"), name]
    text = (flag.help.format(**words) if words else flag.help) or None
    if field.annotation is bool and field.default:
        plain, *others = spellings
        return click.option(f"{plain}/--no-{plain[2:]}", *others, default=True, show_default=True, help=text)
    if field.annotation is bool:
        return click.option(*spellings, is_flag=True, default=field.default, help=text)
    shown = flag.show_default and field.default is not None
    default = ",".join(field.default) if isinstance(field.default, tuple) else field.default
    return click.option(*spellings, type=_type(field, flag), default=default, show_default=shown, help=text)


def _type(field: FieldInfo, flag: Flag) -> Any:
    """Return the type that click reads: the field's, None aside."""
    kinds = [kind for kind in get_args(field.annotation) if kind is not type(None)]
    kind = kinds[0] if kinds and get_origin(field.annotation) not in (Literal, tuple) else field.annotation
    lower = {name: getattr(each, name) for each in field.metadata for name in ("ge", "gt") if hasattr(each, name)}
    if flag.seconds:
        return Seconds(min=lower.get("ge", lower.get("gt")), min_open="gt" in lower)
    if get_origin(kind) is Literal:
        return click.Choice(get_args(kind))
    if get_origin(kind) is tuple:
        return Words()
    return click.IntRange(min=lower["ge"]) if kind is int and "ge" in lower else kind
