"""The metrics by their keys: ours from a table of families, those of other packages from entry points.

A family is what one meter computes together; see `metric` for what a meter has to do. A package of the user's own adds
one by an entry point of the group ``splitstrument.metrics`` that names a `Family`; it then stands in the CSV, the YAML
and, where it is ``shown``, in the tables.
"""

from __future__ import annotations

from functools import cache

from splitstrument.evaluation.metrics import bleed, bss_meter, distortion, leakage, log_wmse, spectral
from splitstrument.evaluation.metrics.metric import SOURCES, Family, Metric
from splitstrument.registry import Registry

__all__ = ["FAMILIES", "SOURCES", "better", "families", "legend", "metrics", "problems", "shown", "units"]

FAMILIES: Registry[Family] = Registry(
    "family of metrics",
    "splitstrument.metrics",
    {
        "bss_eval": bss_meter.FAMILY,
        "distortion": distortion.FAMILY,
        "spectral": spectral.FAMILY,
        "bleed": bleed.FAMILY,
        "log_wmse": log_wmse.FAMILY,
        "leakage": leakage.FAMILY,
    },
    lambda member: isinstance(member, Family),
    "a Family of metrics",
)
SHARE_METRICS = ("sdr", "si_sdr", "usdr", "sdr_v4")


def families() -> tuple[Family, ...]:
    """All families that can be loaded and whose keys are their own, ours first."""
    return _families()[0]


def problems() -> list[str]:
    """Say which families of other packages are left out, and why."""
    return [*FAMILIES.problems(), *_families()[1]]


def metrics() -> dict[str, Metric]:
    """All metrics by key, in the order of tables."""
    return {metric.key: metric for family in families() for metric in family.metrics}


def shown() -> tuple[str, ...]:
    """Keys of the metrics in the main tables."""
    return tuple(key for key, metric in metrics().items() if metric.shown)


def units() -> str:
    """Say in which units the main tables are."""
    plain = [metric.label for metric in (metrics()[key] for key in shown()) if not metric.unit]
    return "in dB" + (f" ({', '.join(plain)}: without unit)" if plain else "")


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


@cache
def _families() -> tuple[tuple[Family, ...], list[str]]:
    found: dict[str, Family] = {}
    keys: set[str] = set()
    wrong = []
    for name, family in FAMILIES.members().items():
        if taken := keys & {metric.key for metric in family.metrics}:
            wrong.append(
                f"The {FAMILIES.kind} {name!r} has a metric {min(taken)!r}, which exists: give it another key."
            )
            continue
        keys |= {metric.key for metric in family.metrics}
        found[name] = family
    return tuple(found.values()), wrong
