"""Findings: what a check suspects, how strongly, and at which seconds; their ranking and their file.

``checks.yaml`` lies at the root of an organised dataset:

    format: 1
    settings: {silence_dbfs: -50.0, ...}
    tracks:
      Song:
        findings:
          - {check: bleed, stem_class: guitar, severity: 0.8, message: ..., seconds: [[31, 35]], ...}
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field

from splitstrument.curation.checks.settings import CheckSettings
from splitstrument.files import write_yaml
from splitstrument.settings import Settings, read_yaml, validate

CHECKS_FILE = "checks.yaml"
MAX_SPANS = 8
CheckName = Literal[
    "missing",
    "inaudible",
    "low_level",
    "clipping",
    "dc",
    "wrong_length",
    "duplicate",
    "not_in_mix",
    "bleed",
    "mislabelled",
]
# the mark that a human would set if the suspicion is right; None: nothing that a listener marks
PROPOSED_MARKS: dict[CheckName, str | None] = {
    "missing": "missing",
    "inaudible": "inaudible",
    "low_level": "bad_quality",
    "clipping": "bad_quality",
    "dc": "bad_quality",
    "wrong_length": "bad_quality",
    "duplicate": "mislabeled",
    "not_in_mix": None,
    "bleed": "bleed",
    "mislabelled": "mislabeled",
}


class Finding(Settings):
    """One suspicion.

    Attributes
    ----------
    severity
        From 0 (perhaps nothing) to 1 (certainly useless as it is): what the ranking sorts by.
    mark
        The mark a listener would set if the suspicion is right.
    seconds
        Where to listen: spans from start to end, the most suspicious first, at most `MAX_SPANS`.
    value
        The measured number that `message` explains.
    """

    model_config = ConfigDict(allow_inf_nan=True)  # a measurement, not a setting

    check: CheckName
    stem_class: str
    severity: float = Field(ge=0, le=1)
    message: str
    files: tuple[str, ...] = ()
    seconds: tuple[tuple[float, float], ...] = ()
    value: float | None = None

    @property
    def mark(self) -> str | None:
        """The mark a listener would set if the suspicion is right."""
        return PROPOSED_MARKS[self.check]

    @property
    def is_absence(self) -> bool:
        """Whether there is nothing to hear, because there is no file at all."""
        return self.check == "missing" and not self.files


class TrackChecks(Settings):
    """Findings of one track."""

    findings: tuple[Finding, ...] = ()

    def of_class(self, stem_class: str) -> tuple[Finding, ...]:
        """Findings of one class, worst first."""
        return tuple(finding for finding in self.findings if finding.stem_class == stem_class)

    def suspicion(self, stem_class: str | None = None) -> float:
        """How urgently to listen: the worst severity, and a little for each further finding."""
        found = sorted((f.severity for f in self.findings if stem_class in (None, f.stem_class)), reverse=True)
        return min(1.0, found[0] + 0.02 * (len(found) - 1)) if found else 0.0


class ChecksFile(Settings):
    """Contents of ``checks.yaml``."""

    format: Literal[1] = 1
    target: str | None = None
    settings: CheckSettings = CheckSettings()
    tracks: dict[str, TrackChecks] = Field(default_factory=dict)


def read_checks(dataset: str | Path) -> ChecksFile:
    """Read a dataset's ``checks.yaml``; without one, nothing was checked yet."""
    path = Path(dataset) / CHECKS_FILE
    return validate(read_yaml(path, 64_000_000), ChecksFile, str(path)) if path.is_file() else ChecksFile()


def write_checks(dataset: str | Path, checks: ChecksFile) -> Path:
    """Write ``checks.yaml``, whole or not at all."""
    path = Path(dataset) / CHECKS_FILE
    write_yaml(path, checks.model_dump(mode="json", exclude_none=True))
    return path


def spans(suspicious: Iterable[tuple[int, float]], length_s: float = 1.0) -> tuple[tuple[float, float], ...]:
    """Join (index of a block, how suspicious) into spans of seconds, the most suspicious first.

    Neighbouring blocks become one span that is as suspicious as its worst block.
    """
    joined: list[list[float]] = []
    for index, weight in sorted(suspicious):
        if joined and index * length_s <= joined[-1][1] + 1e-9:
            joined[-1][1] = (index + 1) * length_s
            joined[-1][2] = max(joined[-1][2], weight)
        else:
            joined.append([index * length_s, (index + 1) * length_s, weight])
    worst = sorted(joined, key=lambda span: (-span[2], span[0]))[:MAX_SPANS]
    return tuple((round(start, 2), round(end, 2)) for start, end, _ in worst)


def ranked_rows(checks: ChecksFile) -> list[dict[str, Any]]:
    """One row per track and class with findings, most suspicious first: what to listen to."""
    rows = []
    for name, track in checks.tracks.items():
        for stem_class in dict.fromkeys(finding.stem_class for finding in track.findings):
            found = track.of_class(stem_class)
            rows.append(
                {"track": name, "stem_class": stem_class, "suspicion": track.suspicion(stem_class), "findings": found}
            )
    return sorted(rows, key=lambda row: (-row["suspicion"], row["track"], row["stem_class"]))
