"""Segments made on the device by the Keras backend that KERAS_BACKEND names.

    python tests/support/backend_segments.py PAIRS

Prints the level of every part of a batch of one segment, whose draws change everything that can be changed.
"""

import json
import sys

import numpy as np
from training_data import tiny_settings

from splitstrument.training.backend import choose_backend

choose_backend()

from splitstrument.training.data.device import DeviceSource  # noqa: E402  (after the backend)
from splitstrument.training.data.reading import make_reader  # noqa: E402
from splitstrument.training.data.tracks import load_tracks  # noqa: E402

settings = tiny_settings(
    {"path": sys.argv[1], "role": "training"},
    data={"source": "segments", "place": "device", "workers": 1},
    augmentation={"speed": 0.1, "double": 1, "drive": 1, "equalizer_db": 6, "low_pass": 0.5, "gain_db": 6},
    loss={"name": "relative_error"},
    batch_size=1,
)
source = DeviceSource(load_tracks(settings).training, settings, make_reader("soundfile"), phase=True)
batches = [source.batch(0, step) for step in range(4)]
print(json.dumps({name: [float(np.std(np.asarray(batch[name]))) for batch in batches] for name in batches[0]}))
