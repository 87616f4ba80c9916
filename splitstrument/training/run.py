"""From settings to a trained run folder: what ``splitstrument train`` does."""

from __future__ import annotations

from pathlib import Path

from splitstrument.errors import TrainingError
from splitstrument.files import real_path
from splitstrument.training.build import build_trainer, load_initial_weights
from splitstrument.training.checkpoint import (
    PROVENANCE_FILE,
    Position,
    changes,
    read_record,
    restore_state,
    settings_fingerprint,
)
from splitstrument.training.compute import check_compute, in_force
from splitstrument.training.data.open import open_streams
from splitstrument.training.data.stream import Streams
from splitstrument.training.data.tracks import TrackSets, load_tracks, locate, placed_from
from splitstrument.training.doctor import data_findings
from splitstrument.training.loop import Loop, act_on_findings
from splitstrument.training.own_code import check_same_code, code_of, digests, files_of
from splitstrument.training.run_folder import NoRecords, Result, RunFolder, track_names
from splitstrument.training.settings import TrainingSettings
from splitstrument.training.team import Alone, Member, Workers
from splitstrument.training.trainer import Trainer
from splitstrument.user_code import UserCode, blaming


def train(
    settings: TrainingSettings,
    folder: str | Path,
    resume: bool = False,
    recipe_folder: Path | None = None,
    quiet: bool = False,
    member: Member | None = None,
) -> Result:
    """Train as `settings` say and keep everything in `folder`.

    Parameters
    ----------
    resume
        Go on with the training in `folder`; the result is that of a training that was never stopped.
    recipe_folder
        Where the recipe lies, to find datasets by relative paths.
    member
        Which process of several this is, if they train together; the first one alone writes to `folder`.

    Raises
    ------
    SettingsError
        If the settings ask for what the backend would leave out.
    TrainingError
        If the folder is taken, or there is nothing (or another training) to resume.
    CancelledError
        On Ctrl-C, after the state was saved.
    """
    check_compute(settings.compute)
    run = RunFolder(folder) if member is None or member.index == 0 else NoRecords(folder)
    recorded = run.recorded("tracks") if resume else None
    tracks = load_tracks(settings, recipe_folder, recorded)  # before anything is written: data may be missing
    with run.locked():
        position = _resumed_position(run, settings, tracks) if resume else Position()
        code = _code(run, settings, recipe_folder, resume)
        run.prepare(placed_from(run.path, settings, recipe_folder), resume)
        run.keep_code(code, settings)
        run.write_provenance(settings, tracks, [locate(source, recipe_folder) for source in settings.datasets])
        with blaming(files_of(code, settings)):
            streams = open_streams(settings, tracks, code)
            if settings.doctor != "off" and not resume:
                act_on_findings(settings, run, data_findings(tracks, streams))
            trainer = build_trainer(settings, Workers(member) if member else Alone(), code)
            _set_weights(trainer, settings, run, resume)
            run.write_in_force(in_force(settings.compute))
            run.log(_first_line(trainer, tracks, streams, position, resume))
            songs = [track.pair for track in tracks.validation if hasattr(track, "pair")]
            with run.tracked(settings):
                return Loop(settings, run, trainer, streams, position, quiet, songs).run_all()


def _code(run: RunFolder, settings: TrainingSettings, recipe_folder: Path | None, resume: bool) -> UserCode:
    """Return the user's own functions; those of a run that goes on must be the same."""
    own = resume and recipe_folder is not None and real_path(recipe_folder) == real_path(run.path)
    code = code_of(recipe_folder, own)
    if resume:
        check_same_code(run.path, run.recorded("code") or {}, digests(code, settings))
    return code


def _set_weights(trainer: Trainer, settings: TrainingSettings, run: RunFolder, resume: bool) -> None:
    """Load the weights that the training goes on with, or starts from."""
    if resume:
        restore_state(run.path, trainer)
    elif settings.init_from:
        load_initial_weights(trainer, settings)


def _first_line(trainer: Trainer, tracks: TrackSets, streams: Streams, position: Position, resume: bool) -> str:
    together = f", {trainer.team.size} processes" if trainer.team.size > 1 else ""
    return (
        f"{'resumed at' if resume else 'started from'} step {position.step}; {len(tracks.training)} training and "
        f"{len(tracks.validation)} validation tracks, {streams.training.steps_per_epoch} steps per epoch, "
        f"{trainer.network.count_params()} parameters{together}"
    )


def _resumed_position(run: RunFolder, settings: TrainingSettings, tracks: TrackSets) -> Position:
    position, fingerprint = read_record(run.path)
    differing = changes(settings_fingerprint(settings), fingerprint)
    if differing:
        raise TrainingError(
            f"{run.path} was trained with another {', '.join(differing[:5])}: resume with the same settings, or train "
            "into a new folder (init_from starts from its weights)."
        )
    before, now = run.recorded("tracks"), track_names(settings, tracks)
    if before not in (None, now):
        raise TrainingError(
            f"{run.path} was trained on other tracks than its datasets hold now: bring back those that its "
            f"{PROVENANCE_FILE} lists, or train into a new folder (init_from starts from its weights)."
        )
    return position
