"""Distances between mixes: 0 for the same, and what was changed is what is far."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile
from stem_set_data import make_set

from splitstrument.errors import DatasetError
from splitstrument.evaluation.listening import ANCHOR, REFERENCE, mix_trials
from splitstrument.mixing import distance
from splitstrument.mixing.distance import describe, distances, three_mixes

RATE = 8000


@pytest.fixture
def parts(rng):
    """A lead and a backing of eight seconds, with a beat."""
    beat = np.exp(-3 * ((np.arange(8 * RATE) / RATE * 2) % 1))[:, None]
    lead, backing = (0.05 * beat * rng.standard_normal((8 * RATE, 2)) for _ in range(2))
    return lead.astype(np.float32), backing.astype(np.float32)


def test_what_was_changed_is_what_is_far(parts):
    lead, backing = parts
    plain = describe((lead, backing), RATE)
    assert set(distances(plain, plain).values()) == {0.0}
    louder = distances(describe((2 * lead, backing), RATE), plain)
    assert louder["lead_lu"] == pytest.approx(6.02, abs=0.02)
    darker = np.cumsum(backing, axis=0)
    assert distances(describe((lead, (0.1 * darker).astype(np.float32)), RATE), plain)["spectrum_db"] > 3
    fading = lead * np.linspace(1, 0.05, len(lead))[:, None].astype(np.float32)
    assert distances(describe((fading, 0 * backing), RATE), plain)["course_lu"] > 3


def test_the_three_mixes_are_of_one_loudness_and_the_raw_one_has_equal_parts(parts):
    lead, backing = parts
    mixes = three_mixes(4 * lead, backing, RATE)
    assert list(mixes) == ["no mix", "automatic", "published"]
    for one, other in mixes.values():
        assert distance._loudness(one + other, RATE).integrated_lufs == pytest.approx(-23, abs=0.05)
    levels = {name: describe(mix, RATE)["lead_lu"] for name, mix in mixes.items()}
    assert levels["no mix"] == pytest.approx(0, abs=0.02) and levels["published"] == pytest.approx(12, abs=0.5)
    assert levels["automatic"] == pytest.approx(-0.5, abs=0.4)  # the room adds a little
    assert three_mixes(0 * lead, backing, RATE) is None


def test_the_command_keeps_mixes_for_the_listening_test(tmp_path, capsys):
    root = make_set(tmp_path / "set", "ab", seconds=5.0)
    distance.main([str(root), "-o", str(tmp_path / "mixes")])
    found = json.loads((tmp_path / "mixes" / "distances.json").read_text())
    assert found["n_songs"] == 2 and json.loads(capsys.readouterr().out)["median"] == found["median"]
    assert set(found["songs"]["set/a"]) == {"no mix", "automatic"}
    trials = mix_trials(tmp_path / "mixes", "mushra")
    assert [trial.track for trial in trials] == ["set_a", "set_b"]
    assert set(trials[0].stimuli) == {"automatic", REFERENCE, ANCHOR}
    song = sum(soundfile.read(path)[0] for path in sorted((root / "tracks_8000hz" / "a").glob("*.flac")))
    kept = soundfile.read(trials[0].reference)[0]
    gain = (kept * song).sum() / np.square(song).sum()
    np.testing.assert_allclose(kept, gain * song, atol=1e-4)
    assert [set(trial.stimuli) for trial in mix_trials(tmp_path / "mixes", "ab")[:1]] == [{"no_mix", "automatic"}]
    with pytest.raises(DatasetError, match="No song has a voice"):
        distance.main([str(root), "--lead", "voice"])
    with pytest.raises(DatasetError, match="holds no mixes"):
        mix_trials(tmp_path, "ab")
