"""The command line as a whole: every command explains itself, and every failure is one sentence with a status."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from splitstrument.cli import COMMANDS, cli, main
from splitstrument.cli.lazy_group import LazyGroup


def all_commands(group=cli, path=()):
    for name in group.list_commands(None):
        command = group.get_command(None, name)
        yield (*path, name)
        if isinstance(command, LazyGroup):
            yield from all_commands(command, (*path, name))


@pytest.mark.parametrize("path", list(all_commands()), ids=" ".join)
def test_help_of_every_command_has_text_and_an_example(path):
    result = CliRunner().invoke(cli, [*path, "--help"])
    assert result.exit_code == 0, result.output
    # the usage line says "cli"; the program's own name stands in examples only
    assert f"splitstrument {path[0]}" in result.output, "no example"


def test_the_table_lists_every_command_with_one_line():
    result = CliRunner().invoke(cli, ["--help"])
    for name, (_, text) in COMMANDS.items():
        assert f"  {name}" in result.output
        assert text in " ".join(result.output.split())


def test_wrong_usage_is_status_2(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["separate", "--no-such-flag"])
    assert caught.value.code == 2


def test_a_users_error_is_status_1_and_one_line(capsys, tmp_path):
    with pytest.raises(SystemExit) as caught:
        main(["info", str(tmp_path / "nothing.yaml")])
    assert caught.value.code == 1
    error = capsys.readouterr().err.strip()
    assert error.startswith("splitstrument: ") and "nothing.yaml" in error and "\n" not in error


def test_as_a_program():
    run = subprocess.run([sys.executable, "-m", "splitstrument", "--version"], capture_output=True, text=True)
    assert run.returncode == 0
    assert "splitstrument" in run.stdout


def test_json_has_no_nan():
    from splitstrument.cli.common import print_json

    runner = CliRunner()
    with runner.isolation() as (out, *_):
        print_json({"sdr": float("inf"), "list": (1.5, float("nan"))})
        text = out.getvalue().decode()
    assert json.loads(text) == {"sdr": None, "list": [1.5, None]}


def test_names_in_tables_are_no_markup(capsys):
    from splitstrument.cli.common import print_table

    names = ["a[/b] bass.wav", "[red]", "[bold]gtr.wav", ":guitar:"]
    print_table(["[red]track", "n"], [[name, 1] for name in names], "Songs of [/x]")
    printed = capsys.readouterr().out
    assert all(name in printed for name in [*names, "[red]track", "Songs of [/x]"])
