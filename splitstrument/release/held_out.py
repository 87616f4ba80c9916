"""Scores of models on every held-out set, beside baselines and ceilings, and what they do at the limits.

    python -m splitstrument.release.held_out  # the shipped models, everything: `make scores`
    python -m splitstrument.release.held_out --models guitar --sets sample
    python -m splitstrument.release.held_out --models runs/quickstart=guitar --sets rendered real -o results/scores
    python -m splitstrument.release.held_out --models runs/band=guitar runs/band=piano  # of several instruments

Sets, none of which any training, calibration or choice has seen:

  rendered  songs, grooves and a bank of sounds (Sonivox) of their own: data/corpus/dev/heldout/test/<target>
  real      the four Frets on Fire songs (guitar only): data/frets_on_fire
  sample    the excerpts that ship with the project: datasets/sample

The fixed EQ is fitted on training songs of the corpus, never on a held-out one. The evaluation of a set goes on where
it was interrupted. Writes scores.json and scores.md.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import splitstrument
from splitstrument import audio
from splitstrument.evaluation.metrics.si_sdr import level_db
from splitstrument.evaluation.record import values_of
from splitstrument.evaluation.run import EvaluationSettings, Workers, evaluate_model
from splitstrument.evaluation.schema import ESTIMATE, Record, statistic
from splitstrument.evaluation.statistics import share_of_distance
from splitstrument.model_folder import find_model
from splitstrument.pairs import find_pairs
from splitstrument.release import precision
from splitstrument.separation.options import INSTRUMENT, SeparationOptions
from splitstrument.tables import markdown, number, percent

SETS = {
    "rendered": "data/corpus/dev/heldout/test/{target}",
    "real": "data/frets_on_fire/tracks_22050hz",
    "sample": "datasets/sample/real",
}
GUITAR_ONLY = ("real", "sample")
EQ_FROM = "data/corpus_development/{target}"
THESIS_SDR = {"guitar": 0.73, "piano": -7.28}  # medians of tables 6 and 10: other data, never to be compared as equals
SILENT_DB = -200.0
SYSTEMS = ("mixture", "eq", "eq_ms", ESTIMATE, "irm_mono", "irm", "irm_ms")


@dataclass(frozen=True)
class Job:
    """One model on one set."""

    model: str
    target: str
    name: str
    folder: Path


def main() -> None:
    """Score what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["guitar", "piano"], help="shipped names, or PATH=TARGET")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument(
        "--no-limits",
        action="store_true",
        help="leave silence, solo and absent instruments, and reduced precision, out",
    )
    parser.add_argument("--gate", dest="gate_db", type=float, help="gate of `separate`; the models' own by default")
    parser.add_argument("--rest-gate", dest="rest_gate_db", type=float, help="its gate of the rest, likewise")
    parser.add_argument("-o", "--output", type=Path, default=Path("results/scores"))
    parser.add_argument("--jobs", type=int, default=1)
    arguments = parser.parse_args()
    options = SeparationOptions(gate_db=arguments.gate_db, rest_gate_db=arguments.rest_gate_db)
    rows, limits, precisions = [], [], []
    for model, target in map(_model_and_target, arguments.models):
        jobs = [Job(model, target, name, arguments.output / target / name) for name in arguments.sets]
        for job in jobs:
            if _available(job):
                rows.append(score(job, options, arguments.jobs))
        if not arguments.no_limits and (data := _limit_data(jobs)):
            limits.append({"target": target, **limits_of(model, data, options, target)})
            if not _has_several(model):
                calibrate_on = Path(EQ_FROM.format(target=target))
                precisions += [{"target": target, **row} for row in precision.compare(model, data, calibrate_on)]
    text = tables(rows, limits, precisions)
    arguments.output.mkdir(parents=True, exist_ok=True)
    (arguments.output / "scores.json").write_text(
        json.dumps({"scores": rows, "limits": limits, "precision": precisions}, indent=1)
    )
    (arguments.output / "scores.md").write_text(text)
    print(text)


def _model_and_target(text: str) -> tuple[str, str]:
    model, _, target = text.partition("=")
    return model, target or find_model(model).settings.target


def _has_several(model: str) -> bool:
    return len(find_model(model).settings.names) > 1


def _available(job: Job) -> bool:
    if job.name in GUITAR_ONLY and job.target != "guitar":
        return False
    if not Path(SETS[job.name].format(target=job.target)).is_dir():
        print(f"{job.name} is left out: there is no {SETS[job.name].format(target=job.target)}")
        return False
    return True


def score(job: Job, options: SeparationOptions, n_jobs: int) -> dict[str, Any]:
    """Evaluate one model on one set; the medians over its tracks."""
    eq_from = Path(EQ_FROM.format(target=job.target))
    record = evaluate_model(
        job.model,
        Path(SETS[job.name].format(target=job.target)),
        job.folder,
        EvaluationSettings(
            baselines=("mixture", "eq", "eq_ms"),
            ceilings=("irm", "irm_mono", "irm_ms"),
            framewise=False,
            excerpts=False,
        ),
        eq_from if eq_from.is_dir() else None,
        options,
        workers=Workers(n_jobs),
        stem=job.target if _has_several(job.model) else None,
    )
    row: dict[str, Any] = {"target": job.target, "set": job.name, "tracks": len(record["tracks"])}
    for system in SYSTEMS:
        for measure in ("si_sdr", "sdr"):
            row[f"{system}_{measure}"] = statistic(record, system, "instrument", measure)
            row[f"rest_{system}_{measure}"] = statistic(record, system, "rest", measure)
    row["gain_over_mixture"] = _per_track_gain(record, "instrument")
    row["rest_gain_over_mixture"] = _per_track_gain(record, "rest")
    row["share_from_eq"] = share_of_distance(row["estimate_si_sdr"], row["eq_si_sdr"], row["irm_si_sdr"])
    row["thesis_sdr"] = THESIS_SDR.get(job.target)
    return row


def _per_track_gain(record: Record, source: str) -> list[float]:
    """SI-SDR over the mixture's, track by track, worst first."""
    ours, base = (values_of(record["tracks"], system, source, "si_sdr") for system in (ESTIMATE, "mixture"))
    return sorted(round(a - b, 2) for a, b in zip(ours, base, strict=True) if a is not None and b is not None)


def _limit_data(jobs: list[Job]) -> Path | None:
    """Pairs whose stems make the limits: the first set there is."""
    folders = [Path(SETS[job.name].format(target=job.target)) for job in jobs if _available(job)]
    return folders[0] if folders else None


def limits_of(model: str, data: Path, options: SeparationOptions, target: str) -> dict[str, Any]:
    """Medians over the whole songs of `data`: what comes out where there is nothing to separate.

    ``solo_db``: level of the instrument against what went in, the instrument alone; ``absent_db``: level of the
    instrument against the mixture where the song has none; ``silence_db``: level of the answer to digital silence.
    """
    stem = target if _has_several(model) else INSTRUMENT
    solo: list[Any] = []
    absent: list[Any] = []
    for pair in find_pairs(data, 22050):
        for path, levels in ((pair.instrument, solo), (pair.rest, absent)):
            signal, rate_hz = audio.read(path)
            if np.mean(signal**2) > 1e-7:
                separated = splitstrument.separate(signal, rate_hz, model=model, options=options)
                levels.append(level_db(separated.stems[stem], signal))
    silence = np.zeros((22050 * 5, 2), np.float32)
    out = splitstrument.separate(silence, 22050, model=model, options=options).stems[stem]
    return {
        "solo_db": float(np.median(solo)),
        "solo_worst_db": min(solo),
        "absent_db": float(np.median(absent)),
        "absent_worst_db": max(absent),
        "silence_db": SILENT_DB if not out.any() else float(20 * np.log10(np.abs(out).max())),
    }


def tables(rows: list[dict[str, Any]], limits: list[dict[str, Any]], precisions: list[dict[str, Any]]) -> str:
    """All tables as Markdown."""
    header = ["target", "set", "tracks", "what", "mixture", "fixed EQ", "EQ mid/side", "**model**", "mask mono",
              "mask per channel", "mask mid/side", "over mixture: worst, best", "worse than mixture",
              "model SDR (v3)"]  # fmt: skip
    cells = [_cells(row, prefix) for row in rows for prefix in ("", "rest_")]
    text = "Median SI-SDR of instrument and rest, dB; masks are ideal ratio masks:\n\n" + markdown(header, cells)
    text += "\n" + "".join(_sentence(row) for row in rows)
    if limits:
        names = ["solo_db", "solo_worst_db", "absent_db", "absent_worst_db", "silence_db"]
        text += "\nAt the limits, dB:\n\n" + markdown(
            ["target", "instrument alone", "worst", "instrument absent", "worst", "silence"],
            [[row["target"], *(number(row[name]) for name in names)] for row in limits],
        )
    if precisions:
        text += "\nReduced precision, SI-SDR in dB:\n\n" + precision.table(precisions)
    return text


def _cells(row: dict[str, Any], prefix: str) -> list[str]:
    scores = [number(row[f"{prefix}{system}_si_sdr"]) for system in SYSTEMS]
    gains = row[f"{prefix}gain_over_mixture"]
    ends = f"{gains[0]:+.1f}, {gains[-1]:+.1f}" if gains else "–"
    worse = f"{sum(gain < 0 for gain in gains)} of {len(gains)}"
    what = "rest" if prefix else row["target"]
    last = number(row[f"{prefix}{ESTIMATE}_sdr"])
    return [row["target"], row["set"], str(row["tracks"]), what, *scores, ends, worse, last]


def _sentence(row: dict[str, Any]) -> str:
    """What the model closes of the way from the EQ to the mask, and the thesis's number."""
    thesis = row["thesis_sdr"]
    other = "" if thesis is None else f" The thesis's SDR, on other data: {number(thesis)} dB."
    share = percent(row["share_from_eq"])
    return f"{row['target']}, {row['set']}: {share} of the way from the fixed EQ to the ideal ratio mask.{other}\n"


if __name__ == "__main__":
    main()
