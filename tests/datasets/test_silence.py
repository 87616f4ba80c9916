"""Silences: properties on random tracks, then real files on disk at two rates."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splitstrument import audio
from splitstrument.datasets.silence import SilenceSettings, find_silences, plan_cuts, silent_blocks
from splitstrument.datasets.silence_cut import (
    cut_blocks,
    cut_track,
    histogram,
    histogram_text,
    pairs_by_track,
    plan_track,
)
from splitstrument.errors import SettingsError
from splitstrument.pairs import find_pairs
from splitstrument.settings import validate

RATE = 1000
BLOCK = 10  # samples of 10 ms
BELOW = 10 ** (-50 / 20)

pieces = st.lists(st.tuples(st.booleans(), st.integers(1, 400)), min_size=1, max_size=14)
shares = st.sampled_from([0.2, 0.5, 0.7, 0.9, 1.0])
orders = st.sampled_from(["longest", "ends_first"])
lasts = st.sampled_from(["whole", "shortened"])


def track_of(pieces: list[tuple[bool, int]], extra: int, rng: np.random.Generator) -> np.ndarray:
    """Loud and quiet pieces of whole blocks, and `extra` samples that do not fill a block."""
    levels = np.repeat([1.0 if loud else BELOW * 0.5 for loud, _ in pieces], [n * BLOCK for _, n in pieces])
    levels = np.append(levels, np.full(extra, levels[-1]))
    # every sample has the level's magnitude, so that each block is clearly on one side of the threshold
    return (levels * rng.choice([-0.5, 0.5], len(levels)))[:, None].astype(np.float32)


def plan_of(track: np.ndarray, options: SilenceSettings):
    return plan_cuts(silent_blocks([track], BLOCK, options.threshold_dbfs), len(track), RATE, options)


def slow_silences(silent: list[bool], min_blocks: int) -> list[tuple[int, int]]:
    """The obvious loop."""
    found, start = [], None
    for index, quiet in enumerate([*silent, False]):
        if quiet and start is None:
            start = index
        if not quiet and start is not None:
            if index - start >= min_blocks:
                found.append((start, index))
            start = None
    return found


@given(st.lists(st.booleans(), max_size=80), st.integers(1, 5))
def test_runs_equal_a_slow_loop(silent, min_blocks):
    runs = find_silences(np.array(silent, bool), min_blocks)
    assert [tuple(run) for run in runs.tolist()] == slow_silences(silent, min_blocks)


@settings(max_examples=150, deadline=None)
@given(pieces, st.integers(0, 9), shares, orders, lasts, st.integers(0, 2**32 - 1))
def test_cuts_lie_in_silences_reach_the_target_and_stop_there(pieces, extra, to, order, last, seed):
    track = track_of(pieces, extra, np.random.default_rng(seed))
    options = SilenceSettings(to=to, below_audible=1.0, order=order, last=last)
    plan = plan_of(track, options)
    silences = find_silences(silent_blocks([track], BLOCK, -50), options.min_blocks()) * BLOCK
    for start, end in plan.cuts:
        assert any(low <= start and end <= high + BLOCK for low, high in silences)
    if plan.share_before > 0:
        assert plan.share_after >= to or len(plan.cuts) == len(silences)
    if len(plan.cuts) and last == "whole":
        assert _share_without_last_choice(plan, order) < to


def _share_without_last_choice(plan, order) -> float:
    """The audible share if the cut that was chosen last had not been made."""
    cuts = sorted(plan.cuts.tolist(), key=lambda cut: -(cut[1] - cut[0]))
    if order == "ends_first":
        ends = sorted(cut for cut in cuts if cut[0] == 0 or cut[1] == plan.n_samples)
        cuts = ends + [cut for cut in cuts if cut not in ends]
    before = sum(end - start - plan.fade for start, end in cuts[:-1])
    n_silent = (1 - plan.share_before) * plan.n_samples
    return 1 - (n_silent - before) / (plan.n_samples - before)


@settings(max_examples=100, deadline=None)
@given(pieces, st.integers(0, 9), shares, orders, lasts, st.integers(0, 2**32 - 1))
def test_cut_audio_keeps_every_audible_block_and_has_the_promised_share(
    tmp_path_factory, pieces, extra, to, order, last, seed
):
    track = track_of(pieces, extra, np.random.default_rng(seed))
    options = SilenceSettings(to=to, below_audible=1.0, order=order, last=last)
    plan = plan_of(track, options)
    path = tmp_path_factory.mktemp("cut") / "track.wav"
    audio.write(path, track, RATE, "FLOAT")
    result = np.concatenate(list(cut_blocks(path, plan.cuts, plan.fade)))
    assert len(result) == len(track) - plan.n_removed
    np.testing.assert_array_equal(track[np.abs(track[:, 0]) > 0.4], result[np.abs(result[:, 0]) > 0.4])
    again = plan_of(result, options)
    assert again.share_before == pytest.approx(plan.share_after, abs=1e-9)


def test_longest_goes_first_and_only_as_many_as_needed(rng):
    pieces = [(False, 150), (True, 200), (False, 300), (True, 200), (False, 200)]
    plan = plan_of(track_of(pieces, 0, rng), SilenceSettings(to=0.5, below_audible=0.7))
    assert plan.cuts.tolist() == [[3500, 6500]]
    ends = plan_of(track_of(pieces, 0, rng), SilenceSettings(to=0.5, below_audible=0.7, order="ends_first"))
    assert ends.cuts.tolist() == [[0, 1500], [8500, 10500]]


def test_shortened_cut_lands_on_the_target(rng):
    track = track_of([(True, 300), (False, 900), (True, 100)], 0, rng)
    plan = plan_of(track, SilenceSettings(to=0.6, last="shortened"))
    assert 0.6 <= plan.share_after < 0.6 + BLOCK / len(track) * 2
    assert plan_of(track, SilenceSettings(to=0.6)).share_after == pytest.approx(4000 / 4020)


def test_a_short_hit_inside_silence_survives(rng):
    """A second whose mean level is under -50 dBFS may hold an audible 10 ms."""
    track = track_of([(False, 150), (True, 1), (False, 150), (True, 50)], 0, rng)
    plan = plan_of(track, SilenceSettings(to=1.0, below_audible=1.0))
    assert plan.cuts.tolist() == [[0, 1500], [1510, 3010]]


def test_gaps_too_short_to_cut_count_as_silent(rng):
    """The thesis: a track with many short silences may stay under its target, and fall under the cutoff."""
    track = track_of([(True, 30), (False, 70)] * 20, 0, rng)
    plan = plan_of(track, SilenceSettings())
    assert len(plan.cuts) == 0
    assert plan.share_after == plan.share_before == pytest.approx(0.3)


def test_silent_and_audible_tracks_are_left_whole(rng):
    for pieces, share in (([(False, 500)], 0.0), ([(True, 500)], 1.0)):
        plan = plan_of(track_of(pieces, 0, rng), SilenceSettings())
        assert len(plan.cuts) == 0
        assert plan.share_after == share


def test_threshold_is_of_the_loudest_channel(rng):
    loud = track_of([(True, 200)], 0, rng)
    assert not silent_blocks([np.hstack([loud * 0, loud])], BLOCK, -50).any()


def test_fade_must_fit_into_a_silence():
    with pytest.raises(SettingsError, match="longer than the cross-fade"):
        validate({"min_silence_s": 0.02}, SilenceSettings, "recipe")


@pytest.mark.parametrize("key", ["min_silence_s", "threshold_dbfs", "below_audible"])
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_settings_are_finite_numbers(key, value):
    with pytest.raises(SettingsError, match=f"'{key}': Input should be"):
        validate({key: value}, SilenceSettings, "recipe")


def write_pairs(folder: Path, rng: np.random.Generator, rates=(44100, 22050)) -> None:
    """A sparse instrument over a steady rest, the same music at every rate."""
    envelope = np.repeat([0, 1, 0, 1, 0], [88200, 44100, 132300, 44100, 44117])
    instrument = (envelope * np.sin(np.arange(len(envelope)) * 0.05) * 0.3)[:, None].astype(np.float32)
    rest = (np.sin(np.arange(len(envelope)) * 0.01) * 0.4)[:, None].astype(np.float32)
    for rate in rates:
        for name, stem in (("instrument", instrument), ("rest", rest)):
            path = folder / f"tracks_{rate}hz" / "song" / f"{name}_song.flac"
            audio.write(path, audio.resample(stem, 44100, rate), rate, "PCM_24")


def test_pairs_get_the_same_cuts_at_every_rate_without_clicks(tmp_path, rng):
    write_pairs(tmp_path / "pairs", rng)
    tracks = pairs_by_track(tmp_path / "pairs")
    report = cut_track(tracks["song"], tmp_path / "pairs", tmp_path / "out", SilenceSettings(to=0.9))
    assert report.share_after >= 0.9 > 0.7 > report.share_before
    for rate in (44100, 22050):
        (pair,) = find_pairs(tmp_path / "out" / f"tracks_{rate}hz")
        instrument, rest = (audio.read(path)[0][:, 0] for path in (pair.instrument, pair.rest))
        assert len(instrument) == len(rest)
        assert len(instrument) / rate == pytest.approx(report.duration_s - report.removed_s, abs=2e-3)
        # a steady tone of 0.4 has steps of at most 0.4 * 0.01 rad; a hard joint would jump by up to 0.8
        inner = slice(rate // 50, -rate // 50)
        assert np.abs(np.diff(rest[inner])).max() < 0.01 * 44100 / rate
    tracks_again = pairs_by_track(tmp_path / "out")
    assert (
        plan_track(
            tracks_again["song"][0].instrument, audio.probe(tracks_again["song"][0].instrument), SilenceSettings()
        ).share_before
        >= 0.9
    )


def test_tracks_without_need_are_kept_and_poor_ones_dropped(tmp_path, rng):
    write_pairs(tmp_path / "pairs", rng, (22050,))
    (pairs,) = pairs_by_track(tmp_path / "pairs").values()
    kept = cut_track(pairs, tmp_path / "pairs", tmp_path / "kept", SilenceSettings(below_audible=0.1))
    assert [path.read_bytes() for path in kept.files] == [pairs[0].instrument.read_bytes(), pairs[0].rest.read_bytes()]
    poor = cut_track(
        pairs, tmp_path / "pairs", tmp_path / "kept", SilenceSettings(below_audible=0.1, discard_below=0.5)
    )
    assert "below 0.5" in poor.dropped
    assert not list((tmp_path / "kept").rglob("*.flac"))


def test_histogram_has_the_ten_buckets_of_the_appendix():
    assert histogram([1.0, 0.95, 0.9, 0.5, 0.05, 0.0]) == [2, 1, 0, 0, 0, 1, 0, 0, 0, 2]
    text = histogram_text([2] + [0] * 9, [1] + [0] * 9)
    assert text.splitlines()[1].split()[:5] == ["0", "-", "10", "%", "2"]
