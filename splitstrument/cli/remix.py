"""``splitstrument remix``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from splitstrument.audio import probe
from splitstrument.cli.common import json_option, print_json, print_table, quiet_option, terminable
from splitstrument.errors import SettingsError
from splitstrument.mixing.remix import check_names, remix_files
from splitstrument.mixing.remix_settings import CurveStep, RemixSettings
from splitstrument.mixing.song_stems import names_of, stems_of
from splitstrument.mixing.words import Word, find_word
from splitstrument.model_folder import DEFAULT_MODEL
from splitstrument.progress import progress
from splitstrument.settings import validate

WRITTEN = (".wav", ".flac", ".mp3", ".ogg")
PREFIX = "mine"  # of curves that were saved


@click.command()
@click.argument("song", type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="WAV, FLAC, MP3 or OGG to write.")
@click.option("-m", "--model", default=DEFAULT_MODEL, show_default=True, help="Takes the song apart, if it is one.")
@click.option("--gain", "gains", multiple=True, metavar="STEM=DB", help="Louder or softer: guitar=+6.")
@click.option(
    "--eq", "equalizers", multiple=True, metavar="STEM=EQ", help="A word (warm, warm:0.5), mine:NAME, or HZ:DB[:Q]."
)
@click.option("--words", "word_files", multiple=True, type=click.Path(path_type=Path), help="Measured words, too.")
@click.option("--pan", "pans", multiple=True, metavar="STEM=PLACE", help="From -1, left, to 1, right.")
@click.option("--mute", "mutes", multiple=True, metavar="STEM", help="Leave it out.")
@click.option("--solo", "solos", multiple=True, metavar="STEM", help="Leave out all others.")
@click.option(
    "--loudness", default="same", show_default=True, help="Of the song (same), as it comes (off), or LUFS: -14."
)
@click.option("--ceiling", type=float, default=-1.0, show_default=True, help="Highest true peak, in dBTP.")
@click.option("--overwrite", is_flag=True, help="Replace the output if it exists.")
@json_option
@quiet_option
def remix(song: Path, output: Path, model: str, loudness: str, ceiling: float, overwrite: bool, as_json: bool,
          quiet: bool, word_files: tuple[Path, ...], **changes: tuple[str, ...]) -> None:  # fmt: skip
    """Make a new mix of SONG: an audio file, which is taken apart first, or a folder with stems.

    Stems are called as their files are; the instrument of a model may be called by its name. With nothing changed the
    song comes back as it was. A file <output>.json says how the mix was made.

    \b
    splitstrument remix song.mp3 --gain guitar=-12 -o practice.mp3
    splitstrument remix stems/song --gain guitar=+6 --eq guitar=warm:0.5 --pan rest=-0.3 -o mix.flac
    splitstrument remix stems/song --mute guitar --loudness -14 -o backing.wav
    """
    if output.resolve() == song.resolve():
        raise SettingsError(f"{output} is the song itself: choose another --output.")
    check_target(output, overwrite)
    names, aliases = names_of(song, model)
    settings = settings_of(changes, loudness, ceiling, aliases, _measured(word_files))
    check_names(settings, names)
    with terminable(), stems_of(song, model, quiet or as_json) as stems:
        seconds = 2 * probe(next(iter(stems.values()))).duration_s if stems else None
        with progress("mixing", seconds, "s", quiet or as_json) as advance:
            done = remix_files(stems, output, settings, advance)
    if as_json:
        print_json(done.as_dict())
        return
    rows = [["song", *_levels(done.song)], ["mix", *_levels(done.mix)]]
    print_table(["", "LUFS", "range LU", "true peak dBTP"], rows)
    click.echo("\n".join([*done.notes, f"Written to {output}."]))


def check_target(output: Path, overwrite: bool) -> None:
    """Refuse an output that is there, or that cannot be written.

    Raises
    ------
    SettingsError
    """
    if output.exists() and not overwrite:
        raise SettingsError(f"{output} exists already: give --overwrite or another --output.")
    if output.suffix.lower() not in WRITTEN:
        raise SettingsError(f"{output} cannot be written: end it in {', '.join(WRITTEN)}.")


def _levels(loudness: Any) -> list[float | None]:
    return [loudness.integrated_lufs, loudness.range_lu, loudness.true_peak_dbtp]


def _measured(paths: tuple[Path, ...]) -> Mapping[str, Word]:
    """Words of the user's data files; the room that reads them is not loaded for none."""
    if not paths:
        return {}
    from splitstrument.mixing.measured_words import read_words

    return read_words(paths)


def settings_of(
    changes: dict[str, tuple[str, ...]], loudness: str, ceiling: float, aliases: dict[str, str],
    measured: Mapping[str, Word] | None = None,
) -> RemixSettings:  # fmt: skip
    """Settings from the flags; words of `measured` come before those of the table.

    Raises
    ------
    SettingsError
        If one cannot be read.
    """
    stems: dict[str, dict[str, Any]] = {}
    for flag, key in (("gains", "gain_db"), ("pans", "pan")):
        for text in changes[flag]:
            name, value = _assignment(text, aliases)
            stems.setdefault(name, {})[key] = _number(value, text)
    for text in changes["equalizers"]:
        name, value = _assignment(text, aliases)
        stems.setdefault(name, {}).setdefault("equalizer", []).append(_equalizer(value, text, measured or {}))
    for flag, key in (("mutes", "mute"), ("solos", "solo")):
        for name in changes[flag]:
            stems.setdefault(aliases.get(name, name), {})[key] = True
    level: Any = loudness if loudness in ("same", "off") else _number(loudness, f"--loudness {loudness}")
    return validate({"stems": stems, "loudness": level, "ceiling_dbtp": ceiling}, RemixSettings, "The remix")


def _assignment(text: str, aliases: dict[str, str]) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (equals and name and value):
        raise SettingsError(f"{text!r} cannot be read: write STEM=VALUE, such as guitar=+6.")
    return aliases.get(name, name), value


def _equalizer(value: str, text: str, measured: Mapping[str, Word]) -> dict[str, Any]:
    """A word or a saved curve with an amount, or frequency, gain and Q."""
    first, *others = value.split(":")
    if first.replace(".", "", 1).isdigit():
        if len(others) not in (1, 2) or not 0 < float(first) <= 20_000:
            raise SettingsError(
                f"{text!r} cannot be read: write STEM=HZ:DB or STEM=HZ:DB:Q, such as guitar=800:-4:2, up to 20000 Hz."
            )
        numbers = [_number(part, text) for part in (first, *others)]
        return dict(zip(("hertz", "gain_db", "quality"), numbers, strict=False))
    word = measured.get(first.lower())
    if first == PREFIX and others:
        from splitstrument.mixing.saved_curves import find_saved

        word, others = find_saved(others[0]), others[1:]
    if word is None:
        find_word(first)
    if len(others) > 1:
        raise SettingsError(f"{text!r} cannot be read: write STEM=WORD or STEM=WORD:AMOUNT, such as guitar=warm:0.5.")
    amount = _number(others[0], text) if others else 1.0
    if word is None:
        return {"word": first, "amount": amount}
    word.curve_db(amount)  # refuses what is too much, now
    return CurveStep.of(word, amount).model_dump()


def _number(value: str, text: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise SettingsError(f"{text!r}: {value!r} is no number.") from None
