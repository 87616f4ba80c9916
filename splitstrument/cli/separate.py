"""``splitstrument separate`` and ``splitstrument rerun``."""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from splitstrument.cli.common import (
    dry_run_option,
    jobs_option,
    json_option,
    options,
    print_json,
    print_table,
    quiet_option,
    scheduler_option,
    terminable,
)
from splitstrument.cli.settings_flags import flags_of, from_flags
from splitstrument.errors import CancelledError, SettingsError, SplitstrumentError
from splitstrument.executor import available_cores, track_executor
from splitstrument.files import scratch_folder
from splitstrument.model_folder import DEFAULT_MODEL, ModelFolder, find_model
from splitstrument.progress import progress as show_progress
from splitstrument.separation.batch import Plan, make_plan, run_plan
from splitstrument.separation.engines import ENGINES
from splitstrument.separation.inputs import find_songs
from splitstrument.separation.options import SeparationOptions
from splitstrument.separation.outputs import OTHER_FIELDS
from splitstrument.separation.rerun import rerun_sidecar
from splitstrument.separation.result import SeparatedSong, forget_places, read_sidecar
from splitstrument.settings import validate

STANDARD_STREAM, STANDARD_INPUT = "-", Path("Standard input")

input_options = options(
    click.argument("songs", nargs=-1, required=True),
    click.option("-m", "--model", default=DEFAULT_MODEL, show_default=True, help="A shipped model or a run folder."),
    click.option("-o", "--output", default="stems", show_default=True, help="Output folder; - is standard output."),
)
existing_options = options(
    click.option("--overwrite", "existing", flag_value="overwrite", help="Replace outputs that exist."),
    click.option("--skip-existing", "existing", flag_value="skip", help="Leave out songs whose outputs exist."),
)


@click.command(
    epilog="\b\nExamples:\n"
    "  splitstrument separate song.mp3\n"
    "  splitstrument separate album/ 'live/*.flac' --model piano -o stems --jobs 2 --skip-existing\n"
    "  splitstrument separate song.wav --start 60 --duration 30 --format flac --strength 1.5\n"
    "  ffmpeg -i film.mkv -f wav - | splitstrument separate - -o - --stems rest > karaoke.wav"
)
@input_options
@flags_of(SeparationOptions, "input")
@flags_of(SeparationOptions, "output", fields=", ".join(OTHER_FIELDS))
@existing_options
@flags_of(SeparationOptions, "engine", engines=", ".join(ENGINES))
@flags_of(SeparationOptions, "mask")
@options(jobs_option, scheduler_option, dry_run_option, json_option, quiet_option)
def separate(
    songs: tuple[str, ...],
    model: str,
    output: str,
    existing: str | None,
    jobs: int,
    scheduler: str | None,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
    **flags: Any,
) -> int:
    """Take songs apart: one instrument, or several, and the rest.

    SONGS are audio files, folders, patterns, or - for standard input. Each song gives <track>/instrument.wav and
    <track>/rest.wav with its own sample rate, length, channels and sample type; together they are the song again. A
    model with several instruments gives a file for each, called by its name; --stems guitar,rest takes out the guitar
    and leaves all else in the rest.
    A sidecar <track>/separation.json says how they were made (see `splitstrument rerun`).
    """
    folder = find_model(model)
    chosen = _separation_options(flags, jobs, scheduler).resolved(folder.settings)
    with (
        _standard_input(songs) as (inputs, spooled),
        _standard_output(output, chosen, songs) as target,
        terminable(),
    ):
        found = find_songs(inputs)
        plan = make_plan(found.songs, target, folder, chosen, existing or "refuse")
        plan.errors.update(found.lost)
        if found.n_outputs and not quiet:
            click.echo(f"splitstrument: {found.n_outputs} stems of earlier separations were left out.", err=True)
        for song, sidecar in plan.stale.items():
            click.echo(
                f"splitstrument: {song} was changed since {sidecar} was written: the stems there are stale, "
                "remove them or give --overwrite.", err=True,
            )  # fmt: skip
        if dry_run:
            _print_plan(_named(plan, spooled), as_json)
            return _status(plan.errors)
        say = not as_json and output != STANDARD_STREAM
        done, errors = _run(plan, target, folder, chosen, jobs, scheduler, quiet, say, spooled)
        plan = _named(plan, spooled)
        _print_results(done, plan, plan.errors | errors, as_json, to_stream=output == STANDARD_STREAM)
    return _status(plan.errors | errors)


def _separation_options(flags: dict[str, Any], jobs: int, scheduler: str | None) -> SeparationOptions:
    """Flags -> validated options; parallel workers share the cores."""
    if flags["threads"] is None and jobs != 1 and not scheduler:
        flags["threads"] = max(1, available_cores() // (jobs or available_cores()))
    return validate(from_flags(SeparationOptions, flags), SeparationOptions, "The options")


def _run(
    plan: Plan,
    target: Path,
    folder: ModelFolder,
    chosen: SeparationOptions,
    jobs: int,
    scheduler: str | None,
    quiet: bool,
    say: bool,
    spooled: Path | None,
) -> tuple[list[SeparatedSong], dict[Path, str]]:
    """Separate what was planned; returns what was done, and the errors in doing it."""
    done: list[SeparatedSong] = []
    errors: dict[Path, str] = {}
    total = sum(planned.duration_s or 0.0 for planned in plan.songs)
    inline = jobs == 1 and not scheduler
    with (
        show_progress("Separating", total, "s", quiet or not plan.songs) as advance,
        track_executor(jobs, scheduler) as executor,
    ):
        callback = _Advance(advance) if inline else None
        for outcome in run_plan(plan, target, folder, chosen, executor, callback):
            if outcome.error is None:
                done.append(_named_song(outcome.get(), spooled))
                if say:
                    click.echo(f"{_line(done[-1])}\n  heard: {done[-1].timeline.sentence()}")
            elif isinstance(outcome.error, SplitstrumentError) and not isinstance(outcome.error, CancelledError):
                errors |= _named_errors({outcome.item.song: str(outcome.error)}, spooled)
            else:
                raise outcome.error
            if not inline:
                advance(outcome.item.duration_s or 0.0, outcome.item.song.name)
    return done, errors


class _Advance:
    """From ``progress(done_s, total_s)`` of each song to steps of one bar for all."""

    def __init__(self, advance: Any) -> None:
        self.advance, self.last = advance, 0.0

    def __call__(self, done_s: float, total_s: float) -> None:
        if done_s < self.last:
            self.last = 0.0
        self.advance(done_s - self.last)
        self.last = done_s


@contextlib.contextmanager
def _standard_input(songs: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Path | None]]:
    """Replace - by a file with what comes in on standard input; gives its path too."""
    if STANDARD_STREAM not in songs:
        yield songs, None
        return
    if sys.stdin is None or sys.stdin.isatty():
        raise SettingsError(
            "Nothing comes in on standard input: send a song there, as in `... | splitstrument separate -`."
        )
    with scratch_folder() as folder:
        spooled = Path(folder) / "stdin"
        with spooled.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        yield tuple(str(spooled) if song == STANDARD_STREAM else song for song in songs), spooled


def _named_errors(errors: dict[Path, str], spooled: Path | None) -> dict[Path, str]:
    """The same with standard input called so, whose temporary file means nothing to anybody."""
    if spooled is None:
        return errors
    named = {STANDARD_INPUT if song == spooled else song: text for song, text in errors.items()}
    return {song: text.replace(str(spooled), str(STANDARD_INPUT)) for song, text in named.items()}


def _named(plan: Plan, spooled: Path | None) -> Plan:
    songs = [replace(planned, song=STANDARD_INPUT) if planned.song == spooled else planned for planned in plan.songs]
    skipped = [STANDARD_INPUT if song == spooled else song for song in plan.skipped]
    return Plan(songs, skipped, _named_errors(plan.errors, spooled), plan.stale)


def _named_song(song: SeparatedSong, spooled: Path | None) -> SeparatedSong:
    if song.song != spooled:
        return song
    forget_places(song.sidecar, str(STANDARD_INPUT))
    warnings = [warning.replace(str(spooled), str(STANDARD_INPUT)) for warning in song.warnings]
    return replace(song, song=STANDARD_INPUT, warnings=warnings)


@contextlib.contextmanager
def _standard_output(output: str, chosen: SeparationOptions, songs: tuple[str, ...]) -> Iterator[Path]:
    """The output folder; for - one that is gone afterwards."""
    if output != STANDARD_STREAM:
        yield Path(output)
        return
    if len(chosen.stems or ()) != 1 or len(songs) != 1:
        raise SettingsError(
            "Standard output takes one stem of one song: add --stems rest, or the name of an instrument."
        )
    with scratch_folder() as folder:
        yield Path(folder)


def _print_plan(plan: Plan, as_json: bool) -> None:
    if as_json:
        songs = [{**vars(planned), "outputs": list(map(str, planned.outputs.values()))} for planned in plan.songs]
        print_json({"songs": songs, "skipped": plan.skipped, "errors": plan.errors})
        return
    firsts = [str(next(iter(planned.outputs.values()))) for planned in plan.songs]
    rows = [[str(song.song), song.duration_s, first] for song, first in zip(plan.songs, firsts, strict=True)]
    print_table(["song", "seconds", "first output"], rows, f"{len(rows)} songs would be separated")
    for song in plan.skipped:
        click.echo(f"{song}: skipped, its outputs exist.")
    _print_errors(plan.errors)


def _print_results(
    done: list[SeparatedSong], plan: Plan, errors: dict[Path, str], as_json: bool, to_stream: bool
) -> None:
    if to_stream:
        # one path: `_standard_output` has made sure of it
        for path in (path for song in done for path in song.stems.values()):
            with path.open("rb") as file:
                shutil.copyfileobj(file, sys.stdout.buffer)
    elif as_json:
        songs = [song.as_dict() for song in done]
        print_json({"songs": songs, "skipped": plan.skipped, "errors": errors})
    for song in done:
        for warning in song.warnings:
            click.echo(f"splitstrument: {song.song}: {warning}", err=True)
    _print_errors(errors)


def _line(song: SeparatedSong) -> str:
    outputs = " + ".join(map(str, song.stems.values()))
    null = "lossy format" if song.null_db is None else f"null {_null(song.null_db)}"
    return f"{song.song} -> {outputs}  ({song.subtype}, {null}, {song.speed:.1f}x real time)"


def _null(null_db: float) -> str:
    return "exact" if null_db == float("-inf") else f"{null_db:.0f} dB"


def _print_errors(errors: dict[Path, str]) -> None:
    for message in errors.values():
        click.echo(f"splitstrument: {message}", err=True)


def _status(errors: dict[Path, str]) -> int:
    return 1 if errors else 0


@click.command(
    epilog="\b\nExamples:\n"
    "  splitstrument rerun stems/song/separation.json\n"
    "  splitstrument rerun separation.json -o again --song /music/song.mp3 --model runs/guitar"
)
@click.argument("sidecar", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Keep the new outputs in this folder.")
@click.option("--overwrite", is_flag=True, help="Replace outputs that are there already.")
@click.option("--song", type=click.Path(path_type=Path), help="Where the song is now, if it was moved.")
@click.option("--model", help="Where the model is now, if it was moved.")
@options(json_option, quiet_option)
def rerun(
    sidecar: Path,
    output: Path | None,
    overwrite: bool,
    song: Path | None,
    model: str | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """Repeat a separation from its SIDECAR and compare the bytes.

    Without --output the new files are compared with the recorded hashes and thrown away. The exit status is 0 only if
    every output is the same.
    """
    audio = read_sidecar(sidecar).audio
    total = audio["n_samples"] / audio["sample_rate_hz"]
    with (
        scratch_folder() as scratch,
        terminable(),
        show_progress("Separating again", total, "s", quiet) as advance,
    ):
        result = rerun_sidecar(sidecar, output or Path(scratch), song, model, _Advance(advance), overwrite)
    if as_json:
        print_json({"same": result.same, "outputs": result.separated.as_dict() if output else None})
    else:
        for stem, same in result.same.items():
            click.echo(f"{stem}: {'the same bytes' if same else 'DIFFERENT'}")
    return 0 if all(result.same.values()) else 1
