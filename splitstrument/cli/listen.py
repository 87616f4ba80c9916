"""`splitstrument listen`: a blind listening test in the browser."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from splitstrument.evaluation.listening import Kind


@click.command()
@click.argument("evaluations", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option("--kind", type=click.Choice(["mushra", "ab"]), default="mushra", show_default=True)
@click.option("--trials", type=click.IntRange(min=1), help="At most so many pages.")
@click.option("--port", type=click.IntRange(0, 65535), default=8090, show_default=True)
@click.option("--no-browser", is_flag=True, help="Do not open a browser.")
@click.option("-o", "--output", type=click.Path(path_type=Path), default=Path("results/listening"), show_default=True)
def listen(
    evaluations: tuple[Path, ...], kind: Kind, trials: int | None, port: int, no_browser: bool, output: Path
) -> None:
    """Compare the models of EVALUATIONS by ear: blind, at one loudness, on this machine only.

    EVALUATIONS are folders of `evaluate` or `score` on the same tracks. mushra: rate all systems beside a hidden
    reference and the mixture as anchor; ab: which of two is closer to the reference. Answers go into ratings.csv;
    /results shows means with intervals. A folder of mixes (`python -m splitstrument.mixing.distance -o`) compares no
    mix and the automatic mix with the published one.

    \b
    splitstrument listen runs/a/evaluation/sectoid_pairs runs/b/evaluation/sectoid_pairs
    splitstrument listen results/guitar/sample results/scores/htdemucs_6s/references --kind ab --port 9000
    """
    from demonstrator.listening_test import Test, serve
    from splitstrument.evaluation.listening import make_trials, mix_trials
    from splitstrument.evaluation.report.data import load_evaluations

    if len(evaluations) == 1 and (evaluations[0] / "distances.json").is_file():
        serve(Test(mix_trials(evaluations[0], kind, trials), kind, output, "mix"), port, not no_browser)
        return
    loaded = load_evaluations(list(evaluations))
    target = next((str(e.record["target"]) for e in loaded if e.record.get("target")), "instrument")
    pages = make_trials(loaded, kind, trials)
    serve(Test(pages, kind, output, target), port, not no_browser)
