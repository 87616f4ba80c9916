"""Provenance of a file: enough to make it again, and nothing private (no environment, no user or host names)."""

from __future__ import annotations

import datetime
import platform
import subprocess
import sys
from collections.abc import Iterable
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

from splitstrument.files import sha256_of
from splitstrument.version import __version__

PACKAGES = (
    *("numpy", "soundfile", "soxr", "pydantic", "onnxruntime", "librosa"),
    *("keras", "tensorflow", "tensorflow-cpu", "jax", "jaxlib", "torch"),
)


def provenance(settings: Any = None, inputs: Iterable[str | Path] = (), seed: int | None = None) -> dict[str, Any]:
    """Collect the record that lies beside every model, output and report.

    Parameters
    ----------
    settings
        Resolved settings as plain data.
    inputs
        Files that went in; each is listed with its SHA-256.
    seed
        The seed of every random draw, if there was one.
    """
    return {
        "splitstrument": __version__,
        "commit": source_commit(),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "packages": package_versions(),
        "command": ["splitstrument", *sys.argv[1:]] if "splitstrument" in Path(sys.argv[0]).name else None,
        "created_utc": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "seed": seed,
        "settings": settings,
        "inputs": {Path(path).name: sha256_of(path) for path in inputs},
    }


def package_versions() -> dict[str, str]:
    """Installed versions of the packages that influence results."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


@lru_cache(maxsize=1)
def source_commit() -> str | None:
    """Commit of the checkout that the package runs from, with ``+changes`` if it differs; None when installed."""
    folder = Path(__file__).resolve().parent.parent
    if not (folder / ".git").exists():
        return None
    try:
        run = lambda *args: subprocess.run(  # noqa: E731
            ["git", "-C", str(folder), *args], capture_output=True, text=True, timeout=10, check=True
        ).stdout.strip()
        return run("rev-parse", "HEAD") + ("+changes" if run("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return None
