"""Scores of a queue's trainings on held-out tracks, beside what was published: never in one column."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from splitstrument.datasets.silence_cut import link_or_copy
from splitstrument.errors import DatasetError
from splitstrument.evaluation.record import EVALUATION_FILE, read_evaluation
from splitstrument.evaluation.run import EvaluationSettings, evaluate_model
from splitstrument.evaluation.schema import ESTIMATE, Record
from splitstrument.model_folder import copy_code, read_model_folder, write_model_folder
from splitstrument.separation.options import SeparationOptions
from splitstrument.settings import load_settings
from splitstrument.tables import markdown
from splitstrument.training.queue import Job, Status, status_of
from splitstrument.training.run_folder import BEST_FILE, LAST_FILE, SETTINGS_FILE
from splitstrument.training.settings import TrainingSettings

PASS_THROUGH_DB = 0.5
REFERENCE_SYSTEMS = {"mixture": "mixture", "eq": "fixed EQ", "irm": "ideal ratio mask"}
PUBLISHED_HEADER = ("published, on the thesis's music: SDR instrument / rest",)
HEADER = (
    "training",
    "SDR instrument / rest",
    "SI-SDR instrument",
    "over the mixture",
    "track by track",
    "over the fixed EQ",
    "verdict",
    "parameters",
    "steps",
    "CPU s an epoch",
    "CPU s a minute of audio",
)


@dataclass(frozen=True)
class Scored:
    """A finished training with its evaluation; `references` has the baselines of its target."""

    job: Job
    status: Status
    settings: TrainingSettings
    parameters: int
    record: Record
    references: Record


def score_jobs(jobs: Sequence[Job], tracks: Path, eq_from: Path, weights: str = LAST_FILE) -> list[Scored]:
    """Score every finished training on ``tracks/<target>``; what was scored before is read.

    Parameters
    ----------
    eq_from
        The fixed EQ is fitted on ``eq_from/<target>``.
    weights
        Which weights; the thesis evaluated the last ones.
    """
    finished = [job for job in jobs if status_of(job).state == "finished"]
    if not finished:
        raise DatasetError("None of these trainings has finished: there is nothing to report.")
    references: dict[str, Record] = {}
    scored = []
    for job in finished:
        settings = load_settings(job.folder / SETTINGS_FILE, TrainingSettings).settings
        target = settings.model.target
        model = model_of(job.folder, weights)
        if target not in references:
            folder = job.folder.parent / "references" / f"{tracks.name}_{target}"
            references[target] = _evaluate(model, tracks / target, folder, tuple(REFERENCE_SYSTEMS), eq_from / target)
        record = _evaluate(model, tracks / target, model / "scores" / tracks.name, ())
        scored.append(Scored(job, status_of(job), settings, _parameters(job.folder), record, references[target]))
    return scored


def model_of(run: Path, weights: str) -> Path:
    """A model folder with just these weights of a run."""
    if weights == BEST_FILE:
        return run
    folder = run / "evaluation" / weights.partition(".")[0]
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / weights).is_file():
        link_or_copy(run / weights, folder / weights)
        model = read_model_folder(run)
        copy_code(model, folder)
        write_model_folder(folder, model.description, [weights])
    return folder


def median(record: Record, system: str, source: str, measure: str) -> float | None:
    """Median over the tracks where the measure is defined."""
    values = [track["scores"][system][source][measure] for track in record["tracks"]]
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def report(scored: Sequence[Scored]) -> str:
    """The Markdown tables: baselines of each target, and a row per training."""
    with_published = any(one.settings.published for one in scored)
    prefix = "stand-in: " if any("stand-in" in one.settings.name for one in scored) else ""
    header = (HEADER[0], *(PUBLISHED_HEADER if with_published else ()), *(prefix + name for name in HEADER[1:]))
    rows = [_row(one, with_published) for one in scored]
    lines = [reference_table(scored), markdown(header, rows).rstrip(), *seed_table(scored)]
    return "\n".join(lines) + "\n"


def seed_table(scored: Sequence[Scored]) -> list[str]:
    """Mean and spread of the scores over the seeds of each training, as one table; none where there are no seeds."""
    groups: dict[str, dict[Any, Scored]] = {}
    for one in scored:
        if "seed" in one.job.changes:
            groups.setdefault(one.job.seedless, {})[one.job.changes["seed"]] = one
    rows = []
    for name, members in groups.items():
        scores = [median(one.record, ESTIMATE, "instrument", "si_sdr") for one in members.values()]
        known = [score for score in scores if score is not None]
        if len(known) > 1:
            spread = f"{statistics.stdev(known):.2f}"
            rows.append([name, len(known), _db(statistics.mean(known)), spread, _db(min(known)), _db(max(known))])
    header = ("over seeds", "seeds", "SI-SDR instrument, mean", "standard deviation", "lowest", "highest")
    return ["\n" + markdown(header, rows).rstrip()] if rows else []


def reference_table(scored: Sequence[Scored]) -> str:
    """Medians of the baselines and of the ceiling on the same tracks."""
    rows = []
    for target, record in {one.settings.model.target: one.references for one in scored}.items():
        for system, name in REFERENCE_SYSTEMS.items():
            sdr = [median(record, system, source, "sdr") for source in ("instrument", "rest")]
            rows.append([target, name, _pair(sdr), _db(median(record, system, "instrument", "si_sdr"))])
    return markdown(("target", "system", "SDR instrument / rest", "SI-SDR instrument"), rows)


def gains(one: Scored) -> tuple[float, float]:
    """SI-SDR of the instrument over the mixture and over the fixed EQ, between medians."""
    score = median(one.record, ESTIMATE, "instrument", "si_sdr")
    base, eq = (median(one.references, system, "instrument", "si_sdr") for system in ("mixture", "eq"))
    if score is None or base is None or eq is None:
        return float("nan"), float("nan")
    return score - base, score - eq


def paired_gain(one: Scored) -> float | None:
    """Median over the tracks of each one's gain over its own mixture: steadier than the difference of two medians."""
    base = {track["track"]: track["scores"]["mixture"]["instrument"]["si_sdr"] for track in one.references["tracks"]}
    pairs = [(t["scores"][ESTIMATE]["instrument"]["si_sdr"], base[t["track"]]) for t in one.record["tracks"]]
    known = [score - mixture for score, mixture in pairs if score is not None and mixture is not None]
    return statistics.median(known) if known else None


def verdict(over_mixture: float, over_eq: float) -> str:
    """Return the meaning of a score in two words."""
    if over_eq > 0:
        return "above the EQ"
    if abs(over_mixture) < PASS_THROUGH_DB:
        return "as the mixture"
    return "below the EQ" if over_mixture > 0 else "below the mixture"


def _row(one: Scored, with_published: bool) -> list[Any]:
    sdr = [median(one.record, ESTIMATE, source, "sdr") for source in ("instrument", "rest")]
    over_mixture, over_eq = gains(one)
    paired = paired_gain(one)
    published = one.settings.published
    printed = [f"{published.instrument.sdr} / {published.rest.sdr}" if published else ""] if with_published else []
    return [
        one.job.name,
        *printed,
        _pair(sdr),
        _db(median(one.record, ESTIMATE, "instrument", "si_sdr")),
        f"{over_mixture:+.2f}",
        "–" if paired is None else f"{paired:+.2f}",
        f"{over_eq:+.2f}",
        verdict(over_mixture, over_eq),
        f"{one.parameters:,}",
        one.status.steps,
        _seconds(one.status.cpu_s, one.status.epochs, 1),
        _seconds(*_separation(one.record), 2),
    ]


def _separation(record: Record) -> tuple[float | None, float]:
    """CPU seconds of separating all tracks but the first, which builds the network's graph, and minutes of them."""
    tracks = record["tracks"][1:] or record["tracks"]
    seconds = [track.get("separation_cpu_s") for track in tracks]
    known = [value for value in seconds if value is not None]
    whole = sum(known) if len(known) == len(seconds) else None
    return whole, sum(track["seconds"] for track in tracks) / 60


def _seconds(total: float | None, units: float, digits: int) -> str:
    return "–" if total is None else f"{total / max(units, 1e-9):.{digits}f}"


def _evaluate(model: Path, tracks: Path, folder: Path, systems: tuple[str, ...], eq_from: Path | None = None) -> Record:
    if (folder / EVALUATION_FILE).is_file():
        return read_evaluation(folder)
    settings = EvaluationSettings(
        baselines=tuple(name for name in systems if name != "irm"),
        ceilings=tuple(name for name in systems if name == "irm"),
        framewise=False,
        excerpts=False,
    )
    return evaluate_model(str(model), tracks, folder, settings, eq_from, SeparationOptions(engine="keras"))


def _parameters(run: Path) -> int:
    from splitstrument.training.describe import describe_model

    return describe_model(load_settings(run / SETTINGS_FILE, TrainingSettings).settings.model)["trainable_parameters"]


def _pair(values: Sequence[float | None]) -> str:
    return " / ".join(map(_db, values))


def _db(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
