"""Recorded notes: pitches, dampers and pedal, and that they sound in training alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from splitstrument.corpus import catalogue, guests, recorded
from splitstrument.corpus.arrange import Player, TrackPlan
from splitstrument.corpus.midi import Control, Note, Part
from splitstrument.corpus.recipe import CorpusRecipe, Realism
from splitstrument.errors import DatasetError

RATE = 22_050


@pytest.fixture
def library(tmp_path: Path) -> recorded.Library:
    """A3 and C#5 of an organ, three seconds long, after a tenth of a second of silence."""
    for name, hz in (("A3", 220.0), ("Cs5v8", 554.37)):
        time = np.arange(3 * RATE) / RATE
        sound = np.concatenate([np.zeros(RATE // 10), 0.5 * np.sin(2 * np.pi * hz * time)])
        soundfile.write(tmp_path / f"{name}.mp3", sound, RATE)
    (tmp_path / "index.js").write_text("")
    return recorded.read_library(tmp_path)


def play(library: recorded.Library, *notes: Note, controls: tuple[Control, ...] = ()) -> np.ndarray:
    part = Part("p", 16, False, notes, controls)
    return recorded.render_notes(part, library, RATE, np.random.default_rng(1))[:, 0]


def pitch_hz(sound: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    return float(spectrum.argmax() * RATE / len(sound))


def level(sound: np.ndarray, start_s: float, stop_s: float) -> float:
    return float(np.sqrt(np.mean(sound[int(start_s * RATE) : int(stop_s * RATE)] ** 2)))


def test_names_say_the_pitch(library):
    assert {pitch: path.stem for pitch, path in library.items()} == {57: "A3", 73: "Cs5v8"}


def test_a_folder_without_notes_is_refused(tmp_path):
    (tmp_path / "kick.mp3").touch()
    with pytest.raises(DatasetError, match="holds no recorded notes"):
        recorded.read_library(tmp_path)


@pytest.mark.parametrize(("pitch", "hz"), [(57, 220.0), (60, 261.63), (52, 164.81), (73, 554.37), (76, 659.26)])
def test_every_pitch_is_the_nearest_recording_moved(library, pitch, hz):
    assert pitch_hz(play(library, Note(0.0, 1.0, pitch, 100))[: RATE // 2]) == pytest.approx(hz, abs=2.5)


def test_a_note_starts_on_time_and_is_damped_at_its_end(library):
    sound = play(library, Note(0.5, 1.0, 57, 127))
    assert level(sound, 0, 0.49) < 1e-3 < 0.2 < level(sound, 0.53, 1.0)
    assert level(sound, 1.0 + recorded.RELEASE_S[1], 2.0) == 0


def test_the_pedal_holds_what_ends_under_it(library):
    pedal = (Control(0.2, 64, 127), Control(2.0, 64, 0))
    held, short = (play(library, Note(0.0, 0.5, 57, 100), controls=controls) for controls in (pedal, ()))
    assert level(held, 1.0, 2.0) > 0.1 > level(short, 1.0, 2.0) == level(held, 2.3, 2.5)


def test_a_softer_note_is_quieter(library):
    loud, soft = (level(play(library, Note(0.0, 1.0, 57, velocity)), 0.2, 0.8) for velocity in (120, 60))
    assert soft == pytest.approx(loud * 0.5**recorded.SOFTER, rel=0.01)


def test_players_change_to_a_recording_of_their_own_instrument_in_training_alone():
    notes = (Note(0, 1, 60, 100),)
    fluid = catalogue.BANKS[0]
    programs = {"guitar": 25, "piano": 0, "bass": 33, "synth": 81}
    band = [
        Player(name, name, Part(name, program, False, notes), "bank", bank=fluid, program=program)
        for name, program in programs.items()
    ]
    heard: dict[str, set[str]] = {"train": set(), "validation": set(), "test": set()}
    for part, found in heard.items():
        for seed in range(40):
            recipe = CorpusRecipe(name="x", part=part, seed=seed, realism=Realism(recorded_notes=True))
            players = guests.with_guests(band, TrackPlan("t", "freedoom", "t", part, 0), recipe, Path())
            found |= {f"{player.name}: {player.bank.name}" for player in players if player.kind == "notes"}
    assert heard["train"] == {"guitar: guitar_acoustic", "piano: piano", "piano: salamander", "bass: bass_electric"}
    assert not heard["validation"] and not heard["test"]


def test_layers_are_chosen_by_strength_and_keep_their_own_level(tmp_path):
    layers = {}
    for velocity, hz in ((30, 220.0), (120, 440.0)):  # told apart by their pitch
        folder = tmp_path / str(velocity)
        folder.mkdir()
        sound = velocity / 200 * np.sin(2 * np.pi * hz * np.arange(2 * RATE) / RATE)
        soundfile.write(folder / "A3.ogg", sound, RATE)
        layers[velocity] = recorded.read_library(folder)
    soft, loud = Note(0.0, 0.9, 57, 30), Note(1.0, 1.9, 57, 120)
    sound = recorded.render_layers(Part("p", 0, False, (soft, loud)), layers, RATE, np.random.default_rng(1))[:, 0]
    pieces = [sound[int(start * RATE) : int((start + 0.6) * RATE)] for start in (0.2, 1.2)]
    assert [pitch_hz(piece) for piece in pieces] == [pytest.approx(220, abs=2), pytest.approx(440, abs=2)]
    assert np.abs(pieces[1]).max() / np.abs(pieces[0]).max() == pytest.approx(4, rel=0.1)


def test_a_share_of_the_pianos_plays_on_layers_in_training_alone():
    part = Part("p", 0, False, (Note(0, 1, 60, 90),))
    for owner, expected in (("train", True), ("validation", False), ("test", False)):
        recipe = CorpusRecipe(name="x", part=owner, realism=Realism(velocity_layers=True))
        plans = [TrackPlan(str(number), "composed", "t", owner, 0) for number in range(80)]
        kinds = {stem: [guests._on_layers(Player("p", stem, part, "bank"), plan, recipe).kind for plan in plans]
                 for stem in ("piano", "guitar")}  # fmt: skip
        assert ("layers" in kinds["piano"]) == expected
        assert "layers" not in kinds["guitar"]
        assert kinds["piano"].count("layers") < 30
