"""Tables: cells that spreadsheets would run."""

from __future__ import annotations

import pytest

from splitstrument.tables import csv_cell, csv_text_of


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", " =", "＝", "＠"])
def test_formulas_become_text_and_are_read_again(start):
    text = f"{start}cmd|' /C calc'!A0"
    assert csv_cell(text) == "'" + text and csv_text_of(csv_cell(text)) == text


@pytest.mark.parametrize("value", ["a song", "-3.5", "+2", "'tis", "", None, 3, -2.5, "A=B"])
def test_everything_else_stays(value):
    assert csv_cell(value) == value and csv_text_of(value) == value
