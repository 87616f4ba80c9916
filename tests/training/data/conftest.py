"""Fixtures of the tests of training data."""

from __future__ import annotations

import pytest
from joint_data import make_joint_songs


@pytest.fixture
def songs(tmp_path, rng):
    """Songs a and b with a first instrument, b and c with a second one."""
    return make_joint_songs(tmp_path, rng)
