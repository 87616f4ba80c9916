"""`splitstrument loudness`: how loud files are, by BS.1770 and R 128."""

from __future__ import annotations

from pathlib import Path

import click

from splitstrument.cli.common import PicturePath, json_option, print_json, print_table, quiet_option
from splitstrument.errors import SplitstrumentError
from splitstrument.loudness import Loudness, LoudnessMeter, measure_file
from splitstrument.progress import progress
from splitstrument.separation.inputs import expand

HEADER = ["file", "integrated LUFS", "range LU", "momentary max", "short-term max", "true peak dBTP"]


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--plot", type=PicturePath(), help="Draw loudness over time of the first file here.")
@json_option
@quiet_option
@click.pass_context
def loudness(ctx: click.Context, files: tuple[Path, ...], plot: Path | None, as_json: bool, quiet: bool) -> None:
    """Measure the loudness of FILES (audio files, folders, patterns) by ITU-R BS.1770-4 and EBU R 128.

    Integrated loudness, loudness range (Tech 3342), loudest 0.4 s and 3 s, and true peak. A dash stands for what is too
    short or too quiet to be measured. One file that cannot be read does not stop the others; the status is then 1.

    \b
    splitstrument loudness song.mp3
    splitstrument loudness stems/song/*.wav --json
    splitstrument loudness mix.wav --plot loudness.png
    """
    measured: dict[str, Loudness] = {}
    failed: dict[str, str] = {}
    for path in expand(files):
        try:
            with progress(path.name, None, "s", quiet or as_json) as advance:
                measured[str(path)], meter = measure_file(path, advance)
        except SplitstrumentError as error:
            failed[str(path)] = str(error)
            click.echo(f"splitstrument: {error}", err=True)
            continue
        if plot:
            plot_loudness(meter, path.name, plot)
            plot = None
    if as_json:
        print_json({"files": {name: result.as_dict() for name, result in measured.items()}, "failed": failed})
    elif measured:
        print_table(HEADER, [_row(name, result) for name, result in measured.items()])
    if failed:
        ctx.exit(1)


def plot_loudness(meter: LoudnessMeter, title: str, path: Path) -> None:
    """Draw momentary and short-term loudness over time."""
    from splitstrument.errors import missing_extra
    from splitstrument.files import atomic_path
    from splitstrument.loudness import MOMENTARY_STEPS, SHORT_TERM_STEPS, STEPS_PER_S

    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise missing_extra("A plot", "train") from None
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    axes = figure.add_subplot(title=title, xlabel="seconds", ylabel="LUFS", ylim=(-50, 0))
    momentary = ("momentary (0.4 s)", meter.momentary(), MOMENTARY_STEPS, "#9db8c9", 0.8)
    short_term = ("short-term (3 s)", meter.short_term(), SHORT_TERM_STEPS, "#1b6ca8", 1.6)
    for label, levels, n_steps, colour, width in (momentary, short_term):
        ends = [(index + n_steps) / STEPS_PER_S for index in range(len(levels))]
        axes.plot(ends, levels, color=colour, linewidth=width, label=label)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=130, format=path.suffix[1:])


def _row(name: str, result: Loudness) -> list[object]:
    values = (result.integrated_lufs, result.range_lu, result.momentary_max_lufs, result.short_term_max_lufs)
    return [name, *values, result.true_peak_dbtp]
