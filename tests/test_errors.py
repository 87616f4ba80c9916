"""Messages for users: sentences that start with a capital, a path or a value, and file errors that name a remedy."""

from __future__ import annotations

import ast
import errno
import inspect
import re
from pathlib import Path

import pytest

from splitstrument import errors
from splitstrument.errors import SplitstrumentError, file_error_text

PACKAGE = Path(errors.__file__).parent
OURS = {name for name, cls in inspect.getmembers(errors, inspect.isclass) if issubclass(cls, SplitstrumentError)}
OF_CLICK = {"UsageError", "ClickException", "BadParameter"}


def beginnings():
    """File, line and literal beginning of every message that the package gives to users."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and node.args:
                name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                first = node.args[0].left if isinstance(node.args[0], ast.BinOp) else node.args[0]
                first = first.values[0] if isinstance(first, ast.JoinedStr) and first.values else first
                if name in OURS | OF_CLICK and isinstance(first, ast.Constant) and isinstance(first.value, str):
                    yield f"{path.relative_to(PACKAGE)}:{node.lineno}", first.value


def test_messages_start_with_a_capital():
    found = list(beginnings())
    assert len(found) > 100  # the others start with a path or a value
    assert [(place, text) for place, text in found if text[:1].islower()] == []


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "A file could not be .*: the disk is full"),
        (
            OSError(errno.EROFS, "Read-only file system", "out/a.wav"),
            "out/a.wav could not be .*: the disk is read-only",
        ),
        (OSError(errno.ENOSPC, "No space", "raw.wav", None, "out.wav"), "out.wav could not be"),
        (OSError(errno.ELOOP, "Too many levels", b"a\xff"), r"a\\xff could not be .* leads to itself, remove it"),
        (OSError(errno.EIO, "Input/output error", "x"), "x could not .*: check the file, its permissions"),
        (OSError("no number"), r"A file could not be read or written \(no number\)"),
    ],
)
def test_file_errors_name_file_and_remedy(error, words):
    text = file_error_text(error)
    assert re.search(words, text) and text.endswith(".")
