"""Steps that came later: recorded speech, sampled kits, patches and codecs; and that nothing changes without them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml

from splitstrument.corpus import catalogue, charts, codec, drumkits, guests, mixdown, mma, patches, speech
from splitstrument.corpus.arrange import Player, TrackPlan
from splitstrument.corpus.draws import stream
from splitstrument.corpus.midi import Note, Part
from splitstrument.corpus.passport import licences_of
from splitstrument.corpus.recipe import LATER_STEPS, CorpusRecipe, Levels, Realism
from splitstrument.errors import DatasetError
from splitstrument.settings import load_settings

RATE = 22_050
ROOT = Path(__file__).resolve().parents[2]
FREEPATS = ROOT / "data" / "ingredients" / "freepats"


def tone(hz: float, seconds: float, rate: int = RATE) -> np.ndarray:
    return (0.4 * np.sin(2 * np.pi * hz * np.arange(int(seconds * rate)) / rate)).astype(np.float32)[:, None]


def notes(pitches: list[int], gap_s: float = 0.5, velocity: int = 100) -> tuple[Note, ...]:
    return tuple(Note(gap_s * i, gap_s * i + 0.2, pitch, velocity) for i, pitch in enumerate(pitches))


# nothing changes for those who do not ask


@pytest.mark.parametrize(
    ("name", "digest"), [("corpus", "5cfdc87c883d0af4"), ("corpus_development", "2233878e8f4093cf")]
)
def test_corpora_made_before_these_steps_are_not_rendered_again(name, digest):
    """The digests are those in the records of corpora that were rendered by version 0.1."""
    assert load_settings(ROOT / "datasets" / f"{name}.yaml", CorpusRecipe).settings.digest() == digest


def test_a_later_step_is_another_recipe():
    plain = CorpusRecipe(name="x")
    digests = {CorpusRecipe(name="x", realism=Realism(**{step: True})).digest() for step in LATER_STEPS}
    assert len(digests | {plain.digest()}) == len(LATER_STEPS) + 1


def test_a_guest_changes_nobody_elses_level():
    sounds = [stream(i, "s").normal(0, 1, (RATE, 1)).astype(np.float32) for i in range(4)]
    classes, roles = ["guitar", "drums", "bass", "vocals"], ["rhythm", "base", "base", "guest"]
    draws = ((("guitar",), stream(2, "l"), Levels()) for _ in range(2))
    alone = mixdown.class_gains(sounds[:3], classes[:3], roles[:3], *next(draws))
    with_guest = mixdown.class_gains(sounds, classes, roles, *next(draws))
    assert alone[1:] == with_guest[1:3]


PLAN = TrackPlan("t", "freedoom", "t", "train", 0)


def band() -> list[Player]:
    fluid = catalogue.BANKS[0]
    return [
        Player("00_drums", "drums", Part("d", 0, True, notes([36, 38] * 20)), "bank", bank=fluid),
        Player("01_piano", "piano", Part("p", 0, False, notes([60] * 40)), "bank", bank=fluid, program=0),
    ]


def recipe(part: str = "train", seed: int = 0, **steps: bool) -> CorpusRecipe:
    return CorpusRecipe(name="x", part=part, seed=seed, realism=Realism(**steps))


@pytest.mark.parametrize("part", ["train", "test"])
def test_guests_come_from_their_own_side(part):
    heard = set()
    for seed in range(60):
        players = guests.with_guests(band(), PLAN, recipe(part, seed, speech=True, sampled_kits=True), Path())
        heard |= {player.bank for player in players if player.kind in ("speech", "samples")}
    assert {bank.kind for bank in heard} == {"speech", "samples"}
    assert all(part in bank.parts for bank in heard)
    assert guests.with_guests(band(), PLAN, recipe(part), Path()) == band()


def test_no_speaker_or_kit_is_on_both_sides():
    for kind in ("speech", "samples", "patches"):
        sides = [{bank.name for bank in catalogue.banks_for(part, kind)} for part in ("train", "test")]
        assert not sides[0] & sides[1]
        assert sides[0]
    assert len({bank.parts for bank in catalogue.BANKS if bank.name.startswith("millo")}) == 1  # one drummer's kits


def test_each_kit_has_the_licence_of_its_maker():
    record = {"source": "freedoom", "title": "t", "players": [{"bank": "forzeestereo", "response": None}]}
    assert licences_of([record]) == {"freedoom": "BSD-3-Clause", "hydrogen-drumkits: forzeestereo": "GPL-2"}


# speech


@pytest.fixture
def speaker(tmp_path: Path) -> Path:
    """Three phrases, a syllable and a silence, written by the encoder."""
    g722 = pytest.importorskip("G722").G722
    for name, seconds in (("a", 1.0), ("b", 1.5), ("letters/c", 0.9), ("letters/d", 0.2), ("silence/5", 5.0)):
        path = tmp_path / f"{name}.g722"
        path.parent.mkdir(exist_ok=True)
        samples = (tone(1000, seconds, speech.RATE_HZ)[:, 0] * 32767).astype(np.int16)
        path.write_bytes(g722(speech.RATE_HZ, speech.BITRATE).encode(samples.tolist()))
    return tmp_path


def test_a_decoded_phrase_has_its_pitch_length_and_level(speaker):
    sound = speech.decode(speaker / "a.g722")[:, 0]
    assert len(sound) == speech.RATE_HZ
    steady = sound[2000:14_000]
    spectrum = np.abs(np.fft.rfft(steady * np.hanning(len(steady))))
    assert abs(spectrum.argmax() * speech.RATE_HZ / len(steady) - 1000) < 2
    assert np.sqrt(np.mean(steady**2)) == pytest.approx(0.4 / np.sqrt(2), rel=0.03)


def test_phrases_are_neither_syllables_nor_silence(speaker):
    assert [path.stem for path in speech.clips_of(speaker)] == ["a", "b", "c"]


def test_speech_stays_where_it_was_put_and_pauses(speaker):
    part = Part("speech", 0, False, (Note(2.0, 14.0, 60, 100),))
    clips = speech.clips_of(speaker)
    first, second = (speech.render_speech(part, clips, RATE, stream(1, "s"))[:, 0] for _ in range(2))
    assert np.array_equal(first, second)
    assert len(first) == 14 * RATE
    assert not first[: 2 * RATE].any()
    loud = np.abs(first[2 * RATE :]).reshape(-1, RATE // 10).max(axis=1) > 0.05
    assert 0.2 < loud.mean() < 0.95


# drum kits


@pytest.fixture
def kit_folder(tmp_path: Path) -> Path:
    """A kit of constants, so that a sample's value tells which file was played."""
    layers = {"soft": (0, 0.5), "loud": (0.5, 1)}
    xml = ["<drumkit_info xmlns='http://www.hydrogen-music.org/drumkit'><instrumentList>"]
    for name, value in (("Kick", 0.1), ("Snare Roll", 0.9), ("Snare", 0.2), ("Closed HH", 0.3), ("Open HH", 0.4)):
        inner = ""
        for layer, (low, high) in layers.items():
            file = f"{name} {layer}.wav".replace(" ", "_")
            soundfile.write(tmp_path / file, np.full(RATE, value + (0.05 if layer == "loud" else 0)), RATE, "FLOAT")
            inner += f"<layer><filename>../x/{file}</filename><min>{low}</min><max>{high}</max><gain>1</gain></layer>"
        xml.append(f"<instrument><name>{name}</name><volume>1</volume><gain>1</gain>{inner}</instrument>")
    xml.append("<instrument><name>Cowbell</name><filename>/etc/hostname</filename></instrument>")
    (tmp_path / "drumkit.xml").write_text("".join(xml) + "</instrumentList></drumkit_info>")
    return tmp_path


def played(folder: Path, *strokes: tuple[float, int, int]) -> np.ndarray:
    part = Part("d", 0, True, tuple(Note(at, at + 0.1, drum, velocity) for at, drum, velocity in strokes))
    return drumkits.render_kit(part, drumkits.read_kit(folder), RATE, stream(0, "k"))[:, 0]


def test_strength_chooses_the_layer(kit_folder):
    assert played(kit_folder, (0, 36, 32))[100] == pytest.approx(0.1 * 32 / 127)
    assert played(kit_folder, (0, 36, 120))[100] == pytest.approx(0.15 * 120 / 127)


def test_a_drum_that_is_lacking_is_played_on_its_neighbour(kit_folder):
    assert played(kit_folder, (0, 40, 32))[100] == pytest.approx(0.2 * 32 / 127)  # electric snare on the snare, no roll
    assert not played(kit_folder, (0, 56, 100)).any()  # the cowbell's file lies outside the kit, and is not there


def test_a_closed_hihat_ends_an_open_one(kit_folder):
    alone = played(kit_folder, (0, 46, 100))
    both = played(kit_folder, (0, 46, 100), (0.5, 42, 20))
    assert alone[int(0.7 * RATE)] > 0.3
    assert both[int(0.7 * RATE)] == pytest.approx(0.3 * 20 / 127)


@pytest.mark.parametrize(
    ("name", "drum"),
    [
        ('Kick (Tama Superstar 22")', 36), ("BassDrum", 36), ("Rim Click (Pearl)", 37), ("Snare 2 (Pearl)", 38),
        ("Sabian Hat Closed", 42), ("Hat Closed Bs", 42), ("VariBreaks Hat 1 Cl", 42), ("g#3 - hi-hat pedal", 44),
        ("Hi Hat Opened", 46), ("Hat Op Dirty", 46), ("Tom Low (Tama)", 41), ("middle tom", 45), ("tomhi2", 48),
        ("Ride Bell", 53), ("ride-cup", 53), ("Ride Jazz", 51), ("Cowbell", 56), ("Crash", 49), ("Whistle", None),
    ],
)  # fmt: skip
def test_instruments_are_known_by_the_words_in_their_names(name, drum):
    assert drumkits.drum_of(name) == drum


@pytest.mark.parametrize("text", [None, "<a>", "<a/>", "<a><instrument><name>Kick</name></instrument></a>"])
def test_a_folder_that_is_no_kit_is_named(tmp_path, text):
    if text:
        (tmp_path / "drumkit.xml").write_text(text)
    with pytest.raises(DatasetError, match=rf"{tmp_path.name}.*(no readable drum kit|no kick or no snare)"):
        drumkits.read_kit(tmp_path)


# patches


@pytest.mark.skipif(not FREEPATS.is_dir() or not shutil.which("timidity"), reason="needs freepats and timidity")
@pytest.mark.parametrize("program", [0, 25, 30])
def test_patches_sound_in_time_and_in_tune(program):
    assert program in patches.programs_of(FREEPATS)
    sound = patches.render_patches(Part("p", program, False, (Note(1.0, 2.0, 57, 110),)), FREEPATS, program)[:, 0]
    start = np.flatnonzero(np.abs(sound) > 0.02 * np.abs(sound).max())[0] / 44_100
    assert 0.99 < start < 1.06
    steady = sound[int(1.15 * 44_100) : int(1.9 * 44_100)]
    power = np.abs(np.fft.rfft(steady * np.hanning(len(steady)), 1 << 17)) ** 2
    hz = np.arange(len(power)) * 44_100 / (1 << 17)
    harmonic = np.abs(hz / 220 - np.round(hz / 220)) < 0.06
    assert power[harmonic & (hz > 100)].sum() > 0.7 * power.sum()


def test_programs_are_those_with_a_patch_of_their_own(tmp_path):
    (tmp_path / "etc" / "timidity").mkdir(parents=True)
    tones = tmp_path / patches.PATCHES / "Tone_000"
    tones.mkdir(parents=True)
    (tones / "000_Piano.pat").touch()
    table = (
        "dir /usr/x\ndrumset 0\n 36\tDrum_000/k.pat\nbank 0\n 0\tTone_000/000_Piano.pat\n 1\tTone_000/lost.pat amp=1\n"
    )
    (tmp_path / patches.CONFIGURATION).write_text(table)
    assert patches.programs_of(tmp_path) == {0}
    with pytest.raises(DatasetError, match="holds no Freepats"):
        patches.programs_of(tmp_path / "elsewhere")


# codecs


@pytest.mark.parametrize("index", range(len(codec.CODECS)))
def test_a_round_trip_keeps_length_and_time_and_loses_something(index):
    rng = stream(index, "noise")
    mixture = rng.normal(0, 0.1, (5 * RATE + 123, 1)).astype(np.float32)
    back = codec.round_trip(mixture, RATE, index, 0.7)
    assert back.shape == mixture.shape
    lags = range(-20, 21)
    match = [float((mixture[100:-100] * np.roll(back, -lag, axis=0)[100:-100]).sum()) for lag in lags]
    assert lags[int(np.argmax(match))] == 0
    error = float(np.mean((back - mixture) ** 2) / np.mean(mixture**2))
    assert 1e-4 < error < 0.5


def test_minutes_are_encoded_whole():
    mixture = tone(440, 200.0)  # written at once, so much ends the OGG encoder's process
    assert len(codec.round_trip(mixture, RATE, 1, 0.5)) == len(mixture)


def test_stems_of_an_encoded_song_add_up_to_it_and_share_its_losses():
    stems = [tone(300, 3.0), tone(3000, 3.0), np.zeros((3 * RATE, 1), np.float32)]
    difference = -0.5 * tone(3000, 3.0)
    shared = codec.share_out(stems, difference)
    assert np.allclose(sum(shared), sum(stems) + difference, atol=1e-6)
    inner = slice(RATE // 2, -RATE // 2)
    assert np.abs(shared[0] - stems[0])[inner].max() < 1e-3  # what was lost at 3 kHz was never this stem's
    assert np.abs(shared[1] - 0.5 * stems[1])[inner].max() < 1e-3
    assert np.abs(shared[2])[inner].max() < 1e-3


# charts


@pytest.mark.skipif(not shutil.which("mma"), reason="needs mma")
def test_grooves_that_vary_at_random_play_the_same_twice():
    (grooves,) = (file for file in mma.groove_files() if file.name == "stdlib/westernswing")
    scores = []
    for _ in range(2):
        rng = stream(1, "chart")
        chart = charts.compose_chart("song", rng, 60.0)
        scores.append(mma.play(mma.chart_text(chart, grooves, rng), "song"))
    assert scores[0] == scores[1]


@pytest.mark.parametrize(
    ("name", "base", "without"),
    [
        (
            "corpus_extended",
            "corpus",
            {"recorded_notes", "fm", "reshaped", "modelled", "velocity_layers", "singing", "heavy", "stereo"},
        ),
        (
            "corpus_recorded",
            "corpus_extended",
            {"fm", "reshaped", "modelled", "velocity_layers", "singing", "heavy", "stereo"},
        ),
        ("corpus_reshaped", "corpus_recorded", {"modelled", "velocity_layers", "singing", "heavy", "stereo"}),
    ],
)
def test_recipes_that_came_later_differ_in_later_steps_alone(name, base, without):
    plain, extended = (
        load_settings(ROOT / "datasets" / f"{each}.yaml", CorpusRecipe).settings for each in ("corpus", name)
    )
    differing = {step for step, on in extended.realism if on != getattr(plain.realism, step)}
    assert differing == set(LATER_STEPS) - without
    assert yaml.safe_load((ROOT / "datasets" / f"{name}.yaml").read_text())["base"] == f"{base}.yaml"
