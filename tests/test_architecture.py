"""The house as docs/architecture.md draws it: who may import whom, and what start-up may load."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "splitstrument"

BASE = {"errors", "files", "settings", "spectrogram", "audio", "provenance", "executor", "progress", "recipes", "pairs",
        "stem_set", "modelfolder", "views", "unread"}  # fmt: skip
# room -> rooms it may import, besides itself; `network.settings` and `network.chunks` are plain settings and arrays
MAY_IMPORT = {
    "errors": set(),
    "spectrogram": set(),
    "files": {"errors"},
    "yamlsize": {"errors"},
    "settings": {"errors", "yamlsize"},
    "audio": {"errors", "files"},
    "provenance": {"files"},
    "progress": set(),
    "recipes": {"errors"},
    "executor": {"errors"},
    "views": {"files", "spectrogram", "audio"},
    "unread": {"audio", "files"},
    "pairs": {"errors", "files", "audio", "unread"},
    "stem_set": {"errors", "files", "audio", "pairs", "settings"},
    "modelfolder": {"errors", "files", "settings", "network"},
    "network": {"errors", "settings", "spectrogram"},
    "stems": BASE,
    "training": BASE | {"network"},
    "separation": BASE | {"network"},
    "evaluation": BASE | {"network", "separation", "stems"},
    "cli": BASE | {"network", "stems", "training", "separation", "evaluation"},
}


def modules():
    return sorted(PACKAGE.rglob("*.py"))


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_rooms(path: Path):
    """Names of our own rooms that a file imports anywhere, functions included."""
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names] if node.module else []
        for name in names:
            parts = name.split(".")
            if parts[0] == "splitstrument" and len(parts) > 1 and parts[1] != "__version__":
                yield parts[1]
            elif parts[0] == "demonstrator":
                yield "demonstrator"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_rooms_import_only_what_the_plan_allows(path):
    room = room_of(path)
    if room.startswith("__"):  # the package itself and its `python -m` entry
        return
    allowed = MAY_IMPORT[room] | {room}
    if path.parent.name == "cli" and path.stem in ("demo", "listen", "dataset_quality"):
        allowed = allowed | {"demonstrator"}
    assert set(imported_rooms(path)) <= allowed


def test_every_room_is_in_the_plan():
    rooms = {room_of(path) for path in modules()} - {"__init__", "__main__"}
    assert rooms == set(MAY_IMPORT)


HEAVY = {"tensorflow", "keras", "librosa", "mir_eval", "scipy", "matplotlib", "web", "onnxruntime", "sklearn", "numpy"}


@pytest.mark.parametrize(
    ("statement", "allowed"),
    [
        ("import splitstrument", set()),
        ("from splitstrument.cli import cli; cli.main(['--help'], standalone_mode=False)", set()),
        ("import splitstrument.modelfolder, splitstrument.pairs", {"numpy"}),
        ("from splitstrument.separation import api", {"numpy"}),
    ],
)
def test_start_up_loads_nothing_heavy(statement, allowed):
    code = f"import sys; {statement}; print(*sorted({HEAVY!r} & set(sys.modules)), file=sys.stderr)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(run.stderr.split()) <= allowed


def test_nothing_evaluates_text():
    for path in [*modules(), *(ROOT / "demonstrator").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in ("eval", "exec"), f"{path}:{node.lineno}"
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [alias.name for alias in node.names] + [getattr(node, "module", "") or ""]
                assert "pickle" not in names, f"{path}:{node.lineno}"
