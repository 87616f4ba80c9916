"""Splitstrument: one instrument and the rest, from a song.

Conventions that hold everywhere in the package:

- audio is float32, shape ``(n_samples, n_channels)``, full scale 1.0;
- an STFT is complex64, shape ``(n_channels, n_bins, n_frames)``; a magnitude or mask has the same shape, float32;
- names carry units: ``_hz``, ``_s``, ``_db``, ``_dbfs``, ``_lufs``; counts are ``n_samples``, ``n_frames``, ``n_bins``;
- every error a user can mend is a `SplitstrumentError` whose message is one sentence.

Importing this package imports neither TensorFlow nor a web server.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from splitstrument.version import __version__

if TYPE_CHECKING:
    from splitstrument.recognition.listen import recognise
    from splitstrument.separation.api import Separation, separate

# ONNX Runtime from 1.29 on keeps records of what it runs and sends them to its makers, unless told not to when loaded
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__all__ = ["Separation", "__version__", "recognise", "separate"]


def __getattr__(name: str) -> Any:
    """Load the Python API on first use, so that ``import splitstrument`` stays light."""
    if name in ("separate", "Separation"):
        from splitstrument.separation import api

        return getattr(api, name)
    if name == "recognise":
        from splitstrument.recognition.listen import recognise

        return recognise
    raise AttributeError(f"module 'splitstrument' has no attribute {name!r}")
