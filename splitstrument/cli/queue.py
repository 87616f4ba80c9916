"""``splitstrument queue``: several trainings one after another, without anyone watching."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from splitstrument.cli.common import dry_run_option, json_option, print_json, print_table
from splitstrument.cli.stand_in import check_scale
from splitstrument.errors import TrainingError
from splitstrument.files import write_text
from splitstrument.training.queue import Job, Status, over_seeds, read_jobs, status_of
from splitstrument.training.queue_process import run_job

EPILOG = """\b
Examples:
  splitstrument queue trainings/table_02.yaml trainings/table_03.yaml
  splitstrument queue trainings/queues/n_fft.yaml
  splitstrument queue trainings/queues/n_fft.yaml --status
  splitstrument queue trainings/queues/thesis.yaml --stand-in data/corpus_development -o runs/stand_ins
  splitstrument queue trainings/queues/thesis.yaml -o runs/stand_ins --report table.md --tracks held_out --eq-from data

A training that was interrupted goes on where it was; finished ones are left alone; failed ones are tried again only
with --retry.
"""

CommandLine = Callable[[list[str]], object]
PROGRAM = (sys.executable, "-m", __name__.partition(".")[0])


@click.command(epilog=EPILOG)
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="Folder of the run folders [default: runs/<queue>]."
)
@click.option("--status", is_flag=True, help="Only print how far each training has come.")
@click.option("--retry", is_flag=True, help="Try failed trainings again.")
@click.option(
    "--stand-in", type=click.Path(path_type=Path), metavar="CORPUS", help="Train on stand-ins, as `train --stand-in`."
)
@click.option("--scale", multiple=True, help="Of stand-ins, as `train --scale`.")
@click.option("--no-export", is_flag=True, help="Do not write model.onnx, as `train --no-export`.")
@click.option("--warm", is_flag=True, help="Import the framework once and fork the trainings: seconds less for each.")
@click.option("--report", type=click.Path(path_type=Path), help="Write scores of what has finished, as Markdown.")
@click.option("--tracks", type=click.Path(path_type=Path), help="For --report: held-out pairs in <target>/.")
@click.option("--eq-from", type=click.Path(path_type=Path), help="For --report: pairs in <target>/ to fit the EQ on.")
@dry_run_option
@json_option
def queue(
    files: tuple[Path, ...],
    output: Path | None,
    status: bool,
    retry: bool,
    stand_in: Path | None,
    scale: tuple[str, ...],
    no_export: bool,
    warm: bool,
    report: Path | None,
    tracks: Path | None,
    eq_from: Path | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Run the trainings of FILES (recipes, or queue files that list them), each in a process of its own.

    One that fails does not stop the others; the exit status is 0 only if all of them finished.
    """
    jobs = read_jobs(files, output, "-stand-in" if stand_in else "")
    extra: tuple[str, ...] = ("--no-export",) if no_export else ()
    check_scale(stand_in, scale)
    if stand_in:
        extra += ("--stand-in", str(stand_in), *(word for text in scale for word in ("--scale", text)))
    if dry_run:
        commands = [["splitstrument", *job.arguments(extra)] for job in jobs]
        if as_json:
            print_json(commands)
        else:
            click.echo("\n".join(" ".join(command) for command in commands))
        return
    if report:
        write_report(jobs, report, tracks, eq_from, as_json)
        return
    if not status:
        run_jobs(jobs, retry, extra, click.get_current_context().find_root().obj if warm else None)
    found = [status_of(job) for job in jobs]
    print_status(found, as_json)
    if not as_json:
        print_seeds(over_seeds(jobs, found))
    failed = [one.name for one in found if one.state == "failed"]
    if failed and not status:
        raise TrainingError(f"{len(failed)} of {len(jobs)} trainings failed: {', '.join(failed)}; see the table.")


def write_report(jobs: list[Job], report: Path, tracks: Path | None, eq_from: Path | None, as_json: bool) -> None:
    """Score what has finished, write the tables and print them; as JSON their file and who is in it."""
    from splitstrument.reproduction import queue_report

    if tracks is None or eq_from is None:
        raise click.UsageError("--report needs --tracks (held-out pairs) and --eq-from (pairs for the fixed EQ).")
    scored = queue_report.score_jobs(jobs, tracks, eq_from)
    waiting = [job.name for job in jobs if job.name not in {one.job.name for one in scored}]
    text = queue_report.report(scored) + (f"\nNot finished: {', '.join(waiting)}.\n" if waiting else "")
    write_text(report, text)
    if as_json:
        print_json({"report": report, "scored": [one.job.name for one in scored], "not_finished": waiting})
    else:
        click.echo(text)


def run_jobs(jobs: list[Job], retry: bool, extra: tuple[str, ...] = (), main: CommandLine | None = None) -> None:
    """Run what is not finished, in order; `main` is the command line to fork, None to start it anew."""
    for index, job in enumerate(jobs, 1):
        state = status_of(job).state
        if state == "finished" or (state in ("failed", "pruned") and not retry):
            click.echo(f"[{index}/{len(jobs)}] {job.name}: {state} before", err=True)
            continue
        click.echo(f"[{index}/{len(jobs)}] {job.name}", err=True)
        others = [other.folder for other in jobs if other.group == job.group and other is not job]
        run_job(job, PROGRAM, extra, main, others)


def print_seeds(groups: list[dict[str, Any]]) -> None:
    """Print mean and spread over seeds, where there are several."""
    if groups:
        header = ["best validation loss of", "seeds", "mean", "standard deviation", "lowest", "highest"]
        print_table(header, [list(group.values()) for group in groups])


def print_status(found: list[Status], as_json: bool) -> None:
    """Print the table, or JSON."""
    if as_json:
        print_json([vars(one) for one in found])
        return
    header = ["training", "state", "epochs", "steps", "loss", "best", "minutes", ""]
    rows = [[s.name, s.state, s.epochs, s.steps, s.loss, s.best_loss, s.seconds / 60, s.message] for s in found]
    print_table(header, rows)
