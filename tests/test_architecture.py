"""Who may import whom, and what start-up may load: docs/architecture.md as a test."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "splitstrument"
# The ground first: a room imports only rooms above it in this list. The package root stands last, since its one import
# is the Python API, loaded on first use.
ROOMS = [
    *("version", "errors", "registry", "files", "user_code", "tables", "progress", "settings", "audio"),
    *("provenance", "recipes", "executor", "streams", "spectrogram", "pictures", "segments", "beats"),
    *("unread", "loudness", "trackers"),
    *("pairs", "stem_set", "recognition", "network", "model_folder"),
    *("datasets", "curation", "corpus", "separation", "mixing", "training", "model_tools", "evaluation"),
    *("reproduction", "release", "cli", "__main__", "__init__"),
]
# what a room above the ground may import besides the ground and itself
MAY_IMPORT = {
    "recognition": set(),
    "network": set(),
    "model_folder": {"network"},
    "datasets": {"recognition"},
    "curation": {"datasets", "recognition"},
    "corpus": {"datasets", "recognition"},
    "separation": {"recognition", "network", "model_folder"},
    "mixing": {"network", "model_folder", "separation"},
    # songs validate as they will be separated
    "training": {"recognition", "network", "model_folder", "separation"},
    "model_tools": {"network", "model_folder", "separation"},
    "evaluation": {"network", "model_folder", "separation"},
}
GROUND = set(ROOMS[: ROOMS.index("recognition")])
OUR_NAME = re.compile(r"(splitstrument|demonstrator)(\.\w+)*(:\w+)?")


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def dotted(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def room_of(name: str) -> str:
    """Room of a module: `splitstrument.audio` -> ``audio``; the package itself is ``__init__``."""
    return [*name.split("."), "__init__"][1]


@cache
def known_modules() -> frozenset[str]:
    return frozenset(dotted(path) for path in modules())


@cache
def imported(path: Path) -> frozenset[str]:
    """Our modules that a file imports anywhere: in functions, by `runpy` or `importlib`, in strings that name one."""
    known = known_modules()
    found = set()
    for name in _names(ast.parse(path.read_text())):
        while name not in known and "." in name and not name.startswith("demonstrator"):
            name = name.rpartition(".")[0]  # a function or class of that module
        found.add(name)
    return frozenset(found - {dotted(path)})


def _names(tree: ast.Module) -> Iterator[str]:
    """Dotted names of ours that a module imports, or holds as a string that is nothing else (docstrings aside)."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if OUR_NAME.fullmatch(alias.name))
        elif isinstance(node, ast.ImportFrom) and node.module and OUR_NAME.fullmatch(node.module):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and OUR_NAME.fullmatch(node.value):
            module = node.value.partition(":")[0]
            # the bare name is the program's, as in "splitstrument --help"; groups of entry points are no modules
            if "." in module and module in known_modules():
                yield module
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("runpy.run_module", "importlib.import_module"):
            yield from (arg.value for arg in node.args if isinstance(arg, ast.Constant) and OUR_NAME.match(arg.value))


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_import_runs_upward(path):
    room = room_of(dotted(path))
    allowed = set(ROOMS[: ROOMS.index(room) + 1])
    if room in MAY_IMPORT:
        allowed &= GROUND | MAY_IMPORT[room] | {room}
    rooms = {room_of(name) for name in imported(path) if not name.startswith("demonstrator")}
    assert rooms <= allowed | ({"__init__"} if room == "release" else set())
    if any(name.startswith("demonstrator") for name in imported(path)):
        assert room == "cli"


def test_every_room_is_in_the_docs():
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rooms = set(re.findall(r"`(\w+)/?`", page[page.index("## Rooms") : page.index("Beside the package")]))
    assert set(ROOMS) - {"__main__", "__init__"} <= rooms


def test_every_room_is_in_the_plan():
    assert {room_of(dotted(path)) for path in modules()} == set(ROOMS)


def test_no_modules_import_each_other_in_a_circle():
    graph = {dotted(path): imported(path) for path in modules()}
    while leaves := {name for name, names in graph.items() if not names & graph.keys()}:
        graph = {name: names for name, names in graph.items() if name not in leaves}
    assert not graph, f"these import each other, or what does: {sorted(graph)}"


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("__init__.py")), ids=lambda path: path.parent.name)
def test_every_room_says_what_it_holds(path):
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    assert len(text.split()) >= 5, f"{path.parent.name}/__init__.py: a docstring that says what the room holds"


HEAVY = {"tensorflow", "keras", "librosa", "mir_eval", "scipy", "matplotlib", "web", "onnxruntime", "sklearn", "numpy"}


@pytest.mark.parametrize(
    ("statement", "allowed"),
    [
        ("import splitstrument", set()),
        ("from splitstrument.cli import cli; cli.main(['--help'], standalone_mode=False)", set()),
        ("import splitstrument.model_folder, splitstrument.pairs", {"numpy"}),
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
