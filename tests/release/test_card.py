"""The held-out section of a card: instrument and rest, each with its baselines, ceilings and the songs made worse."""

from __future__ import annotations

from splitstrument.release.card import section
from splitstrument.release.held_out import SYSTEMS


def test_the_rest_stands_beside_the_instrument():
    row = {"target": "guitar", "set": "sample", "tracks": 3, "share_from_eq": 0.4, "thesis_sdr": 0.73}
    for prefix, offset in (("", 0.0), ("rest_", 5.0)):
        for place, system in enumerate(SYSTEMS):
            row |= {f"{prefix}{system}_si_sdr": offset + place, f"{prefix}{system}_sdr": offset - place}
    row |= {"gain_over_mixture": [1.0, 2.0, 4.0], "rest_gain_over_mixture": [-0.5, -0.25, 1.0]}
    text = section({"scores": [row], "limits": [], "precision": []})
    instrument, rest = (
        [cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if "excerpts" in line
    )
    assert instrument[2:] == ["guitar", "0.0", "1.0", "2.0", "**3.0**", "4.0", "5.0", "6.0", "50 %", "1.0 to 4.0",
                              "0 of 3", "0.0", "−3.0"]  # fmt: skip
    assert rest[2:] == ["rest", "5.0", "6.0", "7.0", "**8.0**", "9.0", "10.0", "11.0", "50 %", "−0.5 to 1.0",
                        "2 of 3", "5.0", "2.0"]  # fmt: skip
