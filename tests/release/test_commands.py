"""Every step of the release, every benchmark, and every other module with a command line of its own prints its help."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

pytest.importorskip("sklearn")  # of the extra [train]

ROOT = Path(__file__).resolve().parents[2]
BENCHMARKS = sorted((ROOT / "benchmarks").glob("*.py"))
COMMANDS = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in (ROOT / "splitstrument").rglob("*.py")
    if "argparse.ArgumentParser(" in path.read_text(encoding="utf-8")
)


@pytest.fixture(autouse=True)
def asked_for_help(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["command", "--help"])
    monkeypatch.setattr(sys, "path", [*sys.path])  # benchmarks add to it


def test_every_step_of_the_release_has_a_command_line():
    steps = {f"splitstrument.release.{path.stem}" for path in (ROOT / "splitstrument" / "release").glob("[!_]*.py")}
    assert steps <= set(COMMANDS)


@pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")
@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_module(command, capsys):
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(command, run_name="__main__")
    assert ended.value.code == 0
    assert f"python -m {command}" in capsys.readouterr().out


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_help_of_a_benchmark(path, capsys):
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(path), run_name="__main__")
    assert ended.value.code == 0
    assert "usage:" in capsys.readouterr().out
