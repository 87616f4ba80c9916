"""Fixtures of the tests of the corpus."""

from __future__ import annotations

from pathlib import Path

import pytest
from corpus_data import BANK, write_song

from splitstrument.corpus import catalogue


@pytest.fixture
def ingredients(tmp_path: Path) -> Path:
    """A folder of packages with one real bank and one song of our own, written as MIDI."""
    root = tmp_path / "ingredients"
    bank = root / "timgm6mb-soundfont" / catalogue.SF2
    bank.mkdir(parents=True)
    (bank / BANK.name).symlink_to(BANK)
    (root / "freedoom").mkdir()
    write_song(root / "freedoom" / "song.mid")
    return root
