"""A package of somebody's own, as pip installs it: modules, and metadata with its entry points."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def install_package(
    folder: Path, name: str, modules: Mapping[str, str], entry_points: Mapping[str, Mapping[str, str]]
) -> None:
    """Install a package into `folder`, which stands for site-packages: put it on the path afterwards.

    Parameters
    ----------
    modules
        File name -> source.
    entry_points
        Group -> name -> ``module:object``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for file_name, source in modules.items():
        (folder / file_name).write_text(source)
    metadata = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = []
    for group, points in entry_points.items():
        lines += [f"[{group}]", *(f"{point} = {value}" for point, value in points.items())]
    (metadata / "entry_points.txt").write_text("\n".join(lines) + "\n")
