"""A bank made another one: the same notes on samples of other keys, through other filters and envelopes.

A General MIDI bank is a few hundred recordings, and a network learns them by heart. SoundFont 2.01 lets a score change
what a bank does with its recordings (section 9.6, "NRPN controllers"); fluidsynth follows. A note that is played on the
recording of another key, at the speed that brings it back, has its formants moved, as in small banks that stretch one
recording over many keys.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from splitstrument.corpus.draws import chance
from splitstrument.corpus.midi import Control, Part

# SoundFont 2.01 section 8.1.2, and what a step of the controller is worth in the units there (section 9.6.3)
CUTOFF, RESONANCE, CUTOFF_ENVELOPE, ENVELOPE_DECAY, DECAY, SUSTAIN, RELEASE, SEMITONES = 8, 9, 11, 28, 36, 37, 38, 51
UNITS = {CUTOFF: 2, CUTOFF_ENVELOPE: 2, ENVELOPE_DECAY: 2, DECAY: 2, RELEASE: 2}
DATA, DATA_FINE, NRPN_FINE, NRPN, RPN_FINE, RPN = 6, 38, 98, 99, 100, 101
SOUNDFONT_NRPN, NONE, CENTRE = 120, 127, 8192
FARTHEST = 7  # semitones


@dataclass(frozen=True)
class Shape:
    """Changes to a bank.

    Attributes
    ----------
    semitones
        Upwards to the key whose recording plays.
    offsets
        By generator: cents (cutoff and its envelope), time cents (decay, release), centibels (resonance, sustain).
    """

    semitones: int
    offsets: tuple[tuple[int, int], ...]


def draw_shape(rng: np.random.Generator) -> Shape:
    """Draw a shape: some banks become duller or brighter at the attack, shorter, or longer at the end of a note."""
    offsets = []
    if chance(rng, 0.5):
        offsets.append((CUTOFF, -int(rng.uniform(600, 4200))))
        offsets.append((RESONANCE, int(rng.uniform(0, 80))))
        if chance(rng, 0.5):
            offsets += [(CUTOFF_ENVELOPE, int(rng.uniform(600, 3600))), (ENVELOPE_DECAY, int(rng.uniform(9000, 13000)))]
    if chance(rng, 0.4):
        offsets += [(DECAY, int(rng.uniform(-2000, 600))), (SUSTAIN, int(rng.uniform(0, 200)))]
    if chance(rng, 0.4):
        offsets.append((RELEASE, int(rng.uniform(-2400, 1800))))
    return Shape(int(rng.integers(-FARTHEST, FARTHEST + 1)), tuple(offsets))


def reshaped(part: Part, shape: Shape) -> Part:
    """The part with the controllers that make its bank another one; it sounds at the pitches it had.

    A part with notes at an end of the keyboard is moved by less.
    """
    pitches = [note.pitch for note in part.notes]
    semitones = int(np.clip(shape.semitones, -min(pitches, default=0), 127 - max(pitches, default=127)))
    notes = tuple(replace(note, pitch=note.pitch + semitones) for note in part.notes)
    changes = [*shape.offsets, (SEMITONES, -semitones)]
    controls = [control for generator, offset in changes for control in _nrpn(generator, offset)]
    # what the score sends afterwards is for nobody, unless it names a parameter of its own
    controls += [Control(0.0, RPN, NONE), Control(0.0, RPN_FINE, NONE)]
    return replace(part, notes=notes, controls=(*controls, *part.controls))


def _nrpn(generator: int, offset: int) -> list[Control]:
    value = CENTRE + round(offset / UNITS.get(generator, 1))
    steps = ((NRPN, SOUNDFONT_NRPN), (NRPN_FINE, generator), (DATA_FINE, value & 127), (DATA, value >> 7))
    return [Control(0.0, number, each) for number, each in steps]
