"""Fixtures of the tests of the training room."""

from __future__ import annotations

import numpy as np
import pytest
from training_data import make_pairs


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Pairs of three tracks."""
    return make_pairs(tmp_path_factory.mktemp("pairs"), ["a", "b", "c"], np.random.default_rng(1), seconds=1.2)
