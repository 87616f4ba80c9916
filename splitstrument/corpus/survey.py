"""Level, silence and balance of rendered pairs beside real ones: the table and the plots of docs/corpus.md.

python -m splitstrument.corpus.survey real=data/frets_on_fire train=data/corpus/guitar -o docs/images/corpus
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from splitstrument import audio
from splitstrument.corpus import effects
from splitstrument.pairs import Pair, find_pairs

AUDIBLE_DBFS = -50.0
QUARTILES = (25, 50, 75)


@dataclass(frozen=True)
class PairSurvey:
    """One pair.

    Attributes
    ----------
    mixture_dbfs
        Root mean square of the mixture after scaling it to a peak of 1, so that files of any level compare.
    instrument_to_rest_db
        Ratio of the root mean squares over the whole track.
    crest_db
        Peak over root mean square of the mixture.
    audible_share
        Share of the seconds in which the instrument is above -50 dBFS.
    mixture_bands_db, instrument_bands_db
        Levels of the bands `effects.BANDS_HZ` relative to the loudest.
    """

    name: str
    mixture_dbfs: float
    instrument_to_rest_db: float
    crest_db: float
    audible_share: float
    mixture_bands_db: np.ndarray
    instrument_bands_db: np.ndarray


def survey_pair(pair: Pair, sample_rate_hz: int = 22_050) -> PairSurvey:
    """Measure one pair, mono, at one rate for all."""
    instrument, rest = (audio.read(path, sample_rate_hz, mono=True)[0] for path in (pair.instrument, pair.rest))
    n_samples = min(len(instrument), len(rest))
    instrument, rest = instrument[:n_samples], rest[:n_samples]
    mixture = instrument + rest
    level, peak = effects.rms_db(mixture), 20 * np.log10(np.abs(mixture).max() + effects.EPSILON)
    n_seconds = max(1, n_samples // sample_rate_hz)
    seconds = np.array_split(instrument[: n_seconds * sample_rate_hz], n_seconds)
    return PairSurvey(
        name=pair.name,
        mixture_dbfs=level - peak,
        instrument_to_rest_db=effects.rms_db(instrument) - effects.rms_db(rest),
        crest_db=peak - level,
        audible_share=float(np.mean([effects.rms_db(second) > AUDIBLE_DBFS for second in seconds])),
        mixture_bands_db=effects.band_levels_db(mixture, sample_rate_hz),
        instrument_bands_db=effects.band_levels_db(instrument, sample_rate_hz),
    )


def quartiles(values: ArrayLike) -> str:
    """``median (lower to upper quartile)``."""
    low, middle, high = np.percentile(np.asarray(values, float), QUARTILES)
    return f"{middle:.1f} ({low:.1f} to {high:.1f})"


def summary(surveys: Sequence[PairSurvey]) -> dict[str, str]:
    """One column of the comparison table: quartiles of everything that was measured."""
    rows = {
        "tracks": str(len(surveys)),
        "instrument to rest, dB": quartiles([s.instrument_to_rest_db for s in surveys]),
        "mixture, dB below its peak": quartiles([s.mixture_dbfs for s in surveys]),
        "instrument audible, %": quartiles([100 * s.audible_share for s in surveys]),
    }
    for what in ("mixture", "instrument"):
        bands = np.array([getattr(s, f"{what}_bands_db") for s in surveys])
        for index, (low, high) in enumerate(zip(effects.BANDS_HZ, effects.BANDS_HZ[1:], strict=False)):
            rows[f"{what} {low}-{high} Hz, dB"] = quartiles(bands[:, index])
    return rows


def plot(groups: Mapping[str, Sequence[PairSurvey]], path: str | Path) -> None:
    """Box plots of the level, silence and balance of several folders side by side, as a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    names = list(groups)
    figure, axes = plt.subplots(2, 2, figsize=(10, 6.5), layout="constrained")
    for axis, title, field in (
        (axes[0, 0], "instrument to rest, dB", "instrument_to_rest_db"),
        (axes[0, 1], "share of seconds with the instrument", "audible_share"),
    ):
        axis.boxplot([[getattr(s, field) for s in groups[name]] for name in names], orientation="horizontal")
        axis.set_yticks(range(1, len(names) + 1), names)
        axis.set_title(title)
    for axis, field in ((axes[1, 0], "mixture_bands_db"), (axes[1, 1], "instrument_bands_db")):
        centres = effects.BAND_CENTRES_HZ
        for name in names:
            low, middle, high = np.percentile([getattr(s, field) for s in groups[name]], QUARTILES, axis=0)
            (line,) = axis.semilogx(centres, middle, marker="o", label=name)
            axis.fill_between(centres, low, high, alpha=0.15, color=line.get_color())
        axis.set_title(f"{field.split('_')[0]}: level of five bands, dB")
        axis.set_xticks(centres, [str(hz) for hz in centres])
        axis.minorticks_off()
        axis.set_xlabel("Hz")
    axes[1, 0].legend(fontsize=8)
    figure.savefig(path, dpi=90)
    plt.close(figure)


def plot_spectrograms(pairs: dict[str, Pair], path: str | Path, start_s: float = 20.0, length_s: float = 8.0) -> None:
    """Mixture and instrument of some pairs, log frequency in dB, as a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(len(pairs), 2, figsize=(9, 1.9 * len(pairs)), layout="constrained", squeeze=False)
    for row, (title, pair) in zip(axes, pairs.items(), strict=True):
        instrument, rest = (audio.read(p, 22_050, mono=True)[0][:, 0] for p in (pair.instrument, pair.rest))
        size = min(len(instrument), len(rest))
        first = min(int(start_s * 22_050), max(0, size - int(length_s * 22_050)))
        cut = slice(first, first + int(length_s * 22_050))
        for axis, sound, what in zip(
            row, ((instrument[:size] + rest[:size]), instrument), ("mixture", "instrument"), strict=True
        ):
            axis.specgram(sound[cut] + 1e-7, NFFT=1024, Fs=22_050, noverlap=640, vmin=-130, vmax=-40, cmap="magma")
            axis.set_yscale("symlog", linthresh=200)
            axis.set_ylim(60, 11_000)
            axis.set_title(f"{title}: {what}", fontsize=8)
            axis.tick_params(labelsize=7)
    figure.savefig(path, dpi=60)
    plt.close(figure)
    _fewer_colours(path)


def _fewer_colours(path: str | Path) -> None:
    """Noise does not compress: 48 colours make a spectrogram's PNG a third as large."""
    from PIL import Image

    with Image.open(path) as image:
        image.convert("RGB").quantize(48).save(path, optimize=True)


def main() -> None:
    """Measure each NAME=FOLDER of pairs, print a Markdown table, write PNGs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", metavar="NAME=FOLDER", help="folders of instrument/rest pairs")
    parser.add_argument("--limit", type=int, default=40, help="tracks of each folder (default 40)")
    parser.add_argument("-o", "--output", type=Path, help="begin of the PNG names")
    arguments = parser.parse_args()
    folders = dict(item.split("=", 1) for item in arguments.folders)
    pairs = {name: find_pairs(folder)[: arguments.limit] for name, folder in folders.items()}
    groups = {name: [survey_pair(pair) for pair in group] for name, group in pairs.items()}
    columns = {name: summary(group) for name, group in groups.items()}
    print("| median (quartiles) |", " | ".join(columns), "|")
    print("|---" * (len(columns) + 1) + "|")
    for row in next(iter(columns.values())):
        print(f"| {row} |", " | ".join(column[row] for column in columns.values()), "|")
    if arguments.output:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        plot(groups, f"{arguments.output}_survey.png")
        plot_spectrograms({n: group[0] for n, group in pairs.items()}, f"{arguments.output}_spectrograms.png")


if __name__ == "__main__":
    main()
