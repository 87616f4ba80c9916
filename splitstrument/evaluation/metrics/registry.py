"""The metrics by their keys. A module that computes some has a line in `OURS`; other packages use the entry points.

A package of the user's own adds metrics by an entry point of the group ``splitstrument.metrics`` that names a
`Family`; see `metric` for what its meter has to do.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points

from splitstrument.errors import SettingsError
from splitstrument.evaluation.metrics import bleed, bss_meter, distortion, leakage, log_wmse, spectral
from splitstrument.evaluation.metrics.metric import SOURCES, Family, Metric

__all__ = ["ENTRY_POINTS", "SOURCES", "better", "families", "legend", "metrics", "shown"]

ENTRY_POINTS = "splitstrument.metrics"
OURS = (bss_meter.FAMILY, distortion.FAMILY, spectral.FAMILY, bleed.FAMILY, log_wmse.FAMILY, leakage.FAMILY)
SHARE_METRICS = ("sdr", "si_sdr", "usdr", "sdr_v4")


@cache
def families() -> tuple[Family, ...]:
    """All families, ours first.

    Raises
    ------
    SettingsError
        If an entry point cannot be loaded, is no family, or takes a key that another one has.
    """
    found, keys = list(OURS), {metric.key for family in OURS for metric in family.metrics}
    for point in sorted(entry_points(group=ENTRY_POINTS), key=lambda point: point.name):
        family = _loaded(point)
        if taken := keys & {metric.key for metric in family.metrics}:
            raise SettingsError(f"The metric {min(taken)} of {point.value} exists already: give it another key.")
        keys |= {metric.key for metric in family.metrics}
        found.append(family)
    return tuple(found)


def metrics() -> dict[str, Metric]:
    """All metrics by key, in the order of tables."""
    return {metric.key: metric for family in families() for metric in family.metrics}


def shown() -> tuple[str, ...]:
    """Keys of the metrics in the main tables."""
    return tuple(key for key, metric in metrics().items() if metric.shown)


def better(key: str, a: float, b: float) -> bool:
    """Tell whether value `a` of a metric is better than `b`."""
    return a < b if metrics()[key].better == "lower" else a > b


def legend() -> str:
    """One sentence for every metric of the main tables."""
    lines = []
    for metric in (metrics()[key] for key in shown()):
        direction = " (less is better)" if metric.better == "lower" else ""
        lines.append(f"{metric.label}{direction}: {metric.definition}.")
    return " ".join(lines)


def _loaded(point) -> Family:
    try:
        family = point.load()
    except Exception as error:
        raise SettingsError(f"The metrics of {point.value} cannot be loaded: {error}.") from error
    if not isinstance(family, Family):
        raise SettingsError(
            f"{point.value} is a {type(family).__name__}, no Family of metrics: see splitstrument.evaluation.metrics."
        )
    return family
