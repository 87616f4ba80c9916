"""``splitstrument words``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from splitstrument.cli.common import PicturePath, json_option, print_json, print_table
from splitstrument.errors import SettingsError, missing_extra
from splitstrument.mixing.words import Word, find_word, words


@click.command("words")
@click.argument("word", required=False)
@click.option("--data", multiple=True, type=click.Path(path_type=Path), help="Audealize's JSON or SAFE-DB's CSV.")
@click.option("--amount", type=float, default=1.0, show_default=True, help="From -2 to 2.")
@click.option("--points", metavar="HZ:DB,...", help="A curve of your own in place of the word's.")
@click.option("--save", is_flag=True, help="Keep the curve as mine:WORD.")
@click.option("--forget", is_flag=True, help="Drop the curve that is kept as mine:WORD.")
@click.option("--plot", type=PicturePath(), help="Draw the curve here.")
@json_option
def list_words(word: str | None, data: tuple[Path, ...], amount: float, points: str | None, save: bool, forget: bool,
               plot: Path | None, as_json: bool) -> None:  # fmt: skip
    """List the words that `remix --eq` knows, or show, adjust and save the curve of WORD.

    \b
    splitstrument words
    splitstrument words warm --plot warm.png
    splitstrument words warm --amount 0.6 --save                 # then: remix song --eq guitar=mine:warm
    splitstrument words mellow --points 120:2,900:0,5000:-4 --save
    splitstrument words warm --data eq_descriptors.json          # as people set it; remix takes --words
    """
    measured = _measured(data)
    if word is None:
        _list({**words(), **measured}, as_json)
        return
    if forget:
        from splitstrument.mixing.saved_curves import forget_curve

        click.echo(f"Dropped mine:{word} from {forget_curve(word)}.")
        return
    chosen = _own(word, points) if points else _find(word, measured)
    _show(chosen, amount, measured, as_json)
    if plot:
        _plot(chosen, amount, plot)
    if save:
        from splitstrument.mixing.saved_curves import save_curve

        name = word.rpartition(":")[2]
        curve = zip(chosen.hertz, chosen.curve_db(amount), strict=True)
        path = save_curve(name, tuple((hertz, round(float(gain), 3)) for hertz, gain in curve))
        click.echo(f"Saved as mine:{name} in {path}.", err=as_json)


def _measured(data: tuple[Path, ...]) -> dict[str, Any]:
    if not data:
        return {}
    from splitstrument.mixing.measured_words import read_words

    return dict(read_words(data))


def _find(word: str, measured: dict[str, Any]) -> Word:
    """A saved curve, a measured word, or one of the table."""
    if word.startswith("mine:"):
        from splitstrument.mixing.saved_curves import find_saved

        return find_saved(word.partition(":")[2])
    return measured.get(word.lower()) or find_word(word)


def _own(name: str, text: str) -> Word:
    """A curve from ``HZ:DB,HZ:DB``."""
    try:
        pairs = [part.split(":") for part in text.split(",")]
        points = [(float(hertz), float(gain)) for hertz, gain in pairs]
    except ValueError:
        raise SettingsError(f"{text!r} is no curve: write HZ:DB with commas between, such as 120:2,5000:-4.") from None
    from splitstrument.mixing.saved_curves import SavedCurve
    from splitstrument.settings import validate

    curve = validate({"points": points}, SavedCurve, f"The curve {text!r}")
    hertz, gains = zip(*curve.points, strict=True)
    return Word(name, hertz, gains, "", "your own")


def _list(table: dict[str, Word], as_json: bool) -> None:
    from splitstrument.mixing.saved_curves import saved_curves

    every = [*(table[name] for name in sorted(table)), *saved_curves().values()]
    if as_json:
        print_json([_plain(one) for one in every])
        return
    print_table(["word", "opposite", "source"], [[one.name, one.opposite or None, one.source] for one in every])


def _plain(word: Word) -> dict[str, Any]:
    keys = ("name", "hertz", "gains_db", "opposite", "source")
    return {key: getattr(word, key) for key in keys}


def _show(word: Word, amount: float, measured: dict[str, Any], as_json: bool) -> None:
    curve = word.curve_db(amount)
    facts = _facts(word, measured)
    if as_json:
        print_json({**_plain(word), "amount": amount, "curve_db": curve, **facts})
        return
    rows = [[f"{hertz:g}", gain] for hertz, gain in zip(word.hertz, curve, strict=True)]
    print_table(["Hz", "dB, matched in loudness"], rows, word.name)
    opposite = f" Its opposite is {word.opposite}." if word.opposite else ""
    click.echo(f"Source: {word.source}.{opposite}")
    for setting in facts.get("sets", ()):
        agreement = "" if setting["agreement"] is None else f", agreement {setting['agreement']:.2f}"
        click.echo(f"{setting['source']}: set {setting['settings']} times{agreement}")
    if facts.get("between") is not None:
        click.echo(f"Correlation between the sets: {facts['between']:.2f}")
    if "nearest" in facts:
        click.echo("Nearest: " + ", ".join(f"{name} ({value:.2f})" for name, value in facts["nearest"]))


def _facts(word: Word, measured: dict[str, Any]) -> dict[str, Any]:
    """What is known of a measured word besides its curve."""
    if word.name not in measured:
        return {}
    from splitstrument.mixing.measured_words import nearest

    sets = [
        {"source": one.source, "settings": one.n_settings, "agreement": one.agreement}
        for one in measured[word.name].settings
    ]
    return {"sets": sets, "between": measured[word.name].between, "nearest": nearest(word.name, measured)}


def _plot(word: Word, amount: float, path: Path) -> None:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise missing_extra("A plot", "train") from None
    from splitstrument.files import atomic_path

    figure = Figure(figsize=(8, 3.4), layout="constrained")
    axes = figure.add_subplot(title=f"{word.name}, amount {amount:g}", xlabel="Hz", ylabel="dB")
    hertz = [20.0, *word.hertz, 20_000.0]
    curve = word.curve_db(amount)
    axes.semilogx(hertz, [curve[0], *curve, curve[-1]], color="#1b6ca8")
    axes.axhline(0, color="#888", linewidth=0.8)
    axes.grid(alpha=0.3, which="both")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=130, format=path.suffix[1:])
