"""Words to equalizer curves: a small table of our own, with an amount, matched in loudness.

A word that is not in the table is not guessed: the error offers words that are spelled alike and says what there is.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitstrument.errors import SettingsError
from splitstrument.loudness import k_weighting
from splitstrument.settings import read_yaml

TABLE = Path(__file__).with_name("words.yaml")
MAX_AMOUNT = 2.0
REFERENCE_RATE_HZ = 48_000


@dataclass(frozen=True)
class Word:
    """A word and its curve.

    Attributes
    ----------
    hertz, gains_db
        Points of the curve at an amount of 1.
    opposite
        A word of the table, or empty.
    source
        Where the frequency range comes from.
    """

    name: str
    hertz: tuple[float, ...]
    gains_db: tuple[float, ...]
    opposite: str
    source: str

    def curve_db(self, amount: float = 1.0) -> tuple[float, ...]:
        """Gains at the points for an amount from -2 to 2, moved so that music stays about as loud.

        Raises
        ------
        SettingsError
            If the amount is beyond that.
        """
        if not abs(amount) <= MAX_AMOUNT:
            raise SettingsError(
                f"The amount of {self.name!r} is between -2 and 2: 1 is as in the table, not {amount:g}."
            )
        gains = amount * np.array(self.gains_db)
        return tuple(gains - loudness_change_db(np.array(self.hertz), gains))


@lru_cache(maxsize=1)
def words() -> dict[str, Word]:
    """The table, sorted."""
    return {name: _word(name, entry) for name, entry in sorted(read_yaml(TABLE).items())}


def _word(name: str, entry: dict[str, Any]) -> Word:
    hertz, gains_db = zip(*entry["points"], strict=True)
    return Word(name, hertz, gains_db, entry.get("opposite", ""), entry["source"])


def find_word(name: str) -> Word:
    """Look a word up.

    Raises
    ------
    SettingsError
        If the table does not have it; nothing is guessed.
    """
    table = words()
    if name.lower() in table:
        return table[name.lower()]
    close = difflib.get_close_matches(name.lower(), table, n=3, cutoff=0.6)
    offer = f"did you mean {' or '.join(close)}?" if close else f"there are {', '.join(table)}."
    raise SettingsError(f"Nobody here has a curve for {name!r}, and it is not guessed: {offer}")


def loudness_change_db(hertz: NDArray[np.float64], gains_db: NDArray[np.float64]) -> float:
    """Return the change in dB that a curve makes to the loudness of pink noise, which is balanced about like music."""
    grid = np.geomspace(30, 16_000, 400)  # equal steps of log frequency: pink noise has the same energy in each
    z = np.exp(-2j * np.pi * grid / REFERENCE_RATE_HZ)
    powers = np.stack([z**0, z, z**2])
    weight = np.prod([np.abs((s[:3] @ powers) / (s[3:] @ powers)) ** 2 for s in k_weighting(REFERENCE_RATE_HZ)], axis=0)
    gain = 10 ** (np.interp(np.log(grid), np.log(hertz), gains_db) / 10)
    return float(10 * np.log10((weight * gain).sum() / weight.sum()))
