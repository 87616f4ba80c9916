"""What a network's masks are worth: a curve for each instrument, from mask to mask.

A network that hears an unknown guitar is unsure and answers less than the guitar's share; the curve says what share
there really was on the songs by which models are chosen (fitted by `splitstrument.release.calibration`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from splitstrument.spectrogram import Float


def calibrated(masks: Float, curve: Sequence[float]) -> Float:
    """Masks by a curve through points at equal distances from mask 0 to mask 1, straight between them.

    Parameters
    ----------
    masks
        0 to 1, any shape, float32.
    curve
        At least two values from 0 to 1 that do not fall.
    """
    points = np.asarray(curve, np.float32)
    place = masks * np.float32(len(points) - 1)
    below = np.minimum(place.astype(np.int32), len(points) - 2)
    return points[below] + np.diff(points)[below] * (place - below).astype(np.float32)
