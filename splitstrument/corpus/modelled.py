"""Whatever instrument of our own plays a part."""

from __future__ import annotations

import numpy as np

from splitstrument.audio import Audio
from splitstrument.corpus.electric_pianos import ElectricPiano, render_electric_piano
from splitstrument.corpus.guitar_playing import render_guitar
from splitstrument.corpus.guitars import Guitar
from splitstrument.corpus.midi import Part
from splitstrument.corpus.pianos import Piano, render_piano


def render(part: Part, model: Guitar | Piano | ElectricPiano, rate_hz: int, rng: np.random.Generator) -> Audio:
    """Play a part on an instrument; guitars are mono, keyboards stereo."""
    if isinstance(model, Guitar):
        return render_guitar(part, model, rate_hz, rng)
    if isinstance(model, Piano):
        return render_piano(part, model, rate_hz, rng)
    return render_electric_piano(part, model, rate_hz, rng)
