"""Apply a plan of cuts to a file: block by block, with a cross-fade at every join."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from splitstrument import audio
from splitstrument.audio import Audio, AudioInfo, AudioWriter, Reader, check_finite, open_audio
from splitstrument.datasets.mix import clear_pair
from splitstrument.datasets.silence import CutPlan, Ranges, SilenceSettings, plan_cuts, silent_blocks
from splitstrument.errors import DatasetError
from splitstrument.files import atomic_path
from splitstrument.pairs import Pair, check_pair, find_pairs

BLOCK = 1 << 16


def cut_blocks(path: str | Path, cuts: Ranges, fade: int) -> Iterator[Audio]:
    """Blocks of the file at `path` without `cuts`.

    Parameters
    ----------
    cuts
        (n, 2) start and end in samples, in order, each longer than `fade`.
    fade
        Samples of cross-fade from the start of each cut into its end; at the file's ends it fades from and to zero.
    """
    with open_audio(path) as file:
        n_samples = audio.probe(path).n_samples
        edges = [0, *cuts.ravel().tolist(), n_samples]
        for index, (start, end) in enumerate(pairwise(edges)):
            if index % 2:
                yield _join(file, start, end, n_samples, fade)
            else:
                yield from _read(file, start, end)


def _join(file: Reader, start: int, end: int, n_samples: int, fade: int) -> Audio:
    """Join the ends of the cut from `start` to `end`."""
    weight = _ramp(fade)[:, None]
    before = next(_read(file, start, start + fade), None) if start and fade else None
    after = next(_read(file, end - fade, end), None) if end < n_samples and fade else None
    joined = np.zeros((fade, file.n_channels), np.float32)
    if before is not None:
        joined += before * (1 - weight)
    if after is not None:
        joined += after * weight
    return joined


def _ramp(n_samples: int) -> np.ndarray:
    """Raised cosine from 0 to 1."""
    return (0.5 - 0.5 * np.cos(np.pi * (np.arange(n_samples) + 0.5) / max(n_samples, 1))).astype(np.float32)


def _read(file: Reader, start: int, end: int) -> Iterator[Audio]:
    file.seek(start)
    for position in range(start, end, BLOCK):
        block = file.read(min(BLOCK, end - position))
        check_finite(block, file.path)
        yield block


def scaled_cuts(plan: CutPlan, from_hz: int, to_hz: int, n_samples: int) -> tuple[Ranges, int]:
    """The plan's cuts and fade for the same track at another rate, where it has `n_samples`."""
    cuts = np.round(plan.cuts * (to_hz / from_hz)).astype(np.int64)
    cuts[plan.cuts == plan.n_samples] = n_samples
    return np.minimum(cuts, n_samples), round(plan.fade * to_hz / from_hz)


N_BUCKETS = 10


@dataclass(frozen=True)
class SilenceReport:
    """Outcome of one track.

    Attributes
    ----------
    dropped
        Why the track has no pair in the output; empty if it has one.
    """

    track: str
    share_before: float
    share_after: float
    duration_s: float
    removed_s: float
    n_cuts: int
    dropped: str = ""
    files: tuple[Path, ...] = ()


def pairs_by_track(folder: str | Path, rates_hz: Sequence[int] = ()) -> dict[str, list[Pair]]:
    """Pairs of a dataset by track, each track's highest rate first; with `rates_hz`, only those.

    Raises
    ------
    DatasetError
        If there is no pair, or none of the rates wanted.
    """
    folder = Path(folder)
    rates = sorted(
        (path for path in folder.glob("tracks_*hz") if path.name[7:-2].isdigit()),
        key=lambda path: -int(path.name[7:-2]),
    )
    if rates_hz:
        rates = [path for path in rates if int(path.name[7:-2]) in rates_hz]
        if not rates:
            raise DatasetError(
                f"{folder} has no pairs at {' or '.join(map(str, rates_hz))} Hz: mix at that rate first."
            )
    tracks: dict[str, list[Pair]] = {}
    for rate_folder in rates or [folder]:
        for pair in find_pairs(rate_folder):
            tracks.setdefault(pair.name, []).append(pair)
    return dict(sorted(tracks.items()))


def cut_track(pairs: list[Pair], root: Path, output: Path, settings: SilenceSettings) -> SilenceReport:
    """Plan on the first pair (the highest rate); write all of them below `output` as they lie in `root`.

    Tracks that need no cut are linked or copied as they are.

    Raises
    ------
    AudioFileError, DatasetError
        If a file cannot be read or the two of a pair differ in length.
    """
    info = check_pair(pairs[0])
    plan = plan_track(pairs[0].instrument, info, settings)
    report = _report(pairs[0].name, info, plan, settings)
    files: list[Path] = []
    for pair in pairs:
        target = output / pair.instrument.parent.relative_to(root)
        clear_pair(target)
        if not report.dropped:
            files += _write_pair(pair, target, plan, info.sample_rate_hz)
    return replace(report, files=tuple(files))


def report_track(pairs: list[Pair], settings: SilenceSettings) -> SilenceReport:
    """Report what `cut_track` would do, without writing anything."""
    info = check_pair(pairs[0])
    return _report(pairs[0].name, info, plan_track(pairs[0].instrument, info, settings), settings)


def _report(
    name: str, info: AudioInfo, plan: CutPlan, settings: SilenceSettings, files: tuple[Path, ...] = ()
) -> SilenceReport:
    removed_s = plan.n_removed / info.sample_rate_hz
    dropped = _drop_reason(plan, settings)
    return SilenceReport(
        name, plan.share_before, plan.share_after, info.duration_s, removed_s, len(plan.cuts), dropped, files
    )


def plan_track(instrument: Path, info: AudioInfo, settings: SilenceSettings) -> CutPlan:
    """Plan the cuts of one file by its own level."""
    size = settings.block_samples(info.sample_rate_hz)
    blocks = audio.blocks(instrument, size * max(1, (1 << 17) // size))
    silent = silent_blocks(blocks, size, settings.threshold_dbfs)
    return plan_cuts(silent, info.n_samples, info.sample_rate_hz, settings)


def _drop_reason(plan: CutPlan, settings: SilenceSettings) -> str:
    if settings.discard_below is None or plan.share_after >= settings.discard_below:
        return ""
    return f"audible share {plan.share_after:.2f} after the cuts is below {settings.discard_below:g}"


def _write_pair(pair: Pair, folder: Path, plan: CutPlan, planned_hz: int) -> list[Path]:
    paths = [folder / pair.instrument.name, folder / pair.rest.name]
    if len(plan.cuts) == 0:
        for source, path in zip((pair.rest, pair.instrument), reversed(paths), strict=True):
            link_or_copy(source, path)
        return paths
    info = check_pair(pair)
    cuts, fade = scaled_cuts(plan, planned_hz, info.sample_rate_hz, info.n_samples)
    with contextlib.ExitStack() as stack:  # left in reverse order, so that the instrument appears last
        for source, path in zip((pair.instrument, pair.rest), paths, strict=True):
            writer = AudioWriter(path, info.sample_rate_hz, info.n_channels, info.subtype, container=info.format)
            writer = stack.enter_context(writer)
            for block in cut_blocks(source, cuts, fade):
                writer.write(block)
    return paths


def link_or_copy(source: Path, path: Path) -> None:
    """Hard link where the file system allows it, else copy; whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.unlink(missing_ok=True)
        os.link(source.resolve(), path)
    except OSError:
        with atomic_path(path) as temporary:
            shutil.copyfile(source, temporary)


def histogram(audible_shares: list[float]) -> list[int]:
    """Number of tracks whose silent share is under 10 %, 20 %, ... 100 %: the ten buckets of Appendix A."""
    silent = np.clip(1 - np.asarray(audible_shares, float), 0, 1)
    buckets = np.minimum((silent * N_BUCKETS + 1e-9).astype(int), N_BUCKETS - 1)
    return np.bincount(buckets, minlength=N_BUCKETS).tolist()


def histogram_text(before: list[int], after: list[int]) -> str:
    """Both histograms as an aligned table with bars."""
    scale = 30 / max(*before, *after, 1)
    lines = ["silent share   before  after"]
    for bucket, (old, new) in enumerate(zip(before, after, strict=True)):
        bars = f"{'#' * round(old * scale):<30} {'=' * round(new * scale)}"
        lines.append(f"{bucket * 10:3d} - {bucket * 10 + 10:3d} %  {old:7d} {new:6d}  {bars}".rstrip())
    return "\n".join(lines)
