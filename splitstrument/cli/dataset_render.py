"""`splitstrument dataset render` and `fetch`: a corpus of stems and pairs from MIDI songs and generated charts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from splitstrument.cli.common import (
    FiniteRange,
    dry_run_option,
    jobs_option,
    json_option,
    options,
    print_json,
    quiet_option,
    scheduler_option,
)

INGREDIENTS = Path("data/ingredients")
SONG_PACKAGES = Path("data/raw")
ingredients_option = click.option(
    "--ingredients",
    type=click.Path(path_type=Path),
    default=INGREDIENTS,
    show_default=True,
    help="Folder of unpacked packages (`splitstrument dataset fetch`).",
)


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@options(
    click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder to write [default: data/<name>]."),
    ingredients_option,
    click.option("--hours", type=FiniteRange(min=0, min_open=True), help="Hours of music, instead of the recipe's."),
    click.option("--scale", type=FiniteRange(min=0, min_open=True), help="Share of the recipe's hours."),
    click.option("--seed", type=click.IntRange(min=0), help="Another seed: other music."),
    click.option("--without", multiple=True, metavar="STEP", help="Switch off one step of `realism` (repeatable)."),
    click.option("--only", type=click.Choice(["train", "validation", "test"]), help="Another part of the songs."),
    click.option(
        "--against",
        multiple=True,
        type=click.Path(path_type=Path),
        help="Rendered corpus to compare with: fail if a song, groove file or sound is in both (repeatable).",
    ),
    jobs_option,
    scheduler_option,
    dry_run_option,
    quiet_option,
    json_option,
)
def render(recipe: Path, output: Path | None, ingredients: Path, as_json: bool, **flags: Any) -> None:
    """Render a corpus of stems and instrument/rest pairs by RECIPE; a second run goes on where the first ended.

    \b
    splitstrument dataset render datasets/corpus_development.yaml --dry-run
    splitstrument dataset render datasets/corpus.yaml --hours 10 --jobs 0
    splitstrument dataset render datasets/corpus_development.yaml --without amplifiers -o data/clean
    """
    from splitstrument.corpus import corpus
    from splitstrument.corpus.passport import read_records, write_passports
    from splitstrument.corpus.stem_index import write_stem_index
    from splitstrument.errors import DatasetError
    from splitstrument.progress import progress

    settings = _settings(recipe, **{key: flags[key] for key in ("hours", "scale", "seed", "without", "only")})
    output = output or Path("data", settings.name)
    if flags["dry_run"]:
        _report(_forecast(settings, output, ingredients), as_json)
        return
    total = corpus.n_tracks_of(settings)
    with progress(f"Rendering {settings.name}", total, "tracks", flags["quiet"]) as advance:
        result = corpus.render_corpus(settings, ingredients, output, flags["jobs"], flags["scheduler"], advance)
    for name, problem in result.failed.items():
        click.echo(f"{name}: {problem}", err=True)
    if settings.form == "pairs":
        write_stem_index(read_records(output), output)
    corpus.list_tracks(settings, output)
    passport = write_passports(settings, output, flags["against"])
    _report({**_counts(result), "hours": passport["hours"], "pairs": passport["pairs"], "output": str(output)}, as_json)
    if result.failed and not result.made and not result.kept:
        raise DatasetError(f"No track of {recipe} could be rendered: see the reasons above.")


@click.command()
@click.argument("names", nargs=-1)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    show_default=f"{INGREDIENTS}; songs: {SONG_PACKAGES}",
)
@json_option
def fetch(names: tuple[str, ...], output: Path | None, as_json: bool) -> None:
    """Download and unpack the packages NAMES (all, without NAMES) for rendering; no root needed.

    \b
    splitstrument dataset fetch
    splitstrument dataset fetch freedoom fluid-soundfont-gm
    splitstrument dataset fetch sectoid muldjord      # real songs, only when named
    """
    from splitstrument.corpus.catalogue import PACKAGES, REAL_SONGS
    from splitstrument.corpus.packages import fetch as fetch_package

    done = {
        name: str(fetch_package(name, output or (SONG_PACKAGES if name in REAL_SONGS else INGREDIENTS)))
        for name in names or tuple(PACKAGES)
    }
    if as_json:
        print_json(done)
        return
    for name, folder in done.items():
        click.echo(f"{name} ({(PACKAGES | REAL_SONGS)[name].licence}): {folder}")


@click.command("stand-ins")
@click.argument("names", nargs=-1)
@options(
    click.option(
        "--scale",
        type=FiniteRange(min=0, min_open=True, max=1),
        default=0.05,
        show_default=True,
        help="Share of the published numbers of tracks.",
    ),
    click.option(
        "--track-s",
        type=FiniteRange(min=5, min_open=True, max=600),
        default=60.0,
        show_default=True,
        help="Seconds of each track.",
    ),
    click.option(
        "--seed", type=click.IntRange(min=0), default=5000, show_default=True, help="Seed of the first stand-in."
    ),
    click.option("-o", "--output", type=click.Path(path_type=Path), default=Path("data/stand_ins"), show_default=True),
    ingredients_option,
    jobs_option,
    scheduler_option,
    dry_run_option,
    quiet_option,
    json_option,
)
def stand_ins(names: tuple[str, ...], output: Path, scale: float, track_s: float, as_json: bool, **flags: Any) -> None:
    """Render stand-ins for the thesis's seven datasets (or for NAMES of them) in small.

    \b
    splitstrument dataset stand-ins --scale 0.02 --dry-run
    splitstrument dataset stand-ins recorded_guitar pure_guitar --scale 0.1 --jobs 0
    """
    from splitstrument.progress import progress
    from splitstrument.reproduction.rendered_stand_ins import build_stand_in, recipe_of, scaled

    done: dict[str, Any] = {}
    for stand_in in _stand_ins_named(names):
        count = scaled(stand_in.tracks, scale) + scaled(stand_in.evaluation, scale)
        if flags["dry_run"]:
            done[stand_in.name] = count
            continue
        total = round(recipe_of(stand_in, scale, track_s, 0).hours * 3600 / track_s) if stand_in.kind != "cut" else 1
        with progress(stand_in.name, total, "tracks", flags["quiet"]) as advance:
            shape = (scale, track_s, flags["seed"], flags["ingredients"], output)
            done[stand_in.name] = len(build_stand_in(stand_in, *shape, flags["jobs"], flags["scheduler"], advance))
    _report(done, as_json)


def _stand_ins_named(names: tuple[str, ...]) -> list[Any]:
    """Stand-ins by name, in the order in which they need each other; all without names."""
    from splitstrument.errors import SettingsError
    from splitstrument.reproduction.rendered_stand_ins import STAND_INS

    known = {stand_in.name: stand_in for stand_in in STAND_INS}
    for name in names:
        if name not in known:
            raise SettingsError(f"{name!r} is no dataset of the thesis: expected one of {', '.join(known)}.")
    wanted = set(names or known) | {known[name].cut_from for name in names if known[name].cut_from}
    return [stand_in for stand_in in STAND_INS if stand_in.name in wanted]


def _settings(recipe: Path, hours: float | None, scale: float | None, seed: int | None, without, only) -> Any:
    """The recipe with the flags applied."""
    from splitstrument.corpus.recipe import CorpusRecipe, Realism
    from splitstrument.errors import SettingsError
    from splitstrument.settings import load_settings

    unknown = sorted(set(without) - set(Realism.model_fields))
    if unknown:
        raise SettingsError(f"--without {unknown[0]} is no step: expected one of {', '.join(Realism.model_fields)}.")
    overrides: dict[str, Any] = {f"realism.{step}": False for step in without}
    overrides |= {
        key: value for key, value in {"hours": hours, "seed": seed, "part": only}.items() if value is not None
    }
    settings = load_settings(recipe, CorpusRecipe, overrides).settings
    if scale is None:
        return settings
    return load_settings(recipe, CorpusRecipe, {**overrides, "hours": settings.hours * scale}).settings


def _forecast(settings: Any, output: Path, ingredients: Path) -> dict[str, Any]:
    from splitstrument.corpus import corpus, packages

    return {
        "name": settings.name,
        "part": settings.part,
        "tracks": corpus.n_tracks_of(settings),
        "hours": settings.hours,
        "disk_mb": round(corpus.disk_need_mb(settings)),
        "output": str(output),
        "packages": corpus.packages_of(settings),
        "packages_missing": packages.missing(corpus.packages_of(settings), ingredients),
    }


def _counts(result: Any) -> dict[str, Any]:
    return {"made": len(result.made), "kept": len(result.kept), "failed": result.failed}


def _report(data: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(data)
        return
    for key, value in data.items():
        click.echo(f"{key}: {', '.join(map(str, value)) if isinstance(value, list) else value}")
