"""The Rosetta table: the same estimates under every measure, so that numbers of different papers can be related.

Reference points of the field stand in a table of their own: other data, other songs, never to be subtracted.
"""

from __future__ import annotations

from splitstrument.evaluation.metrics.registry import metrics
from splitstrument.evaluation.report.tables import Table
from splitstrument.evaluation.schema import ESTIMATE, Record, statistic
from splitstrument.recipes import find_recipe
from splitstrument.settings import read_yaml
from splitstrument.tables import number

ROSETTA_MEASURES = ("sdr", "sir", "sar", "sdr_v4", "sir_v4", "sar_v4", "si_sdr", "si_sir", "si_sar", "sd_sdr",
                    "usdr", "bleedless", "fullness", "log_wmse", "l1_freq", "mr_stft", "lsd")  # fmt: skip
USED_BY = {
    "sdr": "this thesis; MIR-1K papers (v3, mir_eval, whole track)",
    "sdr_v4": "MUSDB18 papers, SiSEC 2018 (museval, median over seconds, then over tracks)",
    "si_sdr": "speech separation; many recent music papers",
    "sd_sdr": "as SI-SDR, but a wrong level counts",
    "usdr": "Music Demixing Challenges 2021 and 2023, MSST, MVSEP (there called SDR; mean over tracks)",
    "bleedless": "MSST, MVSEP",
    "fullness": "MSST, MVSEP",
    "log_wmse": "MSST; made to be defined for silence",
    "l1_freq": "MSST, MVSEP",
    "lsd": "bandwidth extension, restoration",
}
# MoisesDB: Pereira et al., ISMIR 2023, mean over its tracks
FIELD = (
    ("MoisesDB, htdemucs_6s", "guitar", "mean SDR, as that paper defines it", 3.07),
    ("MoisesDB, htdemucs_6s", "piano", "mean SDR, as that paper defines it", 1.60),
    ("MoisesDB, ideal ratio mask", "guitar", "mean SDR, as that paper defines it", 5.28),
    ("MoisesDB, ideal ratio mask", "piano", "mean SDR, as that paper defines it", 4.71),
)

THESIS_RECIPES = ("table_06", "table_11")


def rosetta_table(record: Record, source: str = "instrument", name: str = "median") -> Table:
    """Every system of an evaluation under every measure."""
    data = record.get("measured_on", {}).get("name", "unnamed data")
    rows = [
        [text, *(number(statistic(record, system, source, key, name)) for key in ROSETTA_MEASURES)]
        for system, text in record["systems"].items()
    ]
    where = f"{name} over {len(record['tracks'])} tracks of {data}"
    caption = f"The same estimates under every measure: {source}, {where}, dB"
    return Table(caption, ["", *(metrics()[key].label for key in ROSETTA_MEASURES)], rows)


def spread_table(record: Record, source: str = "instrument") -> Table:
    """How far the estimates lie from the mixture under each measure that papers report, median and mean."""
    rows = []
    for measure, users in USED_BY.items():
        cells = [
            number(statistic(record, system, source, measure, name))
            for system in ("mixture", ESTIMATE, "irm")
            for name in ("median", "mean")
        ]
        rows.append([metrics()[measure].label, *cells, users])
    header = ["measure", "mixture median", "mean", "estimate median", "mean", "ratio mask median", "mean", "used by"]
    return Table(f"What a paper would print for the same files: {source}, dB", header, rows)


def field_table() -> Table:
    """Published reference points, on other data; the thesis's are read from the recipes of its trainings."""
    rows = [[what, instrument, measure, number(value)] for what, instrument, measure, value in FIELD]
    for recipe in THESIS_RECIPES:
        training = read_yaml(find_recipe(recipe, "trainings"))
        target = training.get("model", {}).get("target", "guitar")
        published = training["published"]
        thesis = f"the thesis, {published['table']}"
        rows.append([thesis, target, "BSS Eval v3, median", number(published["instrument"]["sdr"])])
    caption = "Published reference points of the field, measured on OTHER DATA: for orientation, not for comparison"
    return Table(caption, ["data and system", "target", "measure", "dB"], rows)
