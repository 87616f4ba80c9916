"""Remixes: the song comes back where nothing is asked, and what is asked is what is heard."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from splitstrument.cli import cli
from splitstrument.errors import SettingsError
from splitstrument.loudness import measure
from splitstrument.mixing.remix import remix_files
from splitstrument.mixing.remix_settings import RemixSettings, StemMix
from splitstrument.mixing.words import find_word, loudness_change_db, words

RATE = 44_100


def music(seed: int, seconds: float = 4.0, channels: int = 2) -> np.ndarray:
    """Pink-ish noise with a beat."""
    rng = np.random.default_rng(seed)
    noise = np.cumsum(rng.standard_normal((round(seconds * RATE), channels)), axis=0)
    noise -= np.linspace(0, 1, len(noise))[:, None] * noise[-1]
    noise = np.diff(noise, axis=0, prepend=0) + 0.02 * noise / np.abs(noise).max()
    beat = 0.3 + 0.7 * (np.sin(2 * np.pi * 2 * np.arange(len(noise)) / RATE) > 0)
    return (0.1 * beat[:, None] * noise / noise.std()).clip(-0.45, 0.45)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Guitar and rest of a song, 16 bit, and the song itself elsewhere."""
    root = tmp_path_factory.mktemp("remix")
    (root / "stems").mkdir()
    for seed, name in enumerate(("guitar", "rest")):
        soundfile.write(root / "stems" / f"{name}.wav", music(seed), RATE, subtype="PCM_16")
    return root


@pytest.fixture
def stems(folder):
    return {name: folder / "stems" / f"{name}.wav" for name in ("guitar", "rest")}


def read(path, dtype="float64"):
    return soundfile.read(path, dtype=dtype, always_2d=True)[0]


def song_of(stems):
    return sum(read(path, "int32").astype(np.int64) for path in stems.values())


@pytest.mark.parametrize("loudness", ["same", "off"])
def test_with_nothing_changed_the_song_comes_back_to_the_bit(stems, tmp_path, loudness):
    done = remix_files(stems, tmp_path / "mix.wav", RemixSettings(loudness=loudness))
    assert soundfile.info(tmp_path / "mix.wav").subtype == "PCM_16"
    np.testing.assert_array_equal(read(tmp_path / "mix.wav", "int32"), song_of(stems))
    assert (done.gain_db, done.limited, done.notes) == (0.0, False, ())


def test_gain_and_mute_are_what_they_say(stems, tmp_path):
    settings = RemixSettings(stems={"guitar": StemMix(gain_db=-6), "rest": StemMix(mute=True)}, loudness="off")
    remix_files(stems, tmp_path / "mix.wav", settings)
    expected = 10 ** (-6 / 20) * read(stems["guitar"])
    np.testing.assert_allclose(read(tmp_path / "mix.wav"), expected, atol=2**-15)


def test_solo_leaves_out_the_others_and_mute_wins(stems, tmp_path):
    settings = RemixSettings(stems={"guitar": StemMix(solo=True)}, loudness="off")
    done = remix_files(stems, tmp_path / "mix.wav", settings)
    np.testing.assert_array_equal(read(tmp_path / "mix.wav"), read(stems["guitar"]))
    assert done.notes == ("What the model left of the guitar in other stems is missing.",)
    settings = RemixSettings(stems={"guitar": StemMix(solo=True, mute=True), "rest": StemMix(solo=True)}, loudness=-20)
    remix_files(stems, tmp_path / "rest.wav", settings)
    assert measure([read(tmp_path / "rest.wav").astype(np.float32)], RATE, 2).integrated_lufs == pytest.approx(
        -20, abs=0.1
    )


def test_a_song_that_its_format_cannot_hold_is_said_to_be_clipped(tmp_path):
    loud = {name: tmp_path / f"{name}.wav" for name in ("guitar", "rest")}
    for seed, path in enumerate(loud.values()):
        soundfile.write(path, 2 * music(seed, 1), RATE, subtype="FLOAT")
    peak = 20 * np.log10(np.abs(sum(read(path) for path in loud.values())).max())
    assert peak > 1
    assert f"peaks at {peak:+.1f} dBFS" in remix_files(loud, tmp_path / "mix.flac", RemixSettings()).notes[0]
    assert remix_files(loud, tmp_path / "mix.wav", RemixSettings()).notes == ()


def test_a_wrong_stem_is_refused_before_the_song_is_taken_apart(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("splitstrument.separation.songs.separate_file", None)
    command = ["remix", str(folder / "stems" / "rest.wav"), "-o", str(tmp_path / "mix.wav"), "--solo", "drums"]
    assert "There is no stem 'drums': these stems are instrument, rest" in str(
        CliRunner().invoke(cli, command).exception
    )
    assert not list(tmp_path.iterdir())


def test_a_place_turns_the_other_side_down_and_makes_mono_stereo(stems, tmp_path):
    settings = RemixSettings(stems={"guitar": StemMix(pan=-0.5), "rest": StemMix(mute=True)}, loudness="off")
    remix_files(stems, tmp_path / "mix.wav", settings)
    np.testing.assert_allclose(read(tmp_path / "mix.wav"), read(stems["guitar"]) * [1, 0.5], atol=2**-15)
    soundfile.write(tmp_path / "mono.wav", music(3, 1, 1), RATE)
    remix_files({"guitar": tmp_path / "mono.wav"}, tmp_path / "two.wav",
                RemixSettings(stems={"guitar": StemMix(pan=1)}, loudness="off"))  # fmt: skip
    assert read(tmp_path / "two.wav").shape[1] == 2 and not read(tmp_path / "two.wav")[:, 0].any()


@pytest.mark.parametrize(("loudness", "expected"), [("same", None), (-30.0, -30.0), (-16.0, -16.0)])
def test_the_mix_is_as_loud_as_asked_and_does_not_clip(stems, tmp_path, loudness, expected):
    settings = RemixSettings(stems={"guitar": StemMix(gain_db=9)}, loudness=loudness)
    done = remix_files(stems, tmp_path / "mix.wav", settings)
    heard = measure([read(tmp_path / "mix.wav").astype(np.float32)], RATE, 2)
    wanted = done.song.integrated_lufs if expected is None else expected
    assert heard.integrated_lufs == pytest.approx(wanted, abs=0.3 if done.limited else 0.05)
    assert heard.true_peak_dbtp <= -0.95 or not done.limited
    assert done.notes[0] == "The guitar is 9 dB louder, and so is what other instruments left in its stem."


def test_a_word_and_a_band_change_the_spectrum(stems, tmp_path):
    def level_db(path, low, high):
        spectrum = np.abs(np.fft.rfft(read(path)[:, 0])) ** 2
        hertz = np.fft.rfftfreq(len(read(path)), 1 / RATE)
        return 10 * np.log10(spectrum[(hertz > low) & (hertz < high)].sum())

    settings = {"stems": {"guitar": {"equalizer": [{"word": "dark"}, {"hertz": 300, "gain_db": 6}]}}, "loudness": "off"}
    remix_files({"guitar": stems["guitar"]}, tmp_path / "mix.flac", RemixSettings.model_validate(settings))
    bands = ((280, 320), (1100, 1300), (9000, 11_000))
    change = [level_db(tmp_path / "mix.flac", *band) - level_db(stems["guitar"], *band) for band in bands]
    assert change[0] - change[1] == pytest.approx(6, abs=0.6)
    assert change[2] - change[1] < -4


def test_the_sidecar_says_what_made_the_mix(stems, tmp_path):
    remix_files(stems, tmp_path / "mix.wav", RemixSettings(stems={"guitar": StemMix(gain_db=3)}))
    record = json.loads((tmp_path / "mix.wav.json").read_text())
    assert record["settings"]["stems"]["guitar"]["gain_db"] == 3
    assert set(record["stems"]) == {"guitar", "rest"} and len(record["stems"]["rest"]["sha256"]) == 64
    assert record["provenance"]["splitstrument"]


def test_the_same_mix_is_the_same_bytes(stems, tmp_path):
    settings = RemixSettings(stems={"guitar": StemMix(gain_db=12, pan=0.2)}, loudness=-12)
    for name in ("a.wav", "b.wav"):
        remix_files(stems, tmp_path / name, settings)
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()


def test_what_does_not_fit_is_one_sentence_and_leaves_nothing(stems, tmp_path):
    soundfile.write(tmp_path / "short.wav", music(5, 1), RATE)
    out = tmp_path / "mix.wav"
    with pytest.raises(SettingsError, match="differ in rate, length or channels"):
        remix_files({**stems, "piano": tmp_path / "short.wav"}, out, RemixSettings())
    with pytest.raises(SettingsError, match="There is no stem 'piano': these stems are guitar, rest"):
        remix_files(stems, out, RemixSettings(stems={"piano": StemMix(mute=True)}))
    assert list(tmp_path.iterdir()) == [tmp_path / "short.wav"]


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--gain", "guitar"], "write STEM=VALUE"),
        (["--gain", "guitar=loud"], "'loud' is no number"),
        (["--gain", "guitar=90"], "gain_db"),
        (["--eq", "guitar=wurm"], "did you mean warm"),
        (["--eq", "guitar=warm:9"], "between -2 and 2"),
        (["--eq", "guitar=800"], "HZ:DB"),
        (["--pan", "guitar=3"], "pan"),
        (["--mute", "drums"], "There is no stem 'drums'"),
        (["--eq", "guitar=30000:2"], "up to 20000 Hz"),
        (["--eq", "guitar=warm:1:2"], "WORD:AMOUNT"),
        (["--loudness", "loud"], "is no number"),
        (["--loudness", "300"], "loudness"),
    ],
)
def test_flags_that_cannot_be_are_one_sentence(folder, tmp_path, flags, sentence):
    run = CliRunner().invoke(cli, ["remix", str(folder / "stems"), "-o", str(tmp_path / "mix.wav"), *flags])
    assert isinstance(run.exception, SettingsError) and sentence in str(run.exception)
    assert not list(tmp_path.iterdir())


def test_the_command_mixes_a_folder_and_refuses_to_replace(folder, tmp_path):
    command = ["remix", str(folder / "stems"), "-o", str(tmp_path / "mix.mp3"), "--gain", "guitar=-20", "--quiet"]
    run = CliRunner().invoke(cli, command)
    assert run.exit_code == 0, run.output
    assert "LUFS" in run.stdout and soundfile.info(tmp_path / "mix.mp3").format == "MP3"
    assert "exists already" in str(CliRunner().invoke(cli, command).exception)


def test_words_are_matched_in_loudness_and_have_their_opposites():
    for name, word in words().items():
        for amount in (-1.0, 0.5, 2.0):
            assert abs(loudness_change_db(np.array(word.hertz), np.array(word.curve_db(amount)))) < 0.01, name
        assert not word.opposite or word.opposite in words(), name
        assert word.source and list(word.hertz) == sorted(word.hertz)


def test_an_unknown_word_is_not_guessed():
    with pytest.raises(SettingsError, match="it is not guessed: did you mean bright"):
        find_word("brigth")
    with pytest.raises(SettingsError, match="it is not guessed: there are airy, boomy"):
        find_word("xylophonic")
    assert find_word("Warm").name == "warm"


def test_a_mix_never_takes_the_place_of_what_it_is_made_of(folder, tmp_path):
    stems = {name: tmp_path / f"{name}.wav" for name in ("guitar", "rest")}
    for name, path in stems.items():
        path.write_bytes((folder / "stems" / f"{name}.wav").read_bytes())
    before = stems["rest"].read_bytes()
    command = ["remix", str(tmp_path), "--gain", "guitar=-6", "--overwrite", "--quiet", "-o"]
    assert "is one of the stems" in str(CliRunner().invoke(cli, [*command, str(stems["rest"])]).exception)
    assert stems["rest"].read_bytes() == before
    assert CliRunner().invoke(cli, [*command, str(tmp_path / "practice.wav")]).exit_code == 0
    assert CliRunner().invoke(cli, [*command, str(tmp_path / "again.wav")]).exit_code == 0  # practice is no stem
    assert (tmp_path / "again.wav").read_bytes() == (tmp_path / "practice.wav").read_bytes()
    (tmp_path / "guitar.flac").write_bytes(b"")
    assert "both called guitar" in str(CliRunner().invoke(cli, [*command, str(tmp_path / "b.wav")]).exception)


def test_a_click_at_full_scale_is_limited_too(tmp_path):
    click = np.zeros((4 * RATE, 1))
    click[:: RATE // 2] = -1.0
    soundfile.write(tmp_path / "clicks.wav", click, RATE, subtype="PCM_16")
    done = remix_files({"clicks": tmp_path / "clicks.wav"}, tmp_path / "mix.wav", RemixSettings(loudness=-20.0))
    assert done.limited and np.abs(read(tmp_path / "mix.wav")).max() <= 1
    assert done.mix.true_peak_dbtp <= 0.01


def test_low_rates_are_one_sentence(tmp_path):
    soundfile.write(tmp_path / "low.wav", music(1, 1)[::11], 4000)
    with pytest.raises(SettingsError, match="4000 Hz; a remix needs 8000"):
        remix_files({"a": tmp_path / "low.wav"}, tmp_path / "mix.wav", RemixSettings())
    run = CliRunner().invoke(cli, ["loudness", str(tmp_path / "low.wav"), "--json"])
    assert run.exit_code == 1 and "4000 Hz" in run.stderr
