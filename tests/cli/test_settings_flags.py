"""Flags that come from the fields of settings: their spelling, types, defaults and help, and what they give back."""

from __future__ import annotations

from typing import Annotated, Literal

import click
import pytest
from click.testing import CliRunner
from pydantic import Field

from splitstrument.cli.separate import separate
from splitstrument.cli.settings_flags import flags_of, from_flags
from splitstrument.errors import SettingsError
from splitstrument.separation.options import MaskOptions, SeparationOptions
from splitstrument.settings import Flag, Settings, validate


class Inner(Settings):
    """Settings inside others."""

    depth_db: Annotated[float | None, Flag("How deep.", "b")] = Field(None, le=0)


class Outer(Settings):
    """One field of every kind."""

    start_s: Annotated[float, Flag("When.", "a", seconds=True, show_default=False)] = Field(0.0, ge=0)
    words: Annotated[tuple[str, ...], Flag("Which of {known}.", "a")] = ("one", "two")
    count: Annotated[int | None, Flag("How many.", "a", short="-n")] = Field(None, ge=1)
    colour: Annotated[Literal["red", "blue"] | None, Flag("", "a")] = None
    really_so: Annotated[bool, Flag("Whether.", "a")] = False
    hidden: int = 3
    inner: Inner = Inner()


@click.command()
@flags_of(Outer, "a", known="one, two")
@flags_of(Outer, "b")
def command(**flags):
    """Print what came."""
    click.echo(repr(validate(from_flags(Outer, flags), Outer, "The options")))
    assert flags == {}


def run(*arguments):
    return CliRunner().invoke(command, arguments)


def test_without_flags_the_settings_are_the_defaults():
    assert run().output.strip() == repr(Outer())


def test_every_kind_is_read():
    arguments = ["--start", "1:30", "--words", "Two,,", "-n", "4", "--colour", "blue", "--really-so", "--depth", "-3"]
    expected = Outer(start_s=90, words=("two",), count=4, colour="blue", really_so=True, inner=Inner(depth_db=-3))
    assert run(*arguments).output.strip() == repr(expected)


def test_help_comes_from_the_fields():
    text = " ".join(run("--help").output.split())
    assert "--start TIME When. [x>=0] " in text and "--words TEXT Which of one, two. [default: one,two]" in text
    assert "-n, --count INTEGER RANGE How many. [x>=1]" in text and "--colour [red|blue]" in text
    assert "--really-so Whether." in text and "--depth FLOAT How deep." in text and "hidden" not in text


@pytest.mark.parametrize(("arguments", "error"), [
    (["--colour", "green"], "'green' is not one of 'red', 'blue'"),
    (["--count", "0"], "0 is not in the range x>=1"),
    (["--start", "1:75"], "is no time"),
])  # fmt: skip
def test_what_click_can_tell_it_tells(arguments, error):
    result = run(*arguments)
    assert result.exit_code == 2 and error in result.output


@pytest.mark.parametrize(("arguments", "error"), [
    (["--words", ","], "--words takes names with a comma between"), (["--depth", "1"], "'inner.depth_db'.*less than"),
])  # fmt: skip
def test_the_rest_is_for_the_settings(arguments, error):
    with pytest.raises(SettingsError, match=error):
        CliRunner().invoke(command, arguments, catch_exceptions=False)


def test_every_field_of_a_separation_is_a_flag_with_a_help_text():
    """So that what the Python API can do, the command line can."""
    options = {name: each for each in separate.params for name in [each.name] if isinstance(each, click.Option)}
    fields = {**MaskOptions.model_fields, **SeparationOptions.model_fields}
    fields.pop("mask")
    assert set(fields) <= set(options)
    assert [name for name in fields if not options[name].help] == ["format"]
