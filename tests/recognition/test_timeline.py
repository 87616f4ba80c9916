"""Timelines: values at any distance, stretches, and sentences that people read."""

from __future__ import annotations

import json

import numpy as np
import pytest

from splitstrument.recognition.classes import all_classes
from splitstrument.recognition.content import disagreement
from splitstrument.recognition.timeline import Timeline, clock, timeline_of

THRESHOLDS = dict.fromkeys(all_classes(), 0.5)


def timeline(duration_s: float = 200, **playing: list[tuple[int, int]]) -> Timeline:
    """A song in which classes play from one second to another."""
    curves = {name: np.full(int(duration_s), 0.02, np.float32) for name in all_classes()}
    for name, spans in playing.items():
        for start, end in spans:
            curves[name][start:end] = 0.9
    return Timeline(1.0, duration_s, curves, THRESHOLDS)


def test_the_sentence_of_the_readme():
    song = timeline(guitar=[(12, 160)], piano=[(65, 200)])
    assert song.sentence() == "guitar 0:12-2:40, piano from 1:05"


def test_one_kind_of_guitar_is_told_and_two_are_not():
    one = timeline(guitar=[(0, 200)], guitar_distorted=[(0, 200)])
    assert one.sentence() == "distorted guitar throughout"
    two = timeline(guitar=[(0, 200)], guitar_distorted=[(0, 200)], guitar_acoustic=[(0, 50)])
    assert two.sentence() == "guitar throughout"


def test_short_gaps_are_closed_and_many_stretches_summed_up():
    assert len(timeline(piano=[(10, 20), (22, 30)]).spans("piano")) == 1
    song = timeline(piano=[(start, start + 10) for start in range(10, 190, 20)])
    assert "on and off, 45% of the song" in song.sentence()


def test_an_instrument_that_is_not_there_is_said_to_be_absent():
    song = timeline(guitar=[(0, 100)], drums=[(0, 200)])
    assert song.absent("piano") == "There is probably no piano in this song: guitar and drums were heard."
    assert song.absent("guitar") is None
    assert song.absent("theremin") is None


def test_an_electric_piano_is_a_piano_for_who_looks_for_one():
    assert timeline(electric_piano=[(0, 100)]).absent("piano") is None


def test_a_moment_is_not_enough_to_be_in_the_song():
    assert not timeline(brass=[(7, 8)]).plays("brass")
    assert timeline(2, brass=[(0, 2)]).plays("brass")


@pytest.mark.parametrize("every_s", [0.1, 0.25, 1.0, 7.0, 300.0])
def test_values_at_any_distance_keep_the_mean(every_s, rng):
    steps = rng.random((270, len(all_classes()))).astype(np.float32)
    song = timeline_of(steps, 0.3, every_s, 81.0, list(all_classes()), THRESHOLDS)
    curve = song.probabilities["guitar"]
    assert len(curve) == int(np.ceil(81 / every_s))
    assert curve.mean() == pytest.approx(steps[:, 0].mean(), abs=0.06)
    assert steps.min() <= curve.min() and curve.max() <= steps.max()


def test_all_of_it_is_plain_json():
    data = json.loads(json.dumps(timeline(guitar=[(12, 160)]).as_dict()))
    assert data["spans"] == {"guitar": [[12, 160]]} and data["plays"] == ["guitar"]
    assert len(data["probabilities"]["guitar"]) == 200


def test_clock_times():
    assert [clock(s) for s in (0, 59.6, 3725)] == ["0:00", "1:00", "1:02:05"]


def test_a_bass_that_is_called_guitar_disagrees_with_its_name():
    found = disagreement(timeline(bass=[(0, 150)]), "guitar")
    assert found.heard == "bass" and found.score > 0.8
    assert found.message == "sounds like bass (90%) rather than guitar (2%)"
    assert disagreement(timeline(bass=[(0, 150)]), "bass").score < -0.8
    assert disagreement(timeline(), "guitar") is None
    assert disagreement(timeline(bass=[(0, 150)]), "other") is None
