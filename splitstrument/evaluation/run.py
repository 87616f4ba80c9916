"""Evaluations of whole folders: of a model that separates now, or of estimates that lie in files.

Both end in a folder with ``evaluation.yaml``, ``evaluation.csv``, ``evaluation.txt``, a record per track (by which a
killed evaluation resumes) and excerpts. Tracks in stems (`splitstrument.evaluation.stems`) give one such folder for
each stem: every stem against all others.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from splitstrument.audio import probe
from splitstrument.errors import DatasetError
from splitstrument.evaluation.eq_fit import fit_eq
from splitstrument.evaluation.jobs import FileEstimates, ModelEstimates
from splitstrument.evaluation.matching import OUR_NAMES, expected, find_references, find_stems, match
from splitstrument.evaluation.metrics.registry import SOURCES
from splitstrument.evaluation.schema import Record
from splitstrument.evaluation.selection import choose_stem_tracks, choose_tracks, seen_in_training
from splitstrument.evaluation.stems import find_stem_tracks, fitting_pairs, scorable_stems, stem_pairs
from splitstrument.evaluation.task import EvaluationSettings, Task, Workers, describe_data, run_tasks
from splitstrument.model_folder import ModelFolder, find_model
from splitstrument.pairs import Pair, find_pairs
from splitstrument.separation.options import REST, SeparationOptions, chosen_stems
from splitstrument.stem_set import STEMS

__all__ = ["EvaluationSettings", "Workers", "describe_data", "evaluate_model", "evaluate_model_stems", "fit_eq",
           "score_files", "score_stems"]  # fmt: skip
DEFAULT_N_FFT = 2048


def evaluate_model(
    model: str,
    tracks: Path,
    folder: Path,
    settings: EvaluationSettings | None = None,
    eq_from: Path | None = None,
    options: SeparationOptions | None = None,
    names: Sequence[str] = (),
    split: str | None = None,
    workers: Workers | None = None,
    stem: str | None = None,
) -> Record:
    """Separate and score every pair below `tracks`.

    Parameters
    ----------
    model
        Name of a shipped model, or path of a model or run folder.
    folder
        Where the results go; an earlier evaluation there is continued.
    eq_from
        Pairs that the fixed EQ is fitted on; a song that is being evaluated is left out of its own EQ.
    names, split
        Which tracks (`choose_tracks`).
    stem
        Which instrument of a model of several the pairs are of; its target unless given.

    Raises
    ------
    DatasetError, ModelError, SettingsError
        Before any work. A track that fails is named in the record, and the others go on.
    """
    workers, found = workers or Workers(), find_model(model)
    task = _model_task(found, tracks, folder, settings, eq_from, options, split)
    rate = found.settings.spectrogram.sample_rate_hz
    pairs = choose_tracks(find_pairs(tracks, rate, halves=True), Path(tracks), split, names)
    fitted_on = find_pairs(eq_from, rate) if eq_from else []
    return run_tasks({"": _planned(task, found, stem, pairs, fitted_on, workers)}, workers)[""]


def evaluate_model_stems(
    model: str,
    tracks: Path,
    folder: Path,
    settings: EvaluationSettings | None = None,
    eq_from: Path | None = None,
    options: SeparationOptions | None = None,
    names: Sequence[str] = (),
    split: str | None = None,
    workers: Workers | None = None,
    stem: str | None = None,
) -> dict[str, Record]:
    """Separate every track in stems below `tracks` once, and score each instrument that model and tracks have.

    Parameters are those of `evaluate_model`; `eq_from` is a folder of stems, too, and `stem` leaves but one.

    Returns
    -------
    records
        By stem; the results of each are in a folder of its name below `folder`.

    Raises
    ------
    DatasetError, ModelError, SettingsError
        Before any work: among others, if model and tracks have no instrument in common.
    """
    workers, found = workers or Workers(), find_model(model)
    task = _model_task(found, tracks, folder, settings, eq_from, options, split)
    chosen = choose_stem_tracks(find_stem_tracks(Path(tracks)), Path(tracks), split, names)
    wanted = [_stem_name(found, stem)[1]] if stem else found.settings.names
    stems = scorable_stems(chosen, wanted)
    if not stems:
        raise DatasetError(
            f"{tracks} has no track with {' or '.join(wanted)} and anything else: it has "
            f"{_some(sorted({name for track in chosen for name in track.known}))}."
        )
    fitted_on = fitting_pairs(eq_from, stems)
    tasks = {name: _planned(task, found, name, stem_pairs(chosen, name), fitted_on[name], workers) for name in stems}
    return run_tasks({name: _of_stem(each, name) for name, each in tasks.items()}, workers)


def score_files(
    references: Path,
    estimates: Path,
    folder: Path,
    settings: EvaluationSettings | None = None,
    eq_from: Path | None = None,
    workers: Workers | None = None,
    name: str | None = None,
    names: Mapping[str, str] = OUR_NAMES,
) -> Record:
    """Score estimates that any tool has made, matched to the references by the paths of their folders (`match`).

    Parameters
    ----------
    names
        Source -> what the tool calls its files.
    """
    workers, task = workers or Workers(), _score_task(references, estimates, folder, settings, eq_from, name)
    pairs = find_references(references)
    theirs = find_stems(estimates, names)
    if not theirs:
        raise DatasetError(f"{estimates} holds no estimates: {expected(names)}.")
    matched = match(pairs, references, theirs, estimates)
    _check_matched(matched, pairs, theirs, references, estimates)
    stems = {pair: theirs[folder] for pair, folder in matched.items()}
    plan = {
        pair: FileEstimates(stems.get(pair, {}).get("instrument"), stems.get(pair, {}).get("rest")) for pair in pairs
    }
    fitted_on = find_references(eq_from) if eq_from else []
    unmatched = _paths(set(theirs) - set(matched.values()), estimates)
    return run_tasks({"": _with_files(task, plan, fitted_on, unmatched, workers)}, workers)[""]


def score_stems(
    references: Path,
    estimates: Path,
    folder: Path,
    settings: EvaluationSettings | None = None,
    eq_from: Path | None = None,
    workers: Workers | None = None,
    name: str | None = None,
) -> dict[str, Record]:
    """Score estimates in stems: each stem of which both sides have a file, apart from the rest.

    The estimate of what is not the stem is the mixture minus it.

    Returns
    -------
    records
        By stem; the results of each are in a folder of its name below `folder`.
    """
    workers, task = workers or Workers(), _score_task(references, estimates, folder, settings, eq_from, name)
    tracks = find_stem_tracks(references)
    theirs = {track.folder: track.files for track in find_stem_tracks(estimates, 1)}
    made = {stem for files in theirs.values() for stem in files}
    known = sorted({stem for track in tracks for stem in track.known} - {REST}, key=_order)
    stems = scorable_stems(tracks, [stem for stem in known if stem in made])
    if not stems:
        raise DatasetError(
            f"{estimates} ({_some(sorted(made))}) has no stem of {references} ({_some(known)}): name the files alike."
        )
    fitted_on = fitting_pairs(eq_from, stems)
    pairs = {stem: stem_pairs(tracks, stem) for stem in stems}
    matched = {stem: match(pairs[stem], references, theirs, estimates) for stem in stems}
    taken = {place for places in matched.values() for place in places.values()}
    _check_matched(taken, pairs[stems[0]], theirs, references, estimates)
    unmatched = _paths(set(theirs) - taken, estimates)
    tasks = {}
    for stem in stems:
        files = {pair: theirs[place].get(stem) for pair, place in matched[stem].items()}
        plan = {pair: FileEstimates(files.get(pair), None, SOURCES[:1]) for pair in pairs[stem]}
        planned = _with_files(task, plan, fitted_on[stem], unmatched, workers)
        tasks[stem] = _of_stem(planned, stem)
    return run_tasks(tasks, workers)


def _model_task(
    found: ModelFolder,
    tracks: Path,
    folder: Path,
    settings: EvaluationSettings | None,
    eq_from: Path | None,
    options: SeparationOptions | None,
    split: str | None,
) -> Task:
    """What is known before the tracks are."""
    settings = settings or EvaluationSettings()
    options = (options or SeparationOptions()).resolved(found.settings)  # on record, and in the tracks' keys
    n_fft = settings.n_fft or found.settings.spectrogram.n_fft
    about = {
        "kind": "evaluate",
        "target": found.settings.target,
        "model": {
            "name": found.description.name,
            "summary": found.description.summary,
            "trained_on": found.description.trained_on,
            "files": found.description.files,
        },
        "split": split or "evaluation list, or all",
    }
    return Task(found.description.name, {}, tracks, folder, settings, n_fft, None, eq_from, options, about)


def _planned(
    task: Task, found: ModelFolder, stem: str | None, pairs: list[Pair], fitted_on: list[Pair], workers: Workers
) -> Task:
    """The same with its tracks and the EQ."""
    assert task.options
    output, target = _stem_name(found, stem)
    fit = fit_eq(fitted_on, found.settings.spectrogram.sample_rate_hz, task.n_fft, workers) if fitted_on else None
    plan = dict.fromkeys(pairs, ModelEstimates(str(found.path), task.options, output))
    about = {**task.about, "target": target, "seen_in_training": seen_in_training(found.path, pairs)}
    return replace(task, plan=plan, fit=fit, about=about)


def _score_task(
    references: Path,
    estimates: Path,
    folder: Path,
    settings: EvaluationSettings | None,
    eq_from: Path | None,
    name: str | None,
) -> Task:
    settings = settings or EvaluationSettings()
    n_fft = settings.n_fft or DEFAULT_N_FFT
    return Task(name or estimates.name, {}, references, folder, settings, n_fft, None, eq_from)


def _with_files(
    task: Task, plan: dict[Pair, FileEstimates], fitted_on: list[Pair], unmatched: list[str], workers: Workers
) -> Task:
    rate = probe(next(iter(plan)).instrument).sample_rate_hz
    fit = fit_eq(fitted_on, rate, task.n_fft, workers) if fitted_on else None
    return replace(task, plan=plan, fit=fit, about={"kind": "score", "unmatched": unmatched})


def _of_stem(task: Task, stem: str) -> Task:
    """The same in a folder of its own, whose record says which stem of the tracks it is about."""
    return replace(task, folder=task.folder / stem, about={**task.about, "stem": stem})


def _stem_name(found: ModelFolder, stem: str | None) -> tuple[str, str]:
    """What separation calls the stem of this model, and the name of its instrument.

    Raises
    ------
    SettingsError
        If the model has none of that name.
    """
    target = stem or found.settings.target
    (output,) = chosen_stems((target,), found.settings)
    return output, target


def _check_matched(
    matched: Collection[Any], pairs: list[Pair], theirs: Collection[Path], references: Path, estimates: Path
) -> None:
    if not matched:
        raise DatasetError(
            f"No track of {estimates} ({_some(sorted(folder.name for folder in theirs))}) has the name of a reference "
            f"in {references} ({_some([pair.name for pair in pairs])}): name the folders alike."
        )


def _paths(folders: set[Path], root: Path) -> list[str]:
    return sorted(str(folder.relative_to(root)) for folder in folders)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + ", ..."


def _order(stem: str) -> tuple[int, str]:
    """Sort key: the stems of stem sets in their order, then others by name."""
    return (STEMS.index(stem) if stem in STEMS else len(STEMS)), stem
