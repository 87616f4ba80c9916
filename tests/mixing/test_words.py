"""Measured words in the data sets' own formats, and curves that a user saved."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile
import yaml
from click.testing import CliRunner

from splitstrument.cli import cli
from splitstrument.errors import SettingsError
from splitstrument.mixing.effects.chain import apply
from splitstrument.mixing.effects.equalizer import Band, ParametricEqualizer, band_centres_hz
from splitstrument.mixing.measured_words import RATE_HZ, nearest, read_words
from splitstrument.mixing.saved_curves import find_saved, save_curve, saved_curves

HEADER = (
    "word,gain1_db,freq1_hz,gain2_db,freq2_hz,q2,gain3_db,freq3_hz,q3,gain4_db,freq4_hz,q4,gain5_db,freq5_hz,"
    "genre,instrument"
)
WARM = "Warm ,6,200,3,300,0.7,0,1000,1,-2,3000,1,-6,8000,,"
COOL = "cool,-6,200,-3,300,0.7,0,1000,1,2,3000,1,6,8000,rock,guitar"
RISING = np.linspace(-1, 1, 40)


@pytest.fixture
def audealize(tmp_path):
    entries = [
        {"lang": "English", "word": "warm", "settings": list(-RISING), "agreement": 0.8, "num": 30},
        {"lang": "English", "word": "bright", "settings": list(2 * RISING), "agreement": 0.5, "num": 10},
        {"lang": "English", "word": "flat", "settings": [0.0] * 40, "agreement": 0.1, "num": 9},
        {"lang": "Español", "word": "claro", "settings": list(RISING), "agreement": 0.6, "num": 7},
    ]
    path = tmp_path / "eq_descriptors.json"
    path.write_text(json.dumps(entries), encoding="utf-8")
    return path


@pytest.fixture
def safe(tmp_path):
    path = tmp_path / "safe.csv"
    path.write_text("\n".join([HEADER, *[WARM] * 6, *[COOL] * 5]), encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def own_settings(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config" / "splitstrument" / "curves.yaml"


def test_audealize_gives_its_curves_at_one_strength(audealize):
    words = read_words([audealize])
    assert list(words) == ["bright", "warm"]  # what is level is no curve
    np.testing.assert_allclose(np.std(words["bright"].gains_db), 3, atol=0.01)
    np.testing.assert_allclose(words["warm"].gains_db, -np.array(words["bright"].gains_db), atol=0.01)
    assert words["warm"].hertz == tuple(band_centres_hz().round(2))
    assert (words["warm"].opposite, words["warm"].n_settings, words["warm"].settings[0].agreement) == (
        "bright",
        30,
        0.8,
    )
    assert list(read_words([audealize], "Español")) == ["claro"]


def test_safe_curves_are_those_of_its_five_bands(safe):
    words = read_words([safe])
    click = np.zeros((RATE_HZ, 1), np.float32)
    click[0] = 1
    shapes = ("low_shelf", "peak", "peak", "peak", "high_shelf")
    values = ((200, 6, 2**-0.5), (300, 3, 0.7), (1000, 0, 1), (3000, -2, 1), (8000, -6, 2**-0.5))
    bands = [Band(shape, hertz, gain, quality) for shape, (hertz, gain, quality) in zip(shapes, values, strict=True)]
    spectrum = np.abs(np.fft.rfft(apply([ParametricEqualizer(bands, RATE_HZ, 1)], click)[:, 0]))
    expected = 20 * np.log10(np.interp(band_centres_hz(), np.arange(len(spectrum)), spectrum))
    expected -= expected.mean()
    np.testing.assert_allclose(words["warm"].gains_db, 3 * expected / expected.std(), atol=0.15)
    assert words["warm"].settings[0].agreement == pytest.approx(1)
    assert (words["warm"].opposite, nearest("warm", words)) == ("cool", [])


def test_sets_are_averaged_by_how_often_a_word_was_set(audealize, safe):
    both, first, second = read_words([audealize, safe]), read_words([audealize]), read_words([safe])
    expected = (30 * np.array(first["warm"].gains_db) + 6 * np.array(second["warm"].gains_db)) / 36
    np.testing.assert_allclose(both["warm"].gains_db, expected, atol=0.01)
    assert both["warm"].between == pytest.approx(0.95, abs=0.05) and both["bright"].between is None
    assert [name for name, _ in nearest("bright", both)] == ["cool"]


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("a.json", "{", "is no list of words as Audealize has it"),
        ("a.json", '[{"word": "x", "settings": [1, 2], "agreement": 1, "num": 1}]', "expected word, settings"),
        ("a.json", "[[" * 5000, "is no list of words"),
        ("a.csv", "word,gain\nwarm,3", "is no table as SAFE-DB has it"),
        ("a.csv", f"{HEADER}\n{WARM.replace('0.7', '-1')}", "is no table"),
        ("a.csv", f"{HEADER}\n{WARM.replace('300', 'nan')}", "is no table"),
    ],
)
def test_what_is_no_data_set_is_one_sentence(tmp_path, name, text, sentence):
    (tmp_path / name).write_text(text)
    with pytest.raises(SettingsError, match=sentence):
        read_words([tmp_path / name])
    with pytest.raises(SettingsError, match="cannot be read"):
        read_words([tmp_path / "gone.json"])


def test_the_real_sets(shared_data):
    folder = shared_data / "words"
    words = read_words([folder / "eq_descriptors.json", folder / "safe_eq.csv"])
    assert len(words) > 300 and len(words["warm"].settings) == 2
    low, high = (np.mean(words["warm"].gains_db[part]) for part in (slice(5, 15), slice(30, 40)))
    assert low > high and np.mean(words["bright"].gains_db[30:]) > np.mean(words["bright"].gains_db[5:15])
    assert words["warm"].between > 0.5


def test_curves_are_saved_recalled_and_forgotten(own_settings):
    assert saved_curves() == {}
    assert save_curve("mellow", ((100.0, 3.0), (5000.0, -4.0))) == own_settings
    save_curve("mellow", ((100.0, 2.0), (5000.0, -4.0)))
    word = find_saved("mellow")
    assert (word.name, word.hertz, word.gains_db) == ("mine:mellow", (100.0, 5000.0), (2.0, -4.0))
    assert [path.name for path in own_settings.parent.iterdir()] == ["curves.yaml"]
    with pytest.raises(SettingsError, match="No curve is saved as 'warm': there are mellow"):
        find_saved("warm")
    before = own_settings.read_bytes()
    for name, points in (("../x", ((100.0, 1.0),)), ("a", ((200.0, 1.0), (100.0, 1.0))), ("a", ((100.0, 99.0),))):
        with pytest.raises(SettingsError):
            save_curve(name, points)
    assert own_settings.read_bytes() == before


def run(*arguments):
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def test_a_saved_curve_is_heard_in_a_remix(tmp_path, rng, own_settings):
    (tmp_path / "stems").mkdir()
    for name in ("guitar", "rest"):
        soundfile.write(tmp_path / "stems" / f"{name}.wav", 0.1 * rng.standard_normal((20_000, 1)), 22_050)
    assert "Saved as mine:warm" in run("words", "warm", "--amount", "0.5", "--save").output
    mix = ("remix", tmp_path / "stems", "--quiet", "-o")
    assert run(*mix, tmp_path / "a.wav", "--eq", "guitar=mine:warm").exit_code == 0
    assert run(*mix, tmp_path / "b.wav", "--eq", "guitar=warm:0.5").exit_code == 0
    ours, words = (soundfile.read(tmp_path / f"{name}.wav")[0] for name in "ab")
    np.testing.assert_allclose(ours, words, atol=2e-4)
    step = json.loads((tmp_path / "a.wav.json").read_text())["settings"]["stems"]["guitar"]["equalizer"][0]
    assert step["name"] == "mine:warm" and len(step["points"]) == 6
    assert "mine:warm" in run("words").output
    assert run("words", "warm", "--forget").exit_code == 0 and yaml.safe_load(own_settings.read_text()) == {
        "curves": {}
    }
    assert "none is saved yet" in str(run(*mix, tmp_path / "c.wav", "--eq", "guitar=mine:warm").exception)


def test_measured_words_are_shown_and_heard(tmp_path, audealize, safe, rng):
    shown = run("words", "warm", "--data", audealize, "--data", safe, "--plot", tmp_path / "warm.png")
    assert "Audealize: set 30 times, agreement 0.80" in shown.output and "Its opposite is" in shown.output
    assert (tmp_path / "warm.png").read_bytes().startswith(b"\x89PNG")
    data = json.loads(run("words", "warm", "--data", audealize, "--json").output)
    assert len(data["curve_db"]) == 40 and data["sets"][0]["settings"] == 30
    (tmp_path / "stems").mkdir()
    soundfile.write(tmp_path / "stems" / "guitar.wav", 0.1 * rng.standard_normal((20_000, 1)), 22_050)
    mix = ("remix", tmp_path / "stems", "--quiet", "-o", tmp_path / "a.wav", "--words", safe, "--loudness", "off")
    assert run(*mix, "--eq", "guitar=cool:0.5").exit_code == 0
    step = json.loads((tmp_path / "a.wav.json").read_text())["settings"]["stems"]["guitar"]["equalizer"][0]
    assert (step["name"], step["amount"], len(step["points"])) == ("cool", 0.5, 40)
    assert "between -2 and 2" in str(run(*mix, "--overwrite", "--eq", "guitar=cool:3").exception)


@pytest.mark.parametrize("points", ["120", "a:b", "500:1,100:2", "100:nan"])
def test_points_that_are_no_curve_are_one_sentence(points):
    assert isinstance(run("words", "mellow", "--points", points, "--save").exception, SettingsError)
