r"""Write the tables of docs/sweeps.md: every sweep in ``trainings/queues/``, from the run folders that are finished.

    python benchmarks/sweeps_report.py runs/sweeps --tracks data/stand_in_heldout --eq-from data/stand_in_corpus \
        --into docs/sweeps.md

What was scored before is read, so that it may be run again after every training. Without --into the tables are printed.
`sample_rate` is scored on ``<tracks>_16khz`` with the EQ of ``<eq-from>_16khz``, `silence_cut` on ``<tracks>_cut`` too.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from splitstrument.files import write_text
from splitstrument.reproduction import queue_report
from splitstrument.training.queue import Job, read_jobs, status_of

QUEUES = Path(__file__).resolve().parent.parent / "trainings" / "queues"
SWEEPS = (
    "middle", "learning_rate", "loss", "n_fft", "n_frames", "sample_rate", "levels", "filters", "dropout", "ratio",
    "instruments", "all_guitar", "synthesised", "silence_cut",
)  # fmt: skip
OTHER_RATE = {"sample_rate": "_16khz"}
OTHER_TRACKS = {"silence_cut": ("_cut",)}
BEGIN, END = "<!-- tables: benchmarks/sweeps_report.py -->", "<!-- end of the tables -->"


def main() -> None:
    """Score, then print or replace what stands between the marks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path)
    parser.add_argument("--tracks", type=Path, required=True)
    parser.add_argument("--eq-from", type=Path, required=True)
    parser.add_argument("--into", type=Path)
    arguments = parser.parse_args()
    text = "\n\n".join(section(name, arguments.runs, arguments.tracks, arguments.eq_from) for name in SWEEPS)
    if arguments.into is None:
        print(text)
        return
    page = arguments.into.read_text(encoding="utf-8")
    before, after = page.partition(BEGIN)[0], page.partition(END)[2]
    write_text(arguments.into, f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")


def section(name: str, runs: Path, tracks: Path, eq_from: Path) -> str:
    """Heading and tables of one sweep, and what of it has not been run."""
    jobs = read_jobs([QUEUES / f"{name}.yaml"], runs)
    suffix = OTHER_RATE.get(name, "")
    lines = [f"### {name}"]
    done = [job for job in jobs if status_of(job).state == "finished"]
    for held_out in (suffix, *OTHER_TRACKS.get(name, ())) if done else ():
        folder = tracks.with_name(tracks.name + held_out)
        lines += [f"On `{folder}`:", table(done, folder, eq_from.with_name(eq_from.name + suffix))]
    missing = [job.name for job in jobs if job not in done]
    if missing:
        lines.append(f"Not run: {', '.join(missing)}.")
    return "\n\n".join(lines)


def table(jobs: list[Job], tracks: Path, eq_from: Path) -> str:
    """The queue's own report of these trainings."""
    return queue_report.report(queue_report.score_jobs(jobs, tracks, eq_from)).strip()


if __name__ == "__main__":
    main()
