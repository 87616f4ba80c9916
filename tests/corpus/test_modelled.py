"""Strings, pianos and electric pianos of our own against what their physics says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from splitstrument.corpus import (
    amplifiers,
    effects,
    electric_pianos,
    guitar_playing,
    guitars,
    heavy,
    pianos,
)
from splitstrument.corpus.arrange import Player, TrackPlan
from splitstrument.corpus.midi import Control, Note, Part
from splitstrument.corpus.partials import damped_partials, stiff_partials
from splitstrument.corpus.recipe import CorpusRecipe

RATE = 22_050


def frequency_near(sound: np.ndarray, hz: float, rate_hz: int = RATE) -> float:
    """Frequency of the strongest peak within 4 % of `hz`, by a parabola through a windowed, padded spectrum."""
    size = 1 << 20
    spectrum = np.log(np.abs(np.fft.rfft(sound * np.hanning(len(sound)), size)) + 1e-12)
    low, high = (int(hz * factor * size / rate_hz) for factor in (0.96, 1.04))
    peak = low + int(np.argmax(spectrum[low:high]))
    left, middle, right = spectrum[peak - 1 : peak + 2]
    return (peak + 0.5 * (left - right) / (left - 2 * middle + right)) * rate_hz / size


def cents(a: float, b: float) -> float:
    return 1200 * np.log2(a / b)


def level_at(sound: np.ndarray, hz: float, start_s: float, length_s: float = 0.2) -> float:
    """Amplitude at one frequency in dB, in a stretch of the sound."""
    piece = sound[int(start_s * RATE) : int((start_s + length_s) * RATE)]
    wave = np.exp(-2j * np.pi * hz * np.arange(len(piece)) / RATE) * np.hanning(len(piece))
    return float(20 * np.log10(np.abs(piece @ wave) + 1e-12))


def test_damped_partials_are_the_sum_that_they_say():
    hz, decay, level, phase = np.array([220.0, 1234.5]), np.array([0.5, 2.0]), np.array([1.0, 0.3]), np.array([0.2, -1])
    time = np.arange(RATE) / RATE
    expected = sum(
        a * 10 ** (-3 * time / d) * np.cos(2 * np.pi * f * time + p)
        for f, d, a, p in zip(hz, decay, level, phase, strict=True)
    )
    assert np.abs(damped_partials(hz, decay, level, phase, RATE, RATE) - expected).max() < 5e-4


def test_partials_that_would_alias_are_left_out():
    assert not damped_partials(np.array([12_000.0]), 1.0, 1.0, 0.0, 1000, RATE).any()


def test_stiff_partials_are_fletchers():
    k, hz = stiff_partials(110.0, 2e-4, 8000.0, 100)
    assert hz[0] == pytest.approx(110.0)
    assert hz[9] / hz[0] == pytest.approx(10 * np.sqrt((1 + 2e-4 * 100) / (1 + 2e-4)))
    assert hz[-1] < 8000.0
    assert len(k) == len(hz)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def padded(sound: np.ndarray) -> np.ndarray:
    return np.pad(sound, (0, 2 * RATE))[: 2 * RATE]


def quiet(guitar: guitars.Guitar) -> guitars.Guitar:
    """The same guitar without what moves its pitch or hides its partials."""
    return replace(
        guitar, glide_cents=0.0, pick_noise=1e-6, planes_hz=1e-6, planes_ratio=1.0, roughness=0.0, detune=0.0
    )


@pytest.mark.parametrize("kind", guitars.KINDS)
@pytest.mark.parametrize("pitch", [40, 57, 76])
def test_a_plucked_string_is_in_tune(kind, pitch):
    guitar = quiet(guitars.draw_guitar(np.random.default_rng(1), kind))
    string = min(range(6), key=lambda s: abs(pitch - guitars.OPEN_STRINGS[s]))
    sound = guitars.pluck(guitar, guitars.Pluck(pitch, 100, string, 2.0), RATE, np.random.default_rng(0))
    hz = 440 * 2 ** ((pitch - 69) / 12)
    assert abs(cents(frequency_near(sound, hz), hz)) < 2


def test_a_string_is_as_stiff_as_asked():
    guitar = replace(quiet(guitars.draw_guitar(np.random.default_rng(2), "electric")), inharmonicity=1.5e-4)
    sound = guitars.pluck(guitar, guitars.Pluck(64, 110, 5, 2.0), RATE, np.random.default_rng(0))
    first, sixth = (frequency_near(sound, k * 329.63) for k in (1, 6))
    stretch = np.sqrt((1 + 1.5e-4 * 36) / (1 + 1.5e-4))
    assert cents(sixth / first, 6 * stretch) == pytest.approx(0, abs=1.0)
    assert cents(6 * stretch, 6) > 4  # the check would see a string without stiffness


def test_a_string_decays_as_asked():
    guitar = replace(quiet(guitars.draw_guitar(np.random.default_rng(3), "electric")), decay_s=4.0, high_decay_s=3.5)
    sound = guitars.pluck(guitar, guitars.Pluck(40, 100, 0, 3.0), RATE, np.random.default_rng(0))
    fall = level_at(sound, 82.407, 0.5) - level_at(sound, 82.407, 1.5)
    assert fall == pytest.approx(15, abs=1.5)  # 60 dB in 4 s


def test_muting_shortens_and_darkens():
    guitar = guitars.draw_guitar(np.random.default_rng(4), "electric")
    open_, muted = (
        padded(guitars.pluck(guitar, guitars.Pluck(45, 110, 1, 1.0, muted=muted), RATE, rng))
        for muted, rng in ((False, np.random.default_rng(0)), (True, np.random.default_rng(0)))
    )
    late = slice(int(0.3 * RATE), int(0.4 * RATE))
    assert np.abs(muted[late]).max() < 0.15 * np.abs(open_[late]).max()
    hz = np.fft.rfftfreq(2000, 1 / RATE)
    centroid = [np.average(hz, weights=np.abs(np.fft.rfft(sound[100:2100]))) for sound in (open_, muted)]
    assert centroid[1] < 0.8 * centroid[0]


def test_bends_reach_the_note_that_the_wheel_says():
    guitar = quiet(guitars.draw_guitar(np.random.default_rng(5), "electric"))
    guitar = replace(guitar, slide=0.0, vibrato=0.0, mute=0.0)
    part = Part("lead", 27, False, (Note(0.0, 2.0, 64, 100),), (Control(0.0, -1, 0), Control(0.5, -1, 8191)))
    sound = guitar_playing.render_guitar(part, guitar, RATE, np.random.default_rng(1))[:, 0]
    wanted = 440 * 2 ** ((66 - 69) / 12)
    assert abs(cents(frequency_near(sound[int(0.7 * RATE) : int(1.9 * RATE)], wanted), wanted)) < 3


def test_a_pick_in_the_middle_leaves_even_partials_out():
    guitar = replace(quiet(guitars.draw_guitar(np.random.default_rng(6), "electric")), pick=0.5, pickup=0.13)
    sound = guitars.pluck(guitar, guitars.Pluck(45, 110, 1, 2.0), RATE, np.random.default_rng(0))
    levels = [level_at(sound, frequency_near(sound, k * 110.0), 0.1, 1.0) for k in (1, 2, 3)]
    assert levels[1] < min(levels[0], levels[2]) - 12


def test_a_string_plays_one_note_at_a_time_and_chords_spread_over_strings():
    chord = [Note(0.0, 2.0, pitch, 90) for pitch in (40, 47, 52, 56, 59, 64)]
    strings = guitar_playing.strings_of(chord)
    assert sorted(strings) == list(range(6))
    guitar = guitars.draw_guitar(np.random.default_rng(0), "steel")
    part = Part("p", 25, False, (Note(0.0, 5.0, 40, 90), Note(1.0, 2.0, 41, 90)))
    ends = [until for _, _, until in guitar_playing.played(part, guitar, np.random.default_rng(0))]
    assert ends == [1.0, 2.0]  # both lie on the lowest string alone


@pytest.mark.parametrize("kind", pianos.KINDS)
@pytest.mark.parametrize("pitch", [28, 60, 91])
def test_a_piano_key_is_in_tune(kind, pitch):
    piano = replace(pianos.draw_piano(np.random.default_rng(1), kind), stretch=0.0, detune=0.0, knock=1e-6)
    sound = pianos.strike(piano, pitch, 90, 2.0, RATE, np.random.default_rng(0))
    hz = 440 * 2 ** ((pitch - 69) / 12)
    assert abs(cents(frequency_near(sound, hz), hz)) < 2


def test_a_piano_string_is_as_stiff_as_asked():
    piano = replace(pianos.draw_piano(np.random.default_rng(1), "grand"), stretch=0.0, detune=0.0, knock=1e-6)
    sound = pianos.strike(piano, 60, 110, 2.0, RATE, np.random.default_rng(0))
    first, eighth = (frequency_near(sound, 261.63 * factor) for factor in (1, 8.05))
    b = ((eighth / first / 8) ** 2 - 1) / (64 - (eighth / first / 8) ** 2)
    assert b == pytest.approx(pianos.inharmonicity_of(piano, 60), rel=0.03)
    assert 5e-5 < b < 2e-3  # a real piano's at middle C: about 4e-4


def test_a_piano_decays_twice():
    piano = pianos.draw_piano(np.random.default_rng(2), "grand")
    piano = replace(
        piano, detune=0.0, stretch=0.0, decay_s=3.0, after=5.0, after_db=-20.0, high_decay_s=9.0, knock=1e-6
    )
    sound = pianos.strike(piano, 60, 100, 8.0, RATE, np.random.default_rng(0))
    at = [level_at(sound, 261.63, start) for start in (0.2, 0.7, 4.0, 5.0)]
    early, late = (at[0] - at[1]) / 0.5, at[2] - at[3]
    assert early == pytest.approx(20, abs=4)  # 60 dB in 3 s
    assert late == pytest.approx(4, abs=1)  # a fifth of that


def test_harder_strokes_are_brighter_not_only_louder():
    for module, draw, kinds in (
        (pianos, pianos.draw_piano, pianos.KINDS),
        (electric_pianos, electric_pianos.draw_electric_piano, electric_pianos.KINDS),
    ):
        for kind in kinds:
            piano = draw(np.random.default_rng(3), kind)
            hz = np.fft.rfftfreq(8192, 1 / RATE)
            centroid = []
            for velocity in (30, 120):
                sound = module.strike(piano, 55, velocity, 1.0, RATE, np.random.default_rng(0))[200:8392]
                centroid.append(np.average(hz, weights=np.abs(np.fft.rfft(sound * np.hanning(8192))) ** 2))
            assert centroid[1] > 1.02 * centroid[0], kind


@pytest.mark.parametrize("kind", electric_pianos.KINDS)
def test_an_electric_piano_key_is_in_tune(kind):
    piano = replace(electric_pianos.draw_electric_piano(np.random.default_rng(1), kind), detune=0.0, knock=1e-6)
    sound = electric_pianos.strike(piano, 64, 80, 2.0, RATE, np.random.default_rng(0))
    assert abs(cents(frequency_near(sound, 329.63), 329.63)) < 2


def test_dampers_stop_keys_and_the_pedal_holds_them():
    notes = (Note(0.0, 0.3, 60, 90), Note(0.5, 0.8, 64, 90))
    pressed = (Control(0.1, 64, 127), Control(2.0, 64, 0))
    piano = pianos.draw_piano(np.random.default_rng(1), "grand")
    dry, held = (
        pianos.render_piano(Part("p", 0, False, notes, controls), piano, RATE, np.random.default_rng(0))
        for controls in ((), pressed)
    )
    late = slice(int(1.6 * RATE), int(1.9 * RATE))
    assert np.abs(dry[late]).max() < 0.02 * np.abs(held[late]).max()
    assert [until for _, until in pianos.with_pedal(Part("p", 0, False, notes, pressed))] == [2.0, 2.0]


@pytest.mark.parametrize(
    ("draw", "render", "kinds"),
    [
        (guitars.draw_guitar, guitar_playing.render_guitar, guitars.KINDS),
        (pianos.draw_piano, pianos.render_piano, pianos.KINDS),
        (electric_pianos.draw_electric_piano, electric_pianos.render_electric_piano, electric_pianos.KINDS),
    ],
)
def test_the_same_seed_gives_the_same_bytes_and_another_one_another_instrument(draw, render, kinds):
    part = Part("p", 0, False, tuple(Note(0.3 * i, 0.3 * i + 0.4, 50 + 3 * i, 70 + 5 * i) for i in range(8)))
    for kind in kinds:
        one, same, other = (
            render(part, draw(np.random.default_rng(seed), kind), RATE, np.random.default_rng(0)) for seed in (1, 1, 2)
        )
        assert np.array_equal(one, same)
        assert not np.allclose(one[: len(other)], other[: len(one)], atol=0.05)
        assert np.isfinite(one).all()
        assert 0.1 < np.abs(one).max() < 20


def test_fast_picking_reuses_plucks_but_not_always_the_same():
    guitar = guitars.draw_guitar(np.random.default_rng(1), "electric")
    part = Part("p", 30, False, tuple(Note(0.1 * i, 0.1 * i + 0.1, 40, 100) for i in range(40)))
    sound = guitar_playing.render_guitar(part, guitar, RATE, np.random.default_rng(0))[:, 0]
    strokes = sound[: 40 * 2205].reshape(40, 2205)[1:]
    assert 2 < len(np.unique(np.round(np.abs(strokes[:, :300]).sum(axis=1), 3))) < 40


def test_a_wall_of_gain_is_noise_like_and_its_gate_closes():
    guitar = guitars.draw_guitar(np.random.default_rng(1), "electric")
    chords = tuple(Note(0.1 * i, 0.1 * i + 0.1, 33 + p, 110) for i in range(30) for p in (0, 7, 12))
    dry = np.pad(
        guitar_playing.render_guitar(Part("p", 30, False, chords), guitar, 44_100, rng()), ((0, 44_100), (0, 0))
    )
    flatness = []
    for style in ("clean", "wall"):
        sound = amplifiers.amplify(dry, 44_100, amplifiers.draw_amplifier(rng(), style, []))
        power = np.abs(np.fft.rfft(sound[:88_064, 0].reshape(-1, 1024) * np.hanning(1024))[:, 10:100]) ** 2
        flatness.append(np.exp(np.log(power).mean()) / power.mean())
    assert flatness[1] > 1.5 * flatness[0]
    assert effects.rms_db(sound[-30_000:]) < effects.rms_db(sound[:88_200]) - 15


def test_heavy_songs_are_tuned_down_by_one_interval_and_drums_stay():
    guitar_part = Part("g", 30, False, tuple(Note(0.5 * i, 0.5 * i + 0.4, 45 + i % 3, 90) for i in range(12)))
    others = [Part("b", 33, False, guitar_part.notes), Part("d", 0, True, (Note(0, 1, 38, 90),))]
    band = [Player("0", "guitar", guitar_part, "bank", "rhythm", program=30)]
    band += [Player(str(i + 1), c, p, "bank") for i, (c, p) in enumerate(zip(("bass", "drums"), others, strict=True))]
    recipe = CorpusRecipe(name="x", measured_responses=False)
    for number in range(20):
        plan = TrackPlan(f"t{number}", "composed", "t", "train", 0)
        guitar, bass, drums = heavy.heavy(band, plan, recipe, Path())
        assert drums.part == others[1]
        if guitar.amplifier is None:
            assert bass == band[1]
            continue
        down = {old.pitch - new.pitch for old, new in zip(others[0].notes, bass.part.notes, strict=True)}
        assert (len(down), guitar.takes, guitar.amplifier.style) == (1, 2, "wall")
        played = {note.pitch for note in guitar.part.notes}
        assert played & {note.pitch - next(iter(down)) for note in guitar_part.notes}


def test_picking_keeps_the_time_that_chords_take():
    part = Part("g", 30, False, (Note(0.0, 0.4, 40, 90), Note(0.5, 0.6, 40, 90)))
    notes = heavy.picked(part, 2).notes
    assert [(n.start_s, round(n.end_s, 3)) for n in notes] == [(0.0, 0.2), (0.2, 0.4), (0.5, 0.6)]
