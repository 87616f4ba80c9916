"""Curves from a network's masks to what they are worth."""

import numpy as np
import pytest
from pydantic import ValidationError

from splitstrument.network.calibration import calibrated
from tests.support.tiny_models import band_settings


def test_a_curve_is_straight_between_its_points(rng):
    masks = np.concatenate([rng.random(500), [0, 0.25, 0.5, 1]]).astype(np.float32).reshape(2, 2, 126)
    curve = (0.0, 0.6, 0.7, 0.7, 0.9)
    wanted = np.interp(masks, np.linspace(0, 1, 5), curve)
    assert calibrated(masks, curve).dtype == np.float32
    np.testing.assert_allclose(calibrated(masks, curve), wanted, atol=1e-6)
    np.testing.assert_allclose(calibrated(masks, (0, 1)), masks, atol=1e-7)


@pytest.mark.parametrize(
    ("calibration", "says"),
    [
        ({"flute": (0, 1)}, "'flute', which is none of the stems"),
        ({"piano": (0, 0.8, 0.7)}, "curve of piano under calibration falls"),
        ({"piano": (0.5,)}, "at least 2"),
        ({"piano": (0, 1.2)}, "less than or equal to 1"),
        ({"piano": (0, float("nan"))}, "finite|greater|less"),
    ],
)
def test_strange_curves_are_refused(calibration, says):
    with pytest.raises(ValidationError, match=says):
        band_settings(calibration=calibration)
