"""Automatic mixes: every rule does what its line says, and a switch takes it away."""

from __future__ import annotations

import base64
import json
import re

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from splitstrument.cli import cli
from splitstrument.errors import SettingsError
from splitstrument.loudness import measure
from splitstrument.mixing.automix.mix import automix_files
from splitstrument.mixing.automix.rules import WET_DB, choose_lead, choose_room, equalize
from splitstrument.mixing.automix.settings import AutomixSettings

RATE = 22_050
OFF = dict.fromkeys(("equalizer", "compression", "level", "reverb", "master"), False)


def noise(seed: int, seconds: float, cutoff_hz: float) -> np.ndarray:
    """Noise that falls by 6 dB an octave from `cutoff_hz` on, with a beat twice a second."""
    rng = np.random.default_rng(seed)
    n_samples = round(seconds * RATE)
    spectrum = np.fft.rfft(rng.standard_normal((n_samples, 2)), axis=0)
    spectrum /= 1 + np.fft.rfftfreq(n_samples, 1 / RATE)[:, None] / cutoff_hz
    signal = np.fft.irfft(spectrum, n_samples, axis=0)
    beat = np.exp(-6 * ((np.arange(n_samples) / RATE * 2) % 1))[:, None]
    return 0.05 * beat * signal / signal.std()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A voice whose quiet and loud parts lie 18 dB apart, guitar and drums, in floating point."""
    root = tmp_path_factory.mktemp("automix") / "song"
    root.mkdir()
    voice = noise(1, 24, 2000) * np.where(np.arange(24 * RATE) // (6 * RATE) % 2, 2.0, 0.25)[:, None]
    for name, signal in (("voice", voice), ("guitar", noise(2, 24, 300)), ("drums", noise(3, 24, 6000))):
        soundfile.write(root / f"{name}_song.wav", signal, RATE, subtype="FLOAT")
    return root


@pytest.fixture(scope="module")
def stems(folder):
    return {name: folder / f"{name}_song.wav" for name in ("drums", "guitar", "voice")}


def read(path):
    return soundfile.read(path, dtype="float64", always_2d=True)[0]


def loudness(signal):
    return measure([signal.astype(np.float32)], RATE, 2)


def lead_in(stems, tmp_path, **rules):
    """The lead as it is in the mix: what is left when the backing is taken away."""
    automix_files(stems, tmp_path / "lead.wav", AutomixSettings(**OFF | rules))
    return read(tmp_path / "lead.wav") - read(stems["drums"]) - read(stems["guitar"])


def test_with_every_rule_off_the_mix_is_the_sum(stems, tmp_path):
    done = automix_files(stems, tmp_path / "mix.wav", AutomixSettings(**OFF))
    expected = sum(read(stems[name]) for name in ("drums", "guitar", "voice"))
    np.testing.assert_array_equal(read(tmp_path / "mix.wav"), expected.astype(np.float32))
    assert [decision.reason for decision in done.decisions[1:]] == ["It is switched off."] * 5


def test_compression_brings_the_range_down_and_no_further_than_needed(stems, tmp_path):
    before = loudness(read(stems["voice"])).range_lu
    assert before > 16
    lead = lead_in(stems, tmp_path, compression=True)
    assert 11 < loudness(lead).range_lu <= 14.2
    assert loudness(lead_in(stems, tmp_path, compression=True, range_lu=40)).range_lu == pytest.approx(before, abs=0.01)


def test_the_lead_is_set_against_its_backing_behind_its_effects(stems, tmp_path):
    lead = lead_in(stems, tmp_path, level=True, compression=True, equalizer=True, relative_lu=3.0)
    backing = read(stems["drums"]) + read(stems["guitar"])
    apart = loudness(lead).integrated_lufs - loudness(backing).integrated_lufs
    assert apart == pytest.approx(3.0, abs=0.05)


def test_the_equalizer_does_what_its_line_says(stems, tmp_path):
    lead, dry = lead_in(stems, tmp_path, equalizer=True), read(stems["voice"])
    record = json.loads((tmp_path / "lead.wav.json").read_text())
    decision = next(line for line in record["decisions"] if line["rule"] == "equalizer")["decision"]
    bands = re.findall(r"([\d.]+) (k?)Hz ([+-][\d.]+) dB", decision)
    assert bands
    hertz = np.fft.rfftfreq(len(dry), 1 / RATE)
    change_db = 20 * np.log10(np.abs(np.fft.rfft(lead[:, 0])) / np.abs(np.fft.rfft(dry[:, 0])))
    for number, kilo, gain_db in bands:
        centre = float(number) * (1000 if kilo else 1)
        near = (hertz > centre / 1.03) & (hertz < centre * 1.03)
        others = sum(_skirt_db(centre, bands, number, kilo))
        assert np.median(change_db[near]) == pytest.approx(float(gain_db) + others, abs=0.6)


def _skirt_db(centre, bands, number, kilo):
    """What the other bands do at a band's centre, from the formula of a peak."""
    from splitstrument.mixing.effects.equalizer import Band

    z = np.exp(-2j * np.pi * centre / RATE) ** np.arange(3)
    for other in bands:
        if other[:2] != (number, kilo):
            hertz = float(other[0]) * (1000 if other[1] else 1)
            section = np.array(Band("peak", hertz, float(other[2]), 1.0).section(RATE))
            yield 20 * np.log10(np.abs((section[:3] @ z) / (section[3:] @ z)))


def test_the_room_is_as_long_and_as_loud_as_its_line_says(stems, tmp_path):
    room = lead_in(stems, tmp_path, reverb=True, tempo_bpm=110) - read(stems["voice"])
    energy = [np.square(signal).sum() for signal in (room, read(stems["voice"]))]
    assert 10 * np.log10(energy[0] / energy[1]) == pytest.approx(WET_DB, abs=1.0)
    assert choose_room(110, True)[0] == pytest.approx(40 / 9 - 110 / 45, abs=1e-3)
    assert choose_room(400, True)[0] == 0.3 and choose_room(None, False)[0] is None


@pytest.mark.parametrize("wanted", [-14.0, -23.0])
def test_the_mix_is_as_loud_as_asked_and_keeps_below_the_ceiling(stems, tmp_path, wanted):
    done = automix_files(stems, tmp_path / "mix.wav", AutomixSettings(loudness_lufs=wanted))
    heard = loudness(read(tmp_path / "mix.wav"))
    assert heard.true_peak_dbtp <= -0.9
    assert heard.integrated_lufs == pytest.approx(wanted, abs=0.1 if wanted < -20 else 1.5)
    assert done.after.integrated_lufs == pytest.approx(heard.integrated_lufs, abs=0.01)


def test_the_same_stems_are_the_same_bytes(stems, tmp_path):
    for name in ("a.wav", "b.wav"):
        automix_files(stems, tmp_path / name)
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()


def test_the_equalizer_takes_the_largest_conflicts_and_no_more():
    octaves = [63.0, 125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0, 16_000.0]
    lead = np.array([-30.0, -20.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0, -40.0])  # lives from 250 Hz to 8 kHz
    backing = np.array([20.0, 19.0, 12.0, 11.0, 10.0, 12.0, 11.0, 18.0, -40.0])
    bands, decision = equalize(octaves, np.stack([lead, backing]))
    apart = backing - lead - (backing - lead).mean()
    raised = {hertz for hertz, gap in zip(octaves[2:8], apart[2:8], strict=True) if gap > 0}
    assert {band.hertz for band in bands} <= raised and 0 < len(bands) <= 4
    assert all(0 < band.gain_db <= 8 and band.quality == 1 for band in bands)
    assert f"{bands[0].gain_db:+.1f} dB" in decision.decision
    assert equalize(octaves, np.stack([lead, lead]))[0] == ()  # nothing is louder than the other
    assert equalize(octaves, None)[0] == ()


def test_a_lead_is_found_by_name_or_by_loudness():
    assert choose_lead(["drums", "guitar", "voice"], {}, None).decision == "voice"
    assert choose_lead(["drums", "guitar"], {}, "drums").decision == "drums"
    assert choose_lead(["kazoo", "horn"], {"kazoo": -30.0, "horn": None}, None).decision == "kazoo"


def test_silence_is_left_alone(stems, tmp_path):
    soundfile.write(tmp_path / "lead.wav", np.zeros((24 * RATE, 2)), RATE, subtype="FLOAT")
    done = automix_files({**stems, "voice": tmp_path / "lead.wav"}, tmp_path / "mix.wav")
    said = {decision.rule: decision.decision for decision in done.decisions}
    assert {said[rule] for rule in ("equalizer", "compression", "level")} == {"left as it is"}
    assert done.after.integrated_lufs == pytest.approx(-14, abs=1.5)


def test_the_command_names_every_rule_and_writes_its_page(folder, tmp_path):
    page = tmp_path / "mix.html"
    command = ["automix", str(folder), "-o", str(tmp_path / "mix.flac"), "--no-compression", "--quiet"]
    run = CliRunner().invoke(cli, [*command, "--report", str(page), "--tempo", "100"])
    assert run.exit_code == 0, run.output
    record = json.loads((tmp_path / "mix.flac.json").read_text())
    rules = ["lead", "equalizer", "compression", "level", "reverb", "master"]
    assert [line["rule"] for line in record["decisions"]] == rules and record["lead"] == "voice"
    assert record["settings"]["compression"] is False and len(record["stems"]["drums"]["sha256"]) == 64
    text = page.read_text()
    for line in record["decisions"]:
        assert line["decision"] in text and line["rule"] in run.stdout
    picture = base64.b64decode(re.search(r"base64,([^\"]+)", text)[1])
    assert picture.startswith(b"\x89PNG")
    assert "exists already" in str(CliRunner().invoke(cli, command).exception)


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--lead", "kazoo"], "There is no stem 'kazoo' to lead: these stems are drums, guitar, voice"),
        (["--report", "mix.png"], "end it in .html"),
        (["--loudness", "3"], "loudness"),
        (["--tempo", "nan"], "tempo"),
    ],
)
def test_what_cannot_be_is_one_sentence(folder, tmp_path, flags, sentence):
    run = CliRunner().invoke(cli, ["automix", str(folder), "-o", str(tmp_path / "mix.wav"), *flags])
    assert isinstance(run.exception, SettingsError) and sentence in str(run.exception)
    assert not list(tmp_path.iterdir())


def test_a_single_stem_is_no_mix(stems, tmp_path):
    with pytest.raises(SettingsError, match="voice is the only stem"):
        automix_files({"voice": stems["voice"]}, tmp_path / "mix.wav")
