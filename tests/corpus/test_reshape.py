"""Banks made other ones: pitches stay through the real synthesizer, timbre changes, and only where a recipe asks."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from splitstrument.corpus import catalogue, guests, reshape, soundfonts
from splitstrument.corpus.arrange import Player, TrackPlan
from splitstrument.corpus.draws import stream
from splitstrument.corpus.midi import Control, Note, Part
from splitstrument.corpus.recipe import CorpusRecipe, Realism
from splitstrument.corpus.reshape import Shape

BANK = Path("/usr/share/sounds/sf2/TimGM6mb.sf2")
needs_fluidsynth = pytest.mark.skipif(
    not shutil.which("fluidsynth") or not BANK.exists(), reason="needs fluidsynth and timgm6mb-soundfont"
)
RATE = soundfonts.RATE_HZ
PLAN = TrackPlan("track", "freedoom", "track", "train", 0)


def play(shape: Shape | None, pitch: int = 60, controls: tuple[Control, ...] = ()) -> np.ndarray:
    """A piano's note of two seconds, mono."""
    part = Part("p", 0, False, (Note(0.0, 2.0, pitch, 100),), controls)
    part = part if shape is None else reshape.reshaped(part, shape)
    return soundfonts.render_part(part, BANK, 0)[:, 0]


def spectrum(sound: np.ndarray) -> np.ndarray:
    """Magnitudes of the second after the attack, a bin for each hertz."""
    return np.abs(np.fft.rfft(sound[RATE // 10 : RATE // 10 + RATE] * np.hanning(RATE)))


def fundamental_hz(sound: np.ndarray, near_hz: float) -> int:
    low = int(near_hz / 1.3)
    return low + int(np.argmax(spectrum(sound)[low : int(near_hz * 1.3)]))


def centroid_hz(sound: np.ndarray) -> float:
    magnitudes = spectrum(sound)
    return float(np.arange(len(magnitudes)) @ magnitudes / magnitudes.sum())


def level(sound: np.ndarray, start_s: float, stop_s: float) -> float:
    return float(np.sqrt(np.mean(sound[int(start_s * RATE) : int(stop_s * RATE)] ** 2)))


@needs_fluidsynth
@pytest.mark.parametrize("semitones", [-7, -3, 7])
def test_recordings_of_other_keys_sound_at_the_same_pitch(semitones):
    plain, other = play(None), play(Shape(semitones, ()))
    assert fundamental_hz(other, 261.6) == pytest.approx(261.6, abs=2)
    size = min(len(plain), len(other))
    assert np.corrcoef(plain[:size], other[:size])[0, 1] < 0.9  # of another recording


@needs_fluidsynth
def test_a_shape_without_changes_changes_nothing():
    assert np.array_equal(play(None), play(Shape(0, ())))


@needs_fluidsynth
def test_filter_decay_and_release_do_what_they_say():
    plain = play(None)
    dull = play(Shape(0, ((reshape.CUTOFF, -4000),)))
    assert centroid_hz(dull) < 0.7 * centroid_hz(plain)
    opening = ((reshape.CUTOFF, -4000), (reshape.CUTOFF_ENVELOPE, 3600), (reshape.ENVELOPE_DECAY, 11_000))
    assert centroid_hz(dull) < centroid_hz(play(Shape(0, opening)))
    short = play(Shape(0, ((reshape.DECAY, -3000), (reshape.SUSTAIN, 100))))
    assert level(short, 1.5, 2.0) < 0.5 * level(plain, 1.5, 2.0)
    assert level(short, 0.0, 0.1) == pytest.approx(level(plain, 0.0, 0.1), rel=0.01)
    ringing = play(Shape(0, ((reshape.RELEASE, 1800),)))
    assert level(ringing, 2.1, 2.3) > 1.5 * level(plain, 2.1, 2.3)


@needs_fluidsynth
def test_what_the_score_sends_to_no_parameter_reaches_none():
    stray = (Control(0.0, reshape.DATA, 100),)
    assert np.array_equal(play(Shape(5, ())), play(Shape(5, ()), controls=stray))


def test_the_keyboards_ends_limit_the_move():
    part = Part("p", 0, False, (Note(0, 1, 2, 100), Note(1, 2, 125, 100)))
    for semitones, moved in ((-7, -2), (7, 2)):
        made = reshape.reshaped(part, Shape(semitones, ()))
        assert [note.pitch for note in made.notes] == [2 + moved, 125 + moved]
        tuning = [control.value for control in made.controls if control.number in (reshape.DATA_FINE, reshape.DATA)]
        assert tuning[0] + 128 * tuning[1] - reshape.CENTRE == -moved
    assert not reshape.reshaped(Part("empty", 0, False, ()), Shape(3, ())).notes


def test_draws_stay_where_a_controller_can_reach():
    shapes = [reshape.draw_shape(stream(seed, "shape")) for seed in range(300)]
    assert {shape.semitones for shape in shapes} == set(range(-reshape.FARTHEST, reshape.FARTHEST + 1))
    assert {generator for shape in shapes for generator, _ in shape.offsets} == {8, 9, 11, 28, 36, 37, 38}
    controls = [c for s in shapes for c in reshape.reshaped(Part("p", 0, False, (Note(0, 1, 60, 90),)), s).controls]
    assert all(0 <= control.value <= 127 for control in controls)


def test_only_soundfonts_of_pitched_parts_are_reshaped_or_made_fm_and_fm_in_training_alone():
    fluid, notes = catalogue.BANKS[0], (Note(0, 1, 60, 100),)
    band = [
        Player("guitar", "guitar", Part("guitar", 25, False, notes), "bank", bank=fluid, program=25),
        Player("drums", "drums", Part("drums", 0, True, notes), "bank", bank=fluid),
        Player("strings", "guitar", Part("strings", 25, False, notes), "strings", program=25),
    ]
    banks: dict[str, set[str]] = {}
    changed: dict[str, set[str]] = {}
    for part in ("train", "validation", "test"):
        for seed in range(60):
            recipe = CorpusRecipe(name="x", part=part, seed=seed, realism=Realism(fm=True, reshaped=True))
            for player, before in zip(guests.with_guests(band, PLAN, recipe, Path()), band, strict=True):
                banks.setdefault(part, set()).update({player.bank.name} if player.bank else ())
                changed.setdefault(part, set()).update({player.name} if player.part != before.part else ())
                if player.part != before.part:
                    assert player.part.controls
                assert player.program == before.program
    assert banks == {"train": {"fluidr3", "opl3"}, "validation": {"fluidr3"}, "test": {"fluidr3"}}
    assert changed == {part: {"guitar"} for part in banks}
