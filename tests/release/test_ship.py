"""From a run of several instruments to a model: the outputs that are kept, and what they came from."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("sklearn")  # of the extra [train]

from stem_set_data import make_set, stem_settings

from splitstrument.errors import ModelError
from splitstrument.network.registry import build_network
from splitstrument.release import ship
from splitstrument.training.run import train


def test_a_model_keeps_the_stems_that_it_is_told_to(tmp_path, monkeypatch, rng):
    """Their masks are the run's, within float16; provenance names the run and what it started from."""
    settings = stem_settings(make_set(tmp_path / "set", "ab"), epochs=1, steps_per_epoch=1)
    train(settings, tmp_path / "first", quiet=True)
    again = settings.model_copy(update={"init_from": str(tmp_path / "first")})
    train(again, tmp_path / "run", quiet=True)
    monkeypatch.setattr(ship, "SHIPPED", tmp_path / "shipped")
    folder = ship.ship(
        [tmp_path / "run"],
        "band",
        "",
        "two songs",
        ["bass", "guitar"],
        {"overlap": 0.125, "calibration": {"guitar": [0, 1]}},
    )
    assert (folder.settings.names, folder.settings.target) == (("bass", "guitar"), "bass")
    assert folder.settings.calibration == {"guitar": (0, 1)}
    run, shipped = build_network(settings.model), build_network(folder.settings)
    run.load_weights(tmp_path / "run" / "best.weights.h5")
    shipped.load_weights(folder.file("best.weights.h5"))
    views = (rng.random((2, 65, 16, 2)) ** 3).astype(np.float32)
    np.testing.assert_allclose(shipped(views), run(views).numpy()[..., [2, 3, 0, 1]], atol=2e-3)
    parts = json.loads((folder.path / "provenance.json").read_text())
    assert list(parts) == [str(tmp_path / "first"), str(tmp_path / "run")]
    with pytest.raises(ModelError, match="no stem 'flute'"):
        ship.ship([tmp_path / "run"], "band", "", "", ["flute"], {})
