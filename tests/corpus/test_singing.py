"""Speakers who sing: on pitch, in time, one note at a time, the same for the same seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from splitstrument.corpus import catalogue, guests, singing
from splitstrument.corpus.arrange import Player, TrackPlan
from splitstrument.corpus.midi import Note, Part
from splitstrument.corpus.recipe import CorpusRecipe, Realism
from splitstrument.errors import DatasetError

RATE = singing.RATE_HZ


def speech(seed: int) -> np.ndarray:
    """Two seconds like speech: a buzz of 120 Hz through resonances, in syllables between hisses."""
    pytest.importorskip("pyworld")
    rng = np.random.default_rng(seed)
    time = np.arange(2 * RATE) / RATE
    buzz = sum(np.cos(2 * np.pi * 120 * k * time) / (1 + ((k - 5) / 3) ** 2) for k in range(1, 30))
    is_voiced = (time * 2.5) % 1 > 0.35
    return (np.where(is_voiced, 0.1 * buzz, 0.005 * rng.standard_normal(len(time))))[:, None].astype(np.float32)


@pytest.fixture
def clips(monkeypatch) -> list[Path]:
    spoken = [speech(seed) for seed in range(2)]
    monkeypatch.setattr(singing, "decode", lambda path: spoken[int(path.name)])
    return [Path("0"), Path("1")]


def test_syllables_are_the_voiced_stretches_with_what_stands_before_them():
    found, hz = singing.syllables_of(speech(0)[:, 0])
    assert 4 <= len(found) <= 6
    assert hz == pytest.approx(120, abs=3)
    assert all(0 <= each.vowel <= round(singing.CONSONANT_S / singing.FRAME_S) for each in found)


def test_notes_are_sung_on_pitch_and_in_time(clips):
    notes = (Note(0.5, 1.5, 60, 100), Note(1.5, 2.5, 67, 100), Note(4.0, 5.0, 64, 100))
    sound = singing.render_singing(Part("v", 53, False, notes), clips, np.random.default_rng(0))[:, 0]
    for note in notes:
        piece = sound[int((note.start_s + 0.3) * RATE) : int((note.end_s - 0.2) * RATE)]
        lags = np.arange(RATE // 400, RATE // 60)
        piece = piece - piece.mean()
        correlation = [np.dot(piece[:-lag], piece[lag:]) / (len(piece) - lag) for lag in lags]
        period = lags[int(np.argmax(correlation))]
        semitones = (12 * np.log2(RATE / period / 440) + 69 - note.pitch) % 12
        assert min(semitones, 12 - semitones) < 0.6
    assert np.abs(sound[int(2.8 * RATE) : int(3.7 * RATE)]).max() < 0.02 * np.abs(sound).max()


def test_the_same_seed_sings_the_same(clips):
    part = Part("v", 53, False, (Note(0.2, 0.8, 60, 100), Note(0.9, 1.5, 62, 80)))
    one, same, other = (singing.render_singing(part, clips, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_chords_are_sung_by_their_highest_note():
    notes = (Note(0, 1, 60, 90), Note(0, 1, 67, 90), Note(0.5, 2, 64, 90))
    melody = singing.one_at_a_time(notes)
    assert [(note.pitch, note.start_s, note.end_s) for note in melody] == [(67, 0, 0.5), (64, 0.5, 2)]
    assert [len(phrase) for phrase in singing.phrases_of([*melody, Note(3, 4, 60, 90)])] == [2, 1]


@pytest.mark.parametrize(("n_frames", "vowel", "lead", "length"), [(40, 10, 10, 100), (40, 10, 4, 5), (12, 0, 0, 1)])
def test_consonants_keep_their_length_and_vowels_take_the_notes(n_frames, vowel, lead, length):
    frames = singing.stretched(n_frames, vowel, lead, length)
    assert len(frames) == lead + length
    assert list(frames[:lead]) == list(range(vowel - lead, vowel))
    assert (np.diff(frames) >= 0).all()
    assert frames.max() < n_frames


def test_clips_without_a_voice_are_one_sentence(monkeypatch):
    pytest.importorskip("pyworld")
    monkeypatch.setattr(singing, "decode", lambda _: np.zeros((RATE, 1), np.float32))
    with pytest.raises(DatasetError, match="Nobody speaks"):
        singing.render_singing(Part("v", 53, False, (Note(0, 1, 60, 90),)), [Path("0")], np.random.default_rng(0))


def test_held_out_speakers_sing_in_tests_alone_and_not_every_voice_is_theirs():
    part = Part("v", 53, False, (Note(0, 1, 60, 90),))
    singer = Player("00_vocals", "vocals", part, "voice")
    for owner in ("train", "test"):
        recipe = CorpusRecipe(name="x", part=owner, realism=Realism(singing=True))
        plans = [TrackPlan(str(number), "composed", "t", owner, 0) for number in range(60)]
        sung = [guests._singing(singer, plan, recipe) for plan in plans]
        heard = {player.bank.name for player in sung if player.kind == "sung" and player.bank}
        assert heard == {bank.name for bank in catalogue.banks_for(owner, "speech")}
        assert 0.55 < np.mean([player.kind == "sung" for player in sung]) < 0.92
