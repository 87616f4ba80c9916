"""``splitstrument automix``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from splitstrument.audio import probe
from splitstrument.cli.common import json_option, print_json, print_table, quiet_option, terminable
from splitstrument.cli.remix import check_target
from splitstrument.cli.settings_flags import flags_of, from_flags
from splitstrument.errors import SettingsError
from splitstrument.mixing.automix.mix import Automixed, automix_files
from splitstrument.mixing.automix.settings import AutomixSettings
from splitstrument.mixing.song_stems import aliases_in, stems_in
from splitstrument.progress import progress
from splitstrument.settings import validate


@click.command()
@click.argument("stems", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="WAV, FLAC, MP3 or OGG to write.")
@flags_of(AutomixSettings, "mix")
@flags_of(AutomixSettings, "rules")
@click.option("--report", type=click.Path(path_type=Path, dir_okay=False), help="HTML page with plots to write.")
@click.option("--overwrite", is_flag=True, help="Replace the output if it exists.")
@json_option
@quiet_option
def automix(stems: Path, output: Path, report: Path | None, overwrite: bool, as_json: bool, quiet: bool,
            **flags: Any) -> None:  # fmt: skip
    """Mix the folder STEMS by rules: a lead against everything else.

    Five rules, each a line that says what was measured, what was decided and why, and each a switch: an equalizer
    where lead and backing mask each other, compression of the lead, its level, a room, loudness of the whole. They
    are rules of thumb, nothing is learned. A file <output>.json holds the same lines.

    \b
    splitstrument automix stems/song -o mix.wav --report mix.html
    splitstrument automix stems/song -o mix.flac --lead guitar --relative 2 --no-reverb --loudness -23
    """
    check_target(output, overwrite)
    if report and report.suffix.lower() not in (".html", ".htm"):
        raise SettingsError(f"{report} names no page: end it in .html.")
    files = stems_in(stems)
    lead = flags["lead"]
    flags["lead"] = aliases_in(stems).get(lead, lead)
    settings = validate(from_flags(AutomixSettings, flags), AutomixSettings, "The mix")
    with (
        terminable(),
        progress("mixing", 3 * probe(next(iter(files.values()))).duration_s, "s", quiet or as_json) as advance,
    ):
        done = automix_files(files, output, settings, advance)
    if report:
        from splitstrument.mixing.automix.page import write_page

        write_page(done, report)
    _print(done, as_json)


def _print(done: Automixed, as_json: bool) -> None:
    if as_json:
        print_json(done.as_dict())
        return
    rows = [[each.rule, each.measured, each.decision, each.reason] for each in done.decisions]
    print_table(["rule", "measured", "decision", "reason"], rows)
    for name, loudness in (("stems as they are", done.before), ("mix", done.after)):
        levels = (loudness.integrated_lufs, loudness.range_lu)
        click.echo(f"{name}: " + ", ".join("–" if each is None else f"{each:.1f} {unit}"
                                           for each, unit in zip(levels, ("LUFS", "LU"), strict=True)))  # fmt: skip
    click.echo("\n".join([*done.notes, f"Written to {done.path}."]))
