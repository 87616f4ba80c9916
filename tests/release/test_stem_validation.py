"""Scores on stem sets: baselines that can be computed by hand, beside models of one instrument and of several."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("keras")

from splitstrument.model_folder import ModelDescription, save_weights, write_model_folder
from splitstrument.network.registry import build_network
from splitstrument.network.settings import BandUnetSettings, ModelSettings, SpectrogramSettings
from splitstrument.release import stem_validation
from splitstrument.stem_set import SetTrack, write_files, write_listing

RATE = 22_050


@pytest.fixture
def folder(tmp_path):
    """Two songs of a low bass in the middle and a bright guitar at the left, 6 dB louder; the drums are silent."""
    time_s, tracks = np.arange(3 * RATE)[:, None] / RATE, []
    for index, name in enumerate("ab"):
        bass = 0.1 * np.sin(2 * np.pi * (80 + index) * time_s) * np.ones(2)
        guitar = 0.2 * np.sin(2 * np.pi * (1500 + 9 * index) * time_s) * np.array([np.sqrt(2), 0])
        sounds = {"bass": bass, "guitar": guitar, "drums": 0 * bass}
        write_files(tmp_path / "set", name, {stem: sound.astype(np.float32) for stem, sound in sounds.items()}, RATE)
        tracks.append(SetTrack(name, ("bass", "guitar", "drums"), tuple(sounds), name))
    write_listing(tmp_path / "set", RATE, tracks)
    return tmp_path / "set"


def model(path, **changes):
    """A model folder with random weights."""
    inputs, outputs = (2, 4) if changes else (1, 1)
    network = BandUnetSettings(
        folds=(64,), time_fold=4, width=4, growth=0, levels=1, blocks=1, inputs=inputs, outputs=outputs
    )
    spectrogram = SpectrogramSettings(n_fft=2048, hop_length=512)
    settings = ModelSettings(spectrogram=spectrogram, n_frames=32, normalisation="none", network=network, **changes)
    path.mkdir()
    save_weights(build_network(settings), path / "best.weights.h5")
    write_model_folder(path, ModelDescription(name=path.name, model=settings), ["best.weights.h5"])
    return str(path)


def test_every_system_is_scored_in_instrument_and_rest(folder, tmp_path, capsys):
    mono = model(tmp_path / "mono")
    stereo = model(tmp_path / "stereo", stems=("guitar", "bass"), channels="mid_side")
    output = tmp_path / "out" / "rows.json"
    stem_validation.main([mono, stereo, "--set", str(folder), "--limits", "-o", str(output)])
    every = json.loads(output.read_text())
    rows, limits = ([row for row in every if ("alone_db" in row) == at_limits] for at_limits in (False, True))
    assert len(limits) == 2 * (1 + 2)  # two songs; the guitar of both models, the bass of one
    assert all(-100 < row[what] < 0.1 for row in limits for what in ("alone_db", "without_db"))
    by_key = {(row["track"], row["stem"], row["system"]): row for row in rows}
    assert {row["stem"] for row in rows} == {"guitar", "bass"}  # nobody hears the drums
    assert by_key["a", "guitar", "song"]["si_sdr"] == pytest.approx(6.02, abs=0.1)
    assert by_key["a", "guitar", "song"]["rest_sdr"] == pytest.approx(-6.02, abs=0.1)
    assert by_key["a", "guitar", "song"]["scale"] == pytest.approx(0.8, abs=0.01)
    for system in ("EQ", "ideal mono", "ideal mid/side"):
        assert by_key["b", "bass", system]["si_sdr"] > 20
        assert by_key["b", "bass", system]["rest_sdr"] > 20
    assert ("a", "guitar", mono) in by_key
    assert ("a", "bass", mono) not in by_key
    assert by_key["a", "bass", stereo]["si_sdr"] != by_key["a", "guitar", stereo]["si_sdr"]
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in capsys.readouterr().out.splitlines()]
    assert ["set", "bass", "2", stereo] in [line[:4] for line in lines]
    assert ["set", "bass", "2", "EQ", "0"] in [[*line[:4], line[8]] for line in lines if len(line) == 10]


def test_masks_of_a_song_whose_channels_cancel_are_those_of_the_song(tmp_path, rng):
    name = model(tmp_path / "stereo", stems=("guitar", "bass"), channels="mid_side")
    asked = stem_validation.Model(name)
    spectrum = (rng.standard_normal((1, 1025, 70)) + 0.2 * rng.standard_normal((2, 1025, 70))).astype(np.complex64)
    upright = asked.masks(spectrum)
    turned = asked.masks(spectrum * np.array([1, -1])[:, None, None])
    np.testing.assert_allclose(turned["bass"][::-1], upright["bass"], atol=1e-5)
