"""Statistics of a dataset at any stage: hours, silence, levels and rates, by class.

A stage is told by what lies in the folder: pairs (``tracks_<rate>hz/<track>/instrument_*``), organised tracks
(``<track>/<class>/<stem>``), or raw audio files of any layout. Every file is read once, block by block.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from splitstrument.audio import blocks, is_audio_name, probe
from splitstrument.curation.checks.levels import LevelMeter
from splitstrument.curation.checks.settings import CheckSettings
from splitstrument.datasets.index import stems_of, track_folders
from splitstrument.errors import DatasetError, missing_extra
from splitstrument.executor import run_batch
from splitstrument.files import atomic_path
from splitstrument.pairs import find_pairs

Stage = Literal["raw", "organised", "pairs"]
PERCENTILES = (5, 50, 95)


@dataclass(frozen=True)
class FileStatistics:
    """One audio file.

    Attributes
    ----------
    part
        Class of an organised stem, ``instrument`` or ``rest`` of a pair, suffix of a raw file.
    active_dbfs
        Level that nine tenths of its audible blocks stay below; None for a silent file.
    """

    track: str
    part: str
    duration_s: float
    sample_rate_hz: int
    n_channels: int
    subtype: str
    silent_share: float
    active_dbfs: float | None
    peak: float


@dataclass(frozen=True)
class DatasetStatistics:
    """All files of a stage, and what could not be read."""

    folder: Path
    stage: Stage
    files: tuple[FileStatistics, ...]
    failures: Mapping[str, str]

    @property
    def n_tracks(self) -> int:
        """Number of tracks (raw: of folders that hold audio)."""
        return len({file.track for file in self.files})

    def rows(self) -> list[dict[str, Any]]:
        """One row per part: tracks, files, hours, silence, level, peak, clipped files, rates."""
        parts: defaultdict[str, list[FileStatistics]] = defaultdict(list)
        for file in self.files:
            parts[file.part].append(file)
        return [_row(part, files) for part, files in sorted(parts.items())]

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "folder": str(self.folder),
            "stage": self.stage,
            "n_tracks": self.n_tracks,
            "parts": self.rows(),
            "failures": dict(self.failures),
            "files": [asdict(file) for file in self.files],
        }


def dataset_statistics(
    folder: str | Path, executor: Executor, sample_rate_hz: int | None = None, quiet: bool = False
) -> DatasetStatistics:
    """Measure a dataset.

    Parameters
    ----------
    sample_rate_hz
        Which ``tracks_<rate>hz`` of pairs to measure; None takes the highest.

    Raises
    ------
    DatasetError
        If there is no audio in the folder, or none of the rate that is asked for.
    """
    folder = Path(folder)
    stage = stage_of(folder)
    if sample_rate_hz is not None:
        _check_rate(folder, stage, sample_rate_hz)
    files = files_of(folder, stage, sample_rate_hz)
    batch = run_batch(measure_file, files, executor, "measuring", lambda item: str(item[2]), quiet)
    measured = tuple(sorted(batch.results.values(), key=lambda file: (file.track, file.part)))
    return DatasetStatistics(folder, stage, measured, batch.failures)


def stage_of(folder: str | Path) -> Stage:
    """Tell the stage of a dataset by its layout.

    Raises
    ------
    DatasetError
        If there is no such folder, or no audio in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DatasetError(f"There is no folder {folder}: expected a dataset.")
    audio = [path for path in folder.rglob("*") if is_audio_name(path)]
    if not audio:
        raise DatasetError(f"{folder} holds no audio file: expected a raw, organised or mixed dataset.")
    if any(path.name.startswith("instrument_") for path in audio):
        return "pairs"
    if (folder / "index.yaml").is_file() or all(len(path.relative_to(folder).parts) == 3 for path in audio):
        return "organised"
    return "raw"


def files_of(folder: Path, stage: Stage, sample_rate_hz: int | None = None) -> list[tuple[str, str, Path]]:
    """Track, part and path of every file."""
    if stage == "pairs":
        pairs = find_pairs(folder, sample_rate_hz)
        return [(pair.name, part, getattr(pair, part)) for pair in pairs for part in ("instrument", "rest")]
    if stage == "organised":
        stems = ((track.name, stems_of(track)) for track in track_folders(folder))
        return [(name, part, path) for name, classes in stems for part, paths in classes.items() for path in paths]
    paths = sorted(path for path in folder.rglob("*") if is_audio_name(path))
    return [(str(path.parent.relative_to(folder)), path.suffix.lower(), path) for path in paths]


def _check_rate(folder: Path, stage: Stage, sample_rate_hz: int) -> None:
    """Refuse a rate that `find_pairs` would replace by the nearest, which is right for training only."""
    if stage != "pairs":
        raise DatasetError(f"{folder} holds {stage} stems, which have no rate to choose: leave the rate out.")
    found = probe(find_pairs(folder, sample_rate_hz)[0].instrument).sample_rate_hz
    if found != sample_rate_hz:
        rates = sorted(path.name for path in folder.glob("tracks_*hz")) or [f"{found} Hz"]
        raise DatasetError(f"{folder} has no pairs of {sample_rate_hz} Hz: it has {', '.join(rates)}.")


def measure_file(item: tuple[str, str, Path]) -> FileStatistics:
    """Read one file through, in blocks of a second."""
    track, part, path = item
    info = probe(path)
    meter = LevelMeter(info.sample_rate_hz, CheckSettings())
    for block in blocks(path, info.sample_rate_hz):
        meter.update(block)
    return FileStatistics(
        track,
        part,
        meter.duration_s,
        info.sample_rate_hz,
        info.n_channels,
        info.subtype,
        meter.silent_share,
        meter.active_dbfs(),
        meter.peak,
    )


def _row(part: str, files: Sequence[FileStatistics]) -> dict[str, Any]:
    hours = sum(file.duration_s for file in files) / 3600
    silent = sum(file.silent_share * file.duration_s for file in files) / 3600
    levels = [file.active_dbfs for file in files if file.active_dbfs is not None]
    return {
        "part": part,
        "n_tracks": len({file.track for file in files}),
        "n_files": len(files),
        "hours": hours,
        "audible_hours": hours - silent,
        "silent_percent": 100 * silent / hours if hours else None,
        "level_dbfs": dict(zip(("p5", "p50", "p95"), map(float, np.percentile(levels, PERCENTILES)), strict=True))
        if levels
        else None,
        "n_silent": len(files) - len(levels),
        "n_full_scale": sum(file.peak >= 1 for file in files),
        "sample_rates_hz": dict(sorted(Counter(file.sample_rate_hz for file in files).items())),
        "n_channels": dict(sorted(Counter(file.n_channels for file in files).items())),
        "subtypes": dict(sorted(Counter(file.subtype for file in files).items())),
    }


def plot_statistics(statistics: DatasetStatistics, path: str | Path) -> None:
    """Draw hours (audible and silent), levels and silence of each part into one picture.

    Raises
    ------
    MissingExtraError
        Without matplotlib.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise missing_extra("A plot", "train") from None
    rows = statistics.rows()
    names = [row["part"] for row in rows]
    figure = Figure(figsize=(11, 1.6 + 0.45 * max(4, len(rows))), layout="constrained")
    hours, level, silence = figure.subplots(1, 3)
    audible = [row["audible_hours"] for row in rows]
    hours.barh(names, audible, color="#1b6ca8", label="audible")
    hours.barh(
        names, [row["hours"] - row["audible_hours"] for row in rows], left=audible, color="#c9c4bc", label="silent"
    )
    hours.set_xlabel("hours")
    hours.legend(fontsize=8)
    _boxes(level, statistics.files, names, lambda file: file.active_dbfs)
    level.set_xlabel("level when audible (dBFS, 90 % of the blocks)")
    _boxes(silence, statistics.files, names, lambda file: 100 * file.silent_share)
    silence.set_xlabel("silent share of each file (%)")
    for axes in (hours, level, silence):
        axes.invert_yaxis()
    for axes in (level, silence):
        axes.set_yticklabels([])
    figure.suptitle(f"{statistics.folder.name}: {statistics.n_tracks} tracks, {statistics.stage}", fontsize=11)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=130)


def _boxes(axes: Any, files: Iterable[FileStatistics], names: Sequence[str], value_of: Any) -> None:
    values: dict[str, list[float]] = {name: [] for name in names}
    for file in files:
        if value_of(file) is not None:
            values[file.part].append(value_of(file))
    axes.boxplot([values[name] or [np.nan] for name in names], orientation="horizontal", widths=0.6)
    axes.set_yticks(range(1, len(names) + 1), names)


def plot_histograms(before: list[int], after: list[int], path: str | Path) -> None:
    """Draw the numbers of tracks per tenth of silent share, before and after, as bars side by side."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise missing_extra("A plot", "train") from None
    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axes = figure.add_subplot()
    position = np.arange(len(before))
    for offset, counts, label, colour in ((-0.2, before, "before", "#888888"), (0.2, after, "after", "#1b6ca8")):
        axes.bar_label(axes.bar(position + offset, counts, 0.4, label=label, color=colour), fontsize=7)
    axes.set_xticks(position, [f"< {10 * bucket + 10} %" for bucket in position], fontsize=8)
    axes.set_xlabel("silent share of the instrument")
    axes.set_ylabel("tracks")
    axes.locator_params(axis="y", integer=True)
    axes.legend()
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=130)
