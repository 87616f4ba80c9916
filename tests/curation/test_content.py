"""Stems that sound like something else than the class they are filed under, on real music."""

from __future__ import annotations

import shutil

import pytest

from splitstrument.curation.checks.run import check_track
from splitstrument.recipes import recipes_folder

REAL = recipes_folder("datasets") / "sample" / "real"


@pytest.fixture(scope="module")
def findings(tmp_path_factory):
    """Guitar of a metal band under its own name, and its drums and bass called a piano."""
    folder = tmp_path_factory.mktemp("dataset") / "song"
    guitar = next(path for path in sorted(REAL.rglob("instrument*.flac")))
    for source, stem_class in ((guitar, "guitar"), (next(guitar.parent.glob("rest*.flac")), "piano")):
        (folder / stem_class).mkdir(parents=True)
        shutil.copy(source, folder / stem_class / f"{stem_class}.flac")
    return [finding for finding in check_track(folder).findings if finding.check == "mislabelled"]


def test_a_rhythm_section_that_is_called_piano_is_reported(findings):
    (finding,) = findings
    assert finding.stem_class == "piano" and finding.mark == "mislabeled"
    assert "rather than piano" in finding.message and finding.value > 0.3
    assert finding.files == ("piano/piano.flac",) and finding.seconds
