"""Sets for choices and scores: whose sounds they may use, recorded phrases, recorded notes by list, Qt resources."""

from __future__ import annotations

import io
import shutil
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml

from splitstrument.corpus import catalogue, guests, packages, phrases, qt_resource, recorded
from splitstrument.corpus.arrange import Player, TrackPlan
from splitstrument.corpus.midi import Note, Part
from splitstrument.corpus.phrase_list import PHRASES
from splitstrument.corpus.recipe import CorpusRecipe
from splitstrument.errors import DatasetError
from splitstrument.settings import load_settings

ROOT = Path(__file__).resolve().parents[2]
CHOICES = ("choice_generaluser", "choice_a320u", "choice_notes", "choice_phrases")
SCORES = ("score_sonivox", "score_merlin", "score_phrases")
TRAINING = ("corpus", "corpus_band", "corpus_modelled", "corpus_heavy", "corpus_reshaped")
TARGETS = {"guitar": range(24, 32), "piano": range(6)}


def recipe_of(name: str) -> CorpusRecipe:
    return load_settings(ROOT / "datasets" / f"{name}.yaml", CorpusRecipe).settings


def packages_heard(name: str) -> set[str]:
    """Packages with guitars and pianos that a recipe may play."""
    recipe = recipe_of(name)
    kinds = ("gm", "notes") if recipe.realism.recorded_notes else ("gm",)
    heard = {bank.package for kind in kinds for bank in catalogue.banks_for(recipe.part, kind, recipe.banks)}
    owned = {p.package for p in PHRASES.values() if recipe.sources.phrases and p.part == recipe.part}
    return owned or heard


def test_every_recipe_for_choices_or_scores_is_here():
    here = {path.stem for path in (ROOT / "datasets").glob("*.yaml") if path.stem.split("_")[0] in ("choice", "score")}
    assert here == {*CHOICES, *SCORES}


@pytest.mark.parametrize("name", [*CHOICES, *SCORES])
def test_no_training_plays_what_choices_and_scores_play(name):
    recipe = recipe_of(name)
    assert recipe.part == ("validation" if name in CHOICES else "test")
    assert recipe.form == "stem_set"
    for other in TRAINING:
        assert not packages_heard(name) & packages_heard(other)
    for other in {*CHOICES, *SCORES} - {name, "choice_notes"}:
        assert name == "choice_notes" or not packages_heard(name) & packages_heard(other)


def test_recipes_without_banks_draw_none_of_the_reserved_ones():
    for part in ("train", "validation", "test"):
        for kind in ("gm", "notes"):
            assert all(bank.default for bank in catalogue.banks_for(part, kind))
    assert [bank.name for bank in catalogue.banks_for("validation", names=("a320u",))] == ["a320u"]
    assert not catalogue.banks_for("train", names=("a320u",))


@pytest.mark.parametrize("bank", [bank for bank in catalogue.BANKS if bank.own], ids=lambda bank: bank.name)
@pytest.mark.parametrize("stem", TARGETS)
def test_a_bank_that_shares_recordings_plays_only_its_own(bank, stem):
    for program in TARGETS[stem]:
        part = Part("p", program, False, (Note(0, 1, 60, 90),))
        player = guests._on_own_program(Player("p", stem, part, "bank", bank=bank, program=program))
        assert player.program in bank.own
        assert player.program in TARGETS[stem]
        assert player.program == program or program not in bank.own
    organ = Player("p", "other", part, "bank", bank=bank, program=16)
    assert guests._on_own_program(organ) == organ


def make_clip(path: Path, hz: float = 110.0, length_s: float = 4.0) -> Path:
    time = np.arange(int(44_100 * length_s)) / 44_100
    path.parent.mkdir(parents=True, exist_ok=True)
    silence = np.zeros(4410)
    sound = np.concatenate([silence, 0.5 * np.sin(2 * np.pi * hz * time) + 0.05, silence])
    soundfile.write(path, sound, 44_100)
    return path


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    phrases.read_phrase.cache_clear()
    phrase = PHRASES["sonic_pi_guit_em9"]
    make_clip(tmp_path / phrase.package / phrase.path)
    return tmp_path


def test_a_song_is_built_on_its_phrase(clips):
    recipe = recipe_of("score_phrases")
    plan = TrackPlan("t", "phrases", "sonic_pi_guit_em9", "test", 0)
    guitar, drums, bass, *_ = phrases.band(plan, recipe, clips)
    assert (guitar.stem_class, guitar.kind, drums.stem_class, bass.stem_class) == ("guitar", "phrase", "drums", "bass")
    starts = [note.start_s for note in guitar.part.notes]
    assert starts[0] == 0
    assert np.allclose(np.mod(np.array(starts) + 1e-6, 4.0), 0, atol=1e-3)
    assert 55 < drums.part.end_s < 65
    assert {note.pitch % 12 for note in bass.part.notes} & {9, 4}  # the phrase is an A


def test_phrases_are_played_as_recorded_or_moved_and_rest_where_they_should(clips):
    part = Part("sonic_pi_guit_em9", 0, False, (Note(0, 4, 60, 100), Note(8, 12, 62, 100)))
    sound = phrases.render_phrase(part, clips)[:, 0]
    pitches = []
    for start in (1, 9):
        piece = sound[start * 44_100 : (start + 2) * 44_100]
        spectrum = np.abs(np.fft.rfft((piece - piece.mean()) * np.hanning(len(piece))))
        pitches.append(spectrum.argmax() / 2)
    assert pitches == [pytest.approx(110, abs=0.5), pytest.approx(110 * 2 ** (2 / 12), abs=0.5)]
    assert not sound[int(4.2 * 44_100) : int(7.9 * 44_100)].any()


def test_a_phrase_is_a_whole_number_of_bars():
    for length_s in (0.9, 2.8, 3.8, 4.7, 8.0, 11.8):
        tempo, bars = phrases.tempo_of(length_s, np.random.default_rng(0))
        assert 60 <= tempo <= 180
        assert length_s < 1.4 or bars * 240 / tempo == pytest.approx(length_s)


def test_the_first_round_always_plays():
    rounds = [phrases.draw_rounds(12, np.random.default_rng(seed)) for seed in range(30)]
    assert all(each[0] == 0 for each in rounds)
    assert any(None in each for each in rounds)


def test_names_of_notes_may_have_flats_and_prefixes(tmp_path):
    for name in ("Piano.ff.Bb3.flac", "Piano.ff.C4.flac", "drum.wav"):
        make_clip(tmp_path / name, length_s=0.2)
    assert {pitch: path.name for pitch, path in recorded.read_library(tmp_path).items()} == {
        58: "Piano.ff.Bb3.flac",
        60: "Piano.ff.C4.flac",
    }


def test_a_bank_may_list_its_keys(tmp_path):
    (wood,) = (bank for bank in catalogue.BANKS if bank.name == "wood_guitar")
    folder = tmp_path / "guitarsounds"
    folder.mkdir()
    library = recorded.library_of(wood, tmp_path)
    assert library[40] == folder / wood.path / "Wood_E6.wav"
    assert sorted(library) == [40, 45, 50, 55, 59, 64]  # standard tuning


def rcc(names_and_data: dict[str, bytes], compressed: bool, magic: bytes = b"qres") -> bytes:
    """A resource of one folder ``a`` with files, as Qt's tool writes it (version 1)."""
    names, offsets, blobs, places = b"", {}, b"", {}
    for name in ("a", *names_and_data):
        offsets[name] = len(names)
        names += struct.pack(">HI", len(name), 0) + name.encode("utf-16-be")
    for name, data in names_and_data.items():
        places[name] = len(blobs)
        content = struct.pack(">I", len(data)) + zlib.compress(data) if compressed else data
        blobs += struct.pack(">I", len(content)) + content
    tree = struct.pack(">IHII", 0, 2, 1, 1) + struct.pack(">IHII", offsets["a"], 2, len(names_and_data), 2)
    for name in names_and_data:
        tree += struct.pack(">IHHHI", offsets[name], int(compressed), 0, 0, places[name])
    blobs_at, names_at = 20, 20 + len(blobs)
    return struct.pack(">4sIIII", magic, 1, names_at + len(names), blobs_at, names_at) + blobs + names + tree


@pytest.mark.parametrize("compressed", [False, True])
def test_files_of_a_qt_resource_are_read(tmp_path, compressed):
    files = {"one.ogg": b"first" * 50, "zwei.ogg": b""}
    path = tmp_path / "x.rcc"
    path.write_bytes(rcc(files, compressed))
    assert qt_resource.read_resource(path) == {f"a/{name}": data for name, data in files.items()}


@pytest.mark.parametrize("data", [b"", b"nores" * 9, rcc({"a.ogg": b"x"}, True)[:30], rcc({}, False, b"QRES")])
def test_what_is_no_resource_is_one_sentence(tmp_path, data):
    path = tmp_path / "x.rcc"
    path.write_bytes(data)
    with pytest.raises(DatasetError, match="is no Qt resource|is damaged"):
        qt_resource.read_resource(path)


@pytest.mark.skipif(not shutil.which("fluidsynth"), reason="needs fluidsynth")
def test_a_set_of_phrases_renders(tmp_path, clips):
    from splitstrument.corpus.set_stems import set_track
    from splitstrument.corpus.track import render_track
    from splitstrument.stem_set import read_set, write_listing

    bank = Path("/usr/share/sounds/sf2/TimGM6mb.sf2")
    if not bank.exists():
        pytest.skip("needs timgm6mb-soundfont")
    (sonivox,) = (bank for bank in catalogue.BANKS if bank.name == "sonivox")
    place = catalogue.package_folder(clips, "sonic-pi-samples").parent / "alphatab" / sonivox.path
    place.parent.mkdir(parents=True)
    place.symlink_to(bank)
    recipe = recipe_of("score_phrases").model_copy(update={"track_s": 10.0, "measured_responses": False})
    plan = TrackPlan("t", "phrases", "sonic_pi_guit_em9", "test", 0)
    record = render_track(plan, recipe, clips, tmp_path / "set")
    write_listing(tmp_path / "set", recipe.sample_rate_hz, [set_track(record)])
    (track,) = read_set(tmp_path / "set").tracks.values()
    assert {"guitar", "drums", "bass"} <= set(track.stems)
    assert track.group == "phrases: sonic_pi_guit_em9"
    assert yaml.safe_load((tmp_path / "set" / "tracks.yaml").read_text())["tracks"]["t"]["sounds"]["guitar"] == [
        "phrase"
    ]


def test_wheels_and_source_archives_are_unpacked_with_the_archives_inside(tmp_path):
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as sounds:
        sounds.writestr("C4.flac", b"sound")
    wheel, source = tmp_path / "a-1-py3-none-any.whl", tmp_path / "a-1.tar.gz"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("a/sounds.zip", inner.getvalue())
        archive.writestr("../outside", b"")
    with tarfile.open(source, "w:gz") as archive:
        entry = tarfile.TarInfo("a-1/C4.wav")
        entry.size = 5
        archive.addfile(entry, io.BytesIO(b"sound"))
    for path, file in ((wheel, "a/sounds/C4.flac"), (source, "a-1/C4.wav")):
        folder = tmp_path / path.name.replace(".", "_")
        folder.mkdir()
        packages._unpack_python(path, folder)
        assert (folder / file).read_bytes() == b"sound"
        assert not list(folder.rglob("*.zip"))
    assert not (tmp_path / "outside").exists()
