"""Work of one job: get the song, separate it, draw it. Runs in a process of its own or on a cluster.

A task is plain data, so that it can travel; the folders in it must be reachable from where it runs. Nothing here knows
of requests, the database or the queue.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demonstrator.links import FetchRequest, fetch
from splitstrument.audio import AudioInfo, open_audio, probe
from splitstrument.errors import AudioFileError, SplitstrumentError
from splitstrument.files import write_json

Report = Callable[[float, str], None]
VIEW_FILE, TITLE_KEY = "view.json", "title"
SHARE_FETCH, SHARE_DRAW = 0.25, 0.1
SAMPLE_BYTES, LATER_BYTES = 4, 3  # float32; FLAC of 24 bits, the largest that is made on request
MASK_BYTES = 8  # per sample of the song: bins over hop length, in two bytes, middle and side
SMALL_FILES_BYTES = 3_000_000
LONGEST_ARTIST = 80
PREVIEW, PREVIEW_S, PREVIEW_OF_S = "preview", 12.0, 45.0

_models: dict[tuple[str, str | None, int | None], Any] = {}


@dataclass(frozen=True)
class MixTask:
    """A mix: stems by name (files in the source's result folder), `RemixSettings` as plain data, the file's ending."""

    stems: dict[str, str]
    settings: dict[str, Any]
    format: str


@dataclass(frozen=True)
class Task:
    """One job's work.

    Attributes
    ----------
    kind
        ``separate``, ``variant`` or ``remix``.
    folder
        The job's folder; results go into ``<folder>/result``.
    song
        File of the song in the job's folder; None if it must be fetched.
    link, link_hosts, max_bytes
        What to fetch and its bounds.
    room_bytes
        What all files of the result may take.
    n_stems
        How many stems the model gives, the rest among them.
    source
        For a variant or a mix: the folder of the job whose mask or stems are used.
    strength
        In percent.
    mix
        What a mix is made of.
    """

    kind: str
    folder: str
    model: str
    song: str | None = None
    link: str | None = None
    link_hosts: tuple[str, ...] = ()
    max_bytes: int = 200_000_000
    max_seconds: float = 1200.0
    room_bytes: int = 1 << 62
    n_stems: int = 2
    source: str | None = None
    strength: int = 100
    engine: str | None = None
    threads: int | None = None
    mix: MixTask | None = None


def loaded_model(model: str, engine: str | None, threads: int | None) -> Any:
    """The model with its engine open; a process opens each only once."""
    from splitstrument.separation.pipeline import load_model

    key = (model, engine, threads)
    if key not in _models:
        _models[key] = load_model(Path(model), engine, threads)
    return _models[key]


def run_task(task: Task, report: Report) -> dict[str, Any]:
    """Do the work; `report` gets (share done, what is being done) and may raise to stop it.

    Returns
    -------
    Plain data for the result page: files by name, duration, activity, warnings, seconds it took.
    """
    started = time.monotonic()
    result_folder = Path(task.folder) / "result"
    shutil.rmtree(result_folder, ignore_errors=True)
    if task.mix is not None:
        result = _remix(task, task.mix, result_folder, report)
    elif task.kind == "variant":
        result = _reprocess(task, result_folder, report)
    else:
        result = _separate(task, result_folder, report)
    return result | {"seconds": round(time.monotonic() - started, 2)}


def _separate(task: Task, result_folder: Path, report: Report) -> dict[str, Any]:
    from splitstrument.separation.result import forget_places
    from splitstrument.separation.songs import separate_file

    song, extra, done = _song_of(task, report)
    _check_size(song, task)
    report(done, "loading the model")
    model = loaded_model(task.model, task.engine, task.threads)
    with _preview(task, song, model):
        separated = separate_file(song, result_folder, model, _options(task), progress=_between(report, done))
    forget_places(separated.sidecar, song.name)
    return _describe(separated, result_folder, report) | extra | {"song": song.name, "artist": _artist(song)}


@contextmanager
def _preview(task: Task, song: Path, model: Any) -> Iterator[None]:
    """Separate the first seconds of a long song beforehand, to be heard while the whole of it is separated."""
    from splitstrument.separation.songs import separate_file

    folder = Path(task.folder) / PREVIEW
    shutil.rmtree(folder, ignore_errors=True)
    try:
        if probe(song, PREVIEW_OF_S).duration_s >= PREVIEW_OF_S:
            options = _options(task).model_copy(update={"duration_s": PREVIEW_S, "keep_mask": False})
            with suppress(SplitstrumentError):  # which the whole song will meet again, and say so
                separate_file(song, folder, model, options)
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _artist(song: Path) -> str:
    with open_audio(song) as file:
        return file.tags.artist[:LONGEST_ARTIST]


def _reprocess(task: Task, result_folder: Path, report: Report) -> dict[str, Any]:
    from splitstrument.separation.result import forget_places
    from splitstrument.separation.songs import reprocess_file

    source = Path(task.source or "")
    song = next(source.glob("song.*"))
    _check_size(song, task)
    mask = source / "result" / "song" / "mask.zip"
    separated = reprocess_file(song, mask, result_folder, _options(task), progress=_between(report, 0.0))
    forget_places(separated.sidecar, song.name)
    return _describe(separated, result_folder, report) | {"song": song.name}


def _remix(task: Task, mix: MixTask, result_folder: Path, report: Report) -> dict[str, Any]:
    from splitstrument.mixing.remix import remix_files
    from splitstrument.mixing.remix_settings import RemixSettings
    from splitstrument.settings import validate

    stems = {name: Path(task.source or "") / "result" / path for name, path in mix.stems.items()}
    duration_s, done_s = probe(next(iter(stems.values()))).duration_s or 0.0, 0.0

    def advance(seconds: float) -> None:
        nonlocal done_s
        done_s += seconds
        report(min(1.0, done_s / max(duration_s + length_s, 1e-9)), "mixing")

    settings = validate(mix.settings, RemixSettings, "The mix")
    length_s = settings.practice.length_s(duration_s) if settings.practice else duration_s
    grown = max(1.0, length_s / max(duration_s, 1e-9))
    if (needed := grown * sum(map(mixed_bytes, stems.values()))) > task.room_bytes:
        raise AudioFileError(
            f"The mix may take {needed / 1e6:.0f} MB, more than the {task.room_bytes / 1e6:.0f} MB that are left here: "
            "try again later."
        )
    result_folder.mkdir(parents=True)
    output = result_folder / f"mix.{mix.format}"
    mixed = remix_files(stems, output, settings, advance)
    sidecar = output.with_name(f"{output.name}.json")
    record = json.loads(sidecar.read_text("utf-8"))
    record["provenance"]["command"] = None  # as in the sidecars of separations that leave this machine
    write_json(sidecar, record)
    return {
        "files": {"mix": output.name, "sidecar": sidecar.name},
        "duration_s": round(length_s, 3),
        "loudness": {"song": mixed.song.as_dict(), "mix": mixed.mix.as_dict()},
        "notes": list(mixed.notes),
        "warnings": [],
    }


def _options(task: Task) -> Any:
    from splitstrument.separation.options import MaskOptions, SeparationOptions

    mask = MaskOptions(strength=task.strength / 100)
    return SeparationOptions(mask=mask, keep_mask=task.kind == "separate")


def _song_of(task: Task, report: Report) -> tuple[Path, dict[str, Any], float]:
    """The song's file, what fetching it told, and the share of the work that this was."""
    folder = Path(task.folder)
    if task.link is None:
        return folder / str(task.song), {}, 0.0
    report(0.0, "fetching the link")
    request = FetchRequest(task.link, task.folder, task.max_bytes, task.max_seconds, task.link_hosts)
    fetched, title = fetch(request, lambda share: report(SHARE_FETCH * share, "fetching the link"))
    song = fetched.rename(folder / f"song{fetched.suffix}")
    return song, {TITLE_KEY: title}, SHARE_FETCH


def _check_size(song: Path, task: Task) -> None:
    """Refuse what is too long, or would become larger than there is room for."""
    info = probe(song, task.max_seconds)
    if info.n_samples < 1:
        raise AudioFileError("The file holds no sound: export the song again.")
    if info.duration_s > task.max_seconds:
        raise AudioFileError(
            f"The song is more than {task.max_seconds / 60:.1f} minutes long, the most that is taken here: cut it, "
            "or use `splitstrument separate` on the command line, which takes any length."
        )
    if (needed := result_bytes(info, task.n_stems)) > task.room_bytes:
        shape = f"{info.n_channels} channels, {info.sample_rate_hz} Hz, {info.duration_s:.0f} s"
        raise AudioFileError(
            f"The result of this song may take {needed / 1e6:.0f} MB ({shape}), more than the "
            f"{task.room_bytes / 1e6:.0f} MB that are left here: try again later, or with fewer channels."
        )


def result_bytes(info: AudioInfo, n_stems: int = 2) -> int:
    """Most that the result of a song may take: stems and what is made of them on request, masks, pictures, lists."""
    stems = n_stems * info.n_channels * (SAMPLE_BYTES + LATER_BYTES)
    n_samples = info.n_samples + PREVIEW_S * info.sample_rate_hz
    return round(n_samples * (stems + (n_stems - 1) * MASK_BYTES)) + n_stems * SMALL_FILES_BYTES // 2


def mixed_bytes(stem: Path) -> int:
    """Most that a stem's part of a mix takes: the mix itself, and what is written on the way, in float32."""
    info = probe(stem)
    return info.n_samples * info.n_channels * SAMPLE_BYTES + SMALL_FILES_BYTES


def _between(report: Report, first: float) -> Callable[[float, float], None]:
    """Progress of the separation as a share of the whole job."""

    def progress(done: float, total: float) -> None:
        share = done / total if total else 0.0
        report(first + (1 - first - SHARE_DRAW) * share, "separating")

    return progress


def _describe(separated: Any, folder: Path, report: Report) -> dict[str, Any]:
    """Draw the result and list its files."""
    from splitstrument import pictures
    from splitstrument.beats import find_beats
    from splitstrument.separation.result import null_text

    report(1 - SHARE_DRAW, "drawing")
    stems = {stem: Path(path) for stem, path in separated.stems.items()}
    view = pictures.draw_song(stems)
    for name, picture in view.pictures.items():
        pictures.write_png(folder / f"{name}.png", picture)
    beats, activity = find_beats(stems.values()), separated.activity
    curves = {f"{stem}_dbfs": levels for stem, levels in activity.curves().items()}
    write_json(
        folder / VIEW_FILE,
        {
            "duration_s": view.duration_s,
            "peaks": {name: [round(float(value), 4) for value in peaks] for name, peaks in view.peaks.items()},
            "beats": {
                "bpm": round(beats.bpm, 2),
                "times_s": [round(float(time), 3) for time in beats.times_s],
                "first_of_bar": beats.first_of_bar,
            },
            "activity": {"step_s": activity.step_s, **curves},
            "recognised": separated.timeline.as_dict(),
        },
    )
    audible = {stem: round(levels.audible_share, 4) for stem, levels in activity.stems.items() if stem != "rest"}
    files = stems | {"sidecar": separated.sidecar}
    return {
        "files": {name: str(path.relative_to(folder)) for name, path in files.items()},
        "stems": list(stems),
        "pictures": list(view.pictures),
        "gain": min(1.0, 1 / max(pictures.peak_of(list(stems.values())), 1e-9)),
        "duration_s": view.duration_s,
        "sample_rate_hz": view.sample_rate_hz,
        "audible": audible,
        "confidence": round(activity.confidence, 3),
        "expected": {stem: round(one.quality.sdr_db, 1) for stem, one in activity.stems.items() if one.quality},
        "recognised": separated.timeline.rows(),
        "warnings": separated.warnings,
        "null_db": null_text(separated.null_db),
    }
