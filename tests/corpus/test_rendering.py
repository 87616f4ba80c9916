"""Rendering without any package: scores, players, strings, effects, levels, charts, and who may hear what."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from dataclasses import replace
from pathlib import Path

import mido
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitstrument.corpus import (
    amplifiers,
    arrange,
    catalogue,
    charts,
    corpus,
    effects,
    humanise,
    midi,
    mixdown,
    packages,
    parts,
    passport,
    plucked,
    songs,
    strums,
    track,
    voices,
)
from splitstrument.corpus.draws import share_of, stream
from splitstrument.corpus.midi import Control, Note, Part, Score
from splitstrument.corpus.recipe import CorpusRecipe, Levels, Realism
from splitstrument.errors import DatasetError, MissingExtraError, SettingsError
from splitstrument.settings import validate

RATE = 22_050


def make_part(n_notes: int = 20, program: int = 27, drums: bool = False) -> Part:
    notes = tuple(Note(0.25 * i, 0.25 * i + 0.2, 45 + 7 * (i % 3), 80) for i in range(n_notes))
    return Part("part", program, drums, notes)


def tone(hz: float, seconds: float = 2.0, level: float = 0.5) -> np.ndarray:
    return (level * np.sin(2 * np.pi * hz * np.arange(int(seconds * RATE)) / RATE)).astype(np.float32)[:, None]


def write_song(path: Path, messages: list[mido.Message]) -> Path:
    song = mido.MidiFile(ticks_per_beat=480)
    song.tracks.append(mido.MidiTrack(messages))
    song.save(path)
    return path


# scores


@given(
    st.lists(
        st.tuples(st.integers(0, 5000), st.integers(1, 900), st.integers(0, 127), st.integers(1, 127)),
        min_size=1,
        max_size=40,
        unique_by=lambda note: note[2],
    ),
    st.integers(-8192, 8191),
)
def test_a_written_part_is_read_back_by_mido(tmp_path_factory, notes, wheel):
    path = tmp_path_factory.mktemp("midi") / "part.mid"
    played = tuple(
        Note(start / 960, (start + length) / 960, pitch, velocity) for start, length, pitch, velocity in notes
    )
    midi.write_part(Part("p", 0, False, played, (Control(0.5, -1, wheel), Control(0.5, 64, 127))), path, 42)
    score = midi.read_score(path, "p")
    (part,) = score.parts
    assert part.program == 42
    expected = sorted(played, key=lambda note: (note.start_s, note.pitch))
    assert [(n.pitch, n.velocity) for n in part.notes] == [(n.pitch, n.velocity) for n in expected]
    assert np.allclose([n.start_s for n in part.notes], [n.start_s for n in expected], atol=1e-3)
    assert {(c.number, c.value) for c in part.controls} == {(-1, wheel), (64, 127)}


def test_parts_are_split_by_channel_and_current_program(tmp_path):
    messages = []
    for program in (30, 0):
        messages.append(mido.Message("program_change", channel=2, program=program))
        messages.append(mido.Message("note_on", channel=2, note=60, velocity=90, time=10))
        messages.append(mido.Message("note_off", channel=2, note=60, time=200))
    messages.append(mido.Message("note_on", channel=9, note=36, velocity=90))
    messages.append(mido.Message("note_on", channel=9, note=36, velocity=0, time=50))
    score = midi.read_score(write_song(tmp_path / "song.mid", messages), "song")
    assert [(p.program, p.is_drums, len(p.notes)) for p in score.parts] == [(0, False, 1), (30, False, 1), (0, True, 1)]


def test_text_is_no_midi(tmp_path):
    (tmp_path / "a.mid").write_text("no music")
    with pytest.raises(DatasetError, match=r"a is no readable MIDI file"):
        midi.read_score(tmp_path / "a.mid", "a")


def test_transposing_leaves_drums_alone_and_stays_on_the_keyboard():
    high = Part("high", 0, False, (Note(0, 1, 126, 80),))
    score = midi.transposed(Score("s", (high, make_part(drums=True))), 4)
    assert score.parts[0].notes[0].pitch == 118
    assert score.parts[1] == make_part(drums=True)


def test_an_excerpt_keeps_controllers_from_before_it():
    part = replace(make_part(), controls=(Control(0.1, 64, 127),))
    cut = midi.excerpt(Score("s", (part,)), 1.0, 2.0).parts[0]
    assert [note.start_s for note in cut.notes] == pytest.approx([0.0, 0.25, 0.5, 0.75])
    assert cut.controls == (Control(0.0, 64, 127),)


# songs


def make_wad(path: Path, lumps: dict[str, bytes]) -> Path:
    body, directory, offset = b"", b"", 12
    for name, data in lumps.items():
        directory += struct.pack("<ii8s", offset, len(data), name.encode())
        body += data
        offset += len(data)
    path.write_bytes(struct.pack("<4sii", b"IWAD", len(lumps), offset) + body + directory)
    return path


def test_music_is_found_inside_a_wad(tmp_path):
    midi.write_part(make_part(), tmp_path / "p.mid", 5)
    music = (tmp_path / "p.mid").read_bytes()
    (tmp_path / "p.mid").unlink()
    make_wad(tmp_path / "game.wad", {"MAP01": b"x" * 40, "D_RUNNIN": music, "D_SAME": music})
    (song,) = songs.list_songs(tmp_path)  # the same music twice is one song
    assert (song.title, song.data()) == ("game_d_runnin", music)


@pytest.mark.parametrize(
    "data",
    [b"", b"PWAD", struct.pack("<4sii", b"IWAD", 5, 1 << 30), struct.pack("<4sii", b"IWAD", -1, 12), b"ZIP!" * 9],
)
def test_a_broken_wad_is_named(tmp_path, data):
    (tmp_path / "bad.wad").write_bytes(data)
    with pytest.raises(DatasetError, match=r"bad\.wad is no WAD file"):
        songs.list_songs(tmp_path)


# players


def test_humanising_is_seeded_and_bounded():
    part = make_part(200)
    a, b = (humanise.humanised(part, stream(1, "x"), 0.01) for _ in range(2))
    assert a == b != part
    shifts = [n.start_s - m.start_s for n, m in zip(a.notes, part.notes, strict=True)]
    assert 0.003 < np.std(shifts) < 0.03
    assert all(1 <= n.velocity <= 127 and n.end_s > n.start_s >= 0 for n in a.notes)


def test_strumming_spreads_chords_only():
    chord = tuple(Note(1.0, 2.0, pitch, 80) for pitch in (40, 47, 52, 56))
    part = Part("g", 25, False, (Note(0.0, 0.5, 40, 80), *chord))
    spread = humanise.strummed(part, stream(0, "s"))
    starts = sorted(n.start_s for n in spread.notes)
    assert starts[0] == 0.0
    assert np.diff(starts[1:]).min() >= 0.006 - 1e-9


@pytest.mark.parametrize("pitch", [40, 52, 64, 76])
def test_a_plucked_string_sounds_at_its_pitch(pitch):
    strings = plucked.draw_strings(stream(3, "g"), acoustic=True)
    sound = plucked.pluck(pitch, replace(strings, detune=0.0), 44_100, stream(4, "n"))
    spectrum = np.abs(np.fft.rfft(sound[:44_100] * np.hanning(min(44_100, len(sound))), 1 << 18))
    hz = 440 * 2 ** ((pitch - 69) / 12)
    low, high = (round(hz * f * (1 << 18) / 44_100) for f in (0.95, 1.05))
    found = (low + int(spectrum[low:high].argmax())) * 44_100 / (1 << 18)
    assert abs(1200 * np.log2(found / hz)) < 8  # cents
    assert np.abs(sound).max() <= 1.0
    assert effects.rms_db(sound[-4410:]) < effects.rms_db(sound[:4410]) - 20


def test_a_damped_string_is_silent_after_its_note():
    strings = plucked.draw_strings(stream(3, "g"), acoustic=False)
    sound = plucked.render_strings(Part("g", 27, False, (Note(0.0, 0.5, 45, 100),)), strings, RATE)
    assert np.abs(sound[int(0.6 * RATE) :]).max() == 0


def test_a_voice_sings_its_melody():
    part = Part("v", 53, False, (Note(0.2, 1.8, 57, 100),))
    sound = voices.render_voice(part, RATE, stream(5, "v"))[:, 0]
    middle = sound[int(0.6 * RATE) : int(1.6 * RATE)]
    power = np.abs(np.fft.rfft(middle, 1 << 18)) ** 2
    # harmonics of 220 Hz hold most of the energy, though vibrato moves them
    harmonic = np.arange(len(power)) * RATE / (1 << 18) / 220
    near = np.abs(harmonic - np.round(harmonic)) < 0.06
    assert power[near].sum() > 0.6 * power.sum()


# effects


def test_effects_keep_length_and_input():
    sound = tone(220, 1.0)
    before = sound.copy()
    rng = stream(0, "fx")
    results = [
        effects.random_eq(sound, RATE, rng),
        effects.compress(sound, RATE, -30, 4),
        effects.distort(sound, RATE, 30),
        effects.reverb(sound, RATE, rng, 0.8, -12),
        effects.echo(sound, RATE, 0.2, 0.4, -9),
        effects.chorus(sound, RATE, 1.0, 0.003, -3),
        effects.tremolo(sound, RATE, 5, 0.5),
        amplifiers.amplify(sound, RATE, amplifiers.draw_amplifier(rng, "metal", [])),
    ]
    assert all(result.shape == sound.shape and result.dtype == np.float32 for result in results)
    assert all(np.isfinite(result).all() for result in results)
    assert np.array_equal(sound, before)


def test_distortion_aliases_less_than_plain_clipping():
    rate = 44_100

    def alias_db(sound: np.ndarray) -> float:
        power = np.abs(np.fft.rfft(sound * np.hanning(len(sound)))) ** 2
        hz = np.fft.rfftfreq(len(sound), 1 / rate)
        harmonic = np.min(np.abs(hz[:, None] - 3000 * np.arange(1, 8)), axis=1) < 20
        return float(10 * np.log10(power[~harmonic].sum() / power.sum()))

    sine = (0.5 * np.sin(2 * np.pi * 3000 * np.arange(rate) / rate)).astype(np.float32)[:, None]
    plain = np.tanh(effects.gain(sine, 20))
    assert alias_db(effects.distort(sine, rate, 20)[:, 0]) < alias_db(plain[:, 0]) - 6


def test_compression_narrows_the_range():
    loud, soft = tone(300, 2.0, 0.8), tone(300, 2.0, 0.08)
    squeezed = effects.compress(np.concatenate([loud, soft]), RATE, -25, 4)
    before = effects.rms_db(loud) - effects.rms_db(soft)
    after = effects.rms_db(squeezed[RATE : 2 * RATE]) - effects.rms_db(squeezed[3 * RATE :])
    assert before - after > 8


def test_balancing_moves_bands_towards_the_wish():
    noise = stream(1, "n").normal(0, 0.1, (4 * RATE, 1)).astype(np.float32)
    wanted = np.array([0.0, -3.0, -8.0, -14.0, -22.0])
    shaped = effects.filtered(noise, effects.balance_sections(noise, RATE, wanted, 0.85, 15.0))
    error = [np.abs(effects.band_levels_db(sound, RATE) - wanted).mean() for sound in (noise, shaped)]
    assert error[1] < 0.5 * error[0]


@given(st.integers(0, 2**32 - 1), st.floats(0.1, 20))
def test_the_limiter_never_lets_a_peak_through(seed, loud):
    rng = np.random.default_rng(seed)
    mixture = (rng.normal(0, 1, (3000, 2)) * loud * (rng.random((3000, 1)) < 0.1)).astype(np.float32)
    limited = mixture * mixdown.limiter_gain(mixture, RATE, 0.9)[:, None]
    assert np.abs(limited).max() <= 0.9 * 1.0001


# mixing


@pytest.mark.parametrize(
    "classes", [["drums", "guitar"], ["drums", "bass", "guitar", "piano"], ["other", "piano", "guitar"]]
)
def test_targets_stand_to_their_rest_as_drawn(classes):
    levels = Levels()
    sounds = [stream(i, "s").normal(0, 10.0 ** -(i % 3), (RATE, 1)).astype(np.float32) for i in range(len(classes))]
    gains = mixdown.class_gains(sounds, classes, ["base"] * len(classes), ("guitar", "piano"), stream(2, "l"), levels)
    scaled = [effects.gain(sound, db) for sound, db in zip(sounds, gains, strict=True)]
    for target in {"guitar", "piano"} & set(classes):
        instrument = sum(s for s, c in zip(scaled, classes, strict=True) if c == target)
        rest = sum(s for s, c in zip(scaled, classes, strict=True) if c != target)
        low, high = levels.target_to_rest_db
        assert low - 0.3 <= effects.rms_db(instrument) - effects.rms_db(rest) <= high + 0.3


def test_the_master_treats_the_sum_as_it_treats_the_stems():
    sounds = [tone(110, 2.0, 0.9), tone(1000, 2.0, 0.7), tone(5000, 2.0, 0.4)]
    levels = Levels(mixture_dbfs=(-9.0, -8.9))
    stems = mixdown.master(sounds, RATE, stream(0, "m"), Realism(), levels)
    (whole,) = mixdown.master([sum(sounds)], RATE, stream(0, "m"), Realism(), levels)
    assert np.abs(sum(stems) - whole).max() < 2e-3 * np.abs(whole).max()
    assert np.abs(sum(stems)).max() <= 10 ** (levels.peak_dbfs / 20) * 1.001


def test_pairs_are_exact_sums_of_the_stems_and_never_clip():
    rng = stream(9, "loud")
    players = [
        arrange.Player(f"{i}", c, make_part(), "bank") for i, c in enumerate(("guitar", "guitar", "piano", "drums"))
    ]
    sounds = [rng.normal(0, 0.5, (2 * RATE, 1)).astype(np.float32) for _ in players]
    plan = arrange.TrackPlan("t", "freedoom", "t", "train", 0)
    stems = track.mix_down(players, sounds, plan, CorpusRecipe(name="x", levels=Levels(mixture_dbfs=(-4.0, -3.0))))
    total = sum(stem.astype(np.int64) for stem in stems)
    for target in ("guitar", "piano"):
        instrument, rest = track.split(players, stems, target)
        assert np.array_equal(instrument.astype(np.int64) + rest, total)  # no 16-bit number wrapped around


# charts and parts


@pytest.mark.parametrize("seed", range(8))
def test_charts_have_the_length_asked_for_and_chords_of_their_key(seed):
    chart = charts.compose_chart("song", stream(seed, "c"), 170.0)
    seconds = chart.n_bars * 4 * 60 / chart.tempo
    assert 100 < seconds < 260
    scale = {(chart.key + step) % 12 for step in charts.MODES[chart.mode]}
    for _, chord in chart.bars():
        assert {(chord.root + interval) % 12 for interval in chord.intervals} <= scale


@pytest.mark.parametrize(
    "play",
    [parts.power_chords, parts.strummed_chords, parts.arpeggio, parts.piano_chords, parts.rock_drums, parts.root_bass],
)
def test_parts_play_inside_their_bars_on_real_pitches(play):
    chart = charts.compose_chart("song", stream(1, "c"), 60.0)
    part = play(parts.Grid(chart, 4), "iABCe", stream(2, "p"))
    end = chart.n_bars * 4 * 60 / chart.tempo
    assert part.notes
    assert all(0 <= n.start_s < end + 0.1 and 24 <= n.pitch <= 108 and 1 <= n.velocity <= 127 for n in part.notes)


def test_guitar_voicings_can_be_fingered():
    chord = charts.Chord(0, (0, 4, 7), "C")
    assert parts.guitar_voicing(chord) == [40, 48, 52, 55, 60, 64]  # x32010 with the low E open


# who may hear what


def test_a_fifth_is_held_out_and_adding_songs_moves_nobody():
    names = [f"song {i}" for i in range(4000)]
    shares = {
        part: sum(catalogue.part_of(name) == part for name in names) / 4000 for part in ("train", "validation", "test")
    }
    assert shares["test"] == pytest.approx(0.2, abs=0.03)
    assert shares["validation"] == pytest.approx(0.1, abs=0.02)
    assert share_of("song 1", "a") != share_of("song 1", "b")


def test_training_validation_and_tests_have_banks_of_their_own():
    banks = {part: [bank.name for bank in catalogue.banks_for(part)] for part in ("train", "validation", "test")}
    assert banks == {"train": ["fluidr3", "musescore", "timgm6mb"], "validation": ["csound"], "test": ["sonivox"]}


def record(part: str, title: str, bank: str | None = "fluidr3", response: str | None = None) -> dict:
    player = {"bank": bank, "response": response}
    return {
        "name": f"{part}_{title}", "source": "freedoom", "title": title, "part": part, "players": [player],
        "duration_s": 1.0, "files": {},
    }  # fmt: skip


def titles_of(part: str) -> list[str]:
    return [name for i in range(200) if catalogue.part_of(name := f"song {i}") == part]


def test_a_planted_leak_is_found():
    train = [record("train", title) for title in titles_of("train")[:5]]
    test = [record("test", title, "sonivox") for title in titles_of("test")[:5]]
    assert passport.leaks(train, test) == []
    assert passport.strangers(train + test) == []
    planted = record("train", titles_of("test")[0], "sonivox", response=titles_of("test")[7])
    found = passport.leaks([*train, planted], test)
    assert [line.split()[0] for line in found] == ["SoundFont", "song"]
    assert len(passport.strangers([planted])) == 3  # song, bank and response


def test_a_leak_makes_the_passport_fail(tmp_path):
    from splitstrument.files import write_json

    for name, part, title in (("a", "train", titles_of("test")[0]), ("b", "test", titles_of("test")[0])):
        write_json(
            tmp_path / name / "records" / "x.json", record(part, title, "fluidr3" if part == "train" else "sonivox")
        )
    with pytest.raises(DatasetError, match=r"leaks: train_song .* belongs to test"):
        passport.write_passports(CorpusRecipe(name="a"), tmp_path / "a", [tmp_path / "b"])
    assert (tmp_path / "a" / "passport.yaml").exists()
    passport.write_passports(CorpusRecipe(name="b", part="test"), tmp_path / "b")


def test_missing_packages_are_one_sentence_with_the_remedy(tmp_path):
    with pytest.raises(MissingExtraError, match=r"run `splitstrument dataset fetch .*fluid-soundfont-gm.* -o"):
        corpus.check_ingredients(CorpusRecipe(name="x"), tmp_path)


def test_an_unknown_package_is_named(tmp_path):
    with pytest.raises(DatasetError, match=r"no package 'nonsense'"):
        packages.fetch("nonsense", tmp_path)


@pytest.mark.skipif(not shutil.which("dpkg-deb"), reason="needs Debian's dpkg")
def test_a_package_is_unpacked_below_a_relative_folder(tmp_path, monkeypatch):
    """The registry's tool is a script that hands out a real package; everything after it is real."""
    tree, tools = tmp_path / "tree", tmp_path / "tools"
    for folder in (tree / "DEBIAN", tree / "usr", tools):
        folder.mkdir(parents=True)
    (tree / "usr" / "song.mid").write_bytes(b"MThd")
    (tree / "DEBIAN" / "control").write_text(
        "Package: freedoom\nVersion: 1\nArchitecture: all\nMaintainer: a <a@b.c>\nDescription: x\n"
    )
    subprocess.run(["dpkg-deb", "--build", tree, tmp_path / "freedoom_1_all.deb"], check=True, capture_output=True)
    (tools / "apt-get").write_text(f"#!/bin/sh\ncp {tmp_path}/freedoom_1_all.deb .\n")
    (tools / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    packages.fetch("freedoom", Path("data/ingredients"))
    assert (tmp_path / "data/ingredients/freedoom/usr/song.mid").read_bytes() == b"MThd"


def test_unknown_steps_are_suggested():
    with pytest.raises(SettingsError, match=r"did you mean 'realism\.amplifiers'|did you mean 'amplifiers'"):
        validate({"name": "x", "realism": {"amplifier": False}}, CorpusRecipe, "recipe")


def test_disk_need_grows_with_hours_and_channels():
    small, large = CorpusRecipe(name="x", hours=1), CorpusRecipe(name="x", hours=10, channels=2)
    assert corpus.disk_need_mb(large) == pytest.approx(20 * corpus.disk_need_mb(small))


# recorded strums


def test_chords_are_recognised_from_their_tones():
    assert strums.chord_of([40, 48, 52, 55, 60, 64]) == (0, "major") or strums.chord_of([40, 48, 52]) == (4, "minor")
    for root in range(12):
        for chord, quality in (
            (charts.Chord(root, (0, 4, 7), ""), "major"),
            (charts.Chord(root, (0, 3, 7), ""), "minor"),
        ):
            assert strums.chord_of(parts.close_voicing(chord, 45, 4)) == (root, quality)
    assert strums.chord_of([40, 47, 52]) is None


def test_strums_play_the_chord_in_the_direction_written(tmp_path):
    import soundfile

    for name, hz in (("Amajor_DOWN_00", 300), ("Amajor_UP_00", 600), ("Eminor_01", 900)):
        soundfile.write(tmp_path / f"{name}.flac", tone(hz, 1.0), RATE)
    library = strums.read_library(tmp_path)
    assert set(library) == {(9, "major", "DOWN"), (9, "major", "UP"), (4, "minor", "DOWN")}
    down = tuple(Note(0.01 * i, 0.5, pitch, 100) for i, pitch in enumerate((45, 52, 57, 61)))
    up = tuple(Note(1 + 0.01 * i, 1.5, pitch, 100) for i, pitch in enumerate((64, 61, 57)))
    sound = strums.render_strums(Part("strums", 25, False, (*down, *up)), library, RATE, stream(0, "s"))[:, 0]
    found = [np.abs(np.fft.rfft(sound[int(t * RATE) : int((t + 0.3) * RATE)], RATE)).argmax() for t in (0.1, 1.1)]
    assert found == pytest.approx([300, 600], abs=4)
