"""Fetch ingredients without being root: download a package with its own tool and unpack it into a folder."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from splitstrument.corpus.catalogue import PACKAGES, REAL_SONGS, Package
from splitstrument.errors import DatasetError, MissingExtraError

TIMEOUT_S = 1800


def fetch(name: str, root: Path) -> Path:
    """Download and unpack one package of `PACKAGES` or `REAL_SONGS` below `root`; what is there already is left alone.

    Raises
    ------
    DatasetError
        If the package is unknown or cannot be downloaded.
    MissingExtraError
        If the tool of its registry is not installed.
    """
    known = PACKAGES | REAL_SONGS
    if name not in known:
        raise DatasetError(f"There is no package {name!r}: expected one of {', '.join(known)}.")
    folder = root / name.rpartition("/")[2]
    if folder.is_dir():
        return folder
    root.mkdir(parents=True, exist_ok=True)
    root = root.resolve()  # the registries' tools run inside the work folder, where a relative path leads nowhere
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=root) as work:
        unpacked = Path(work, "unpacked")
        unpacked.mkdir()
        _unpack(known[name], Path(work), unpacked)
        unpacked.chmod(0o755)
        unpacked.rename(folder)
    return folder


def _unpack(package: Package, work: Path, unpacked: Path) -> None:
    if package.registry == "apt":
        _run(["apt-get", "download", package.name], work, package.name)
        _run(["dpkg", "-x", str(next(work.glob("*.deb"))), str(unpacked)], work, package.name)
    else:
        _run(["npm", "pack", package.name], work, package.name)
        with tarfile.open(next(work.glob("*.tgz"))) as archive:
            archive.extractall(unpacked, filter="data")


def _run(command: list[str], folder: Path, name: str) -> None:
    if not shutil.which(command[0]):
        raise MissingExtraError(
            f"Fetching {name} needs {command[0]}, which is not installed: unpack the package by hand and try again."
        )
    result = subprocess.run(command, cwd=folder, capture_output=True, timeout=TIMEOUT_S)
    if result.returncode:
        problem = result.stderr.decode(errors="replace").strip()[-200:]
        raise DatasetError(f"{name} could not be fetched ({problem}): check the network and try again.")


def missing(names: list[str], root: Path) -> list[str]:
    """Those of the packages that are not below `root`."""
    return [name for name in names if not (root / name.rpartition("/")[2]).is_dir()]
