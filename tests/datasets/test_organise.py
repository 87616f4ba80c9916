"""Organising: classes by layout, metadata and name; links, copies and pieces; what people decided stays."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest
from stem_data import MAKERS, make_cambridge, make_medleydb, make_rockband, make_solo, tone, write_tone

from splitstrument import audio
from splitstrument.datasets.classes import CLASSES, read_instrument_map
from splitstrument.datasets.index import read_index, stems_of, track_folders
from splitstrument.datasets.marks import read_marks, set_mark
from splitstrument.datasets.organise import OrganiseSettings, organise
from splitstrument.errors import DatasetError, SettingsError
from splitstrument.executor import InlineExecutor
from splitstrument.files import sha256_of


def run(root, output, source, **options):
    return organise(root, output, OrganiseSettings(source=source, **options), InlineExecutor(), quiet=True)


@pytest.mark.parametrize("source", list(MAKERS))
def test_every_source_organises_and_its_index_is_true(tmp_path, source):
    root = MAKERS[source](tmp_path / "raw")
    report = run(root, tmp_path / "out", source)
    assert not report.problems
    index = read_index(tmp_path / "out")
    assert index == report.index
    assert sorted(index.tracks) == [folder.name for folder in track_folders(tmp_path / "out")]
    for name, entry in index.tracks.items():
        assert entry.licence
        for stem in entry.stems:
            path = tmp_path / "out" / name / stem.file
            info = audio.probe(path)
            assert (stem.sample_rate_hz, stem.n_samples, stem.n_channels) == (
                info.sample_rate_hz,
                info.n_samples,
                info.n_channels,
            )
            assert stem.sha256 == sha256_of(path)
            assert stem.stem_class == path.parent.name
            assert stem.stem_class in CLASSES


def test_instruments_that_share_a_stem_go_nowhere_or_to_other(tmp_path):
    report = run(make_medleydb(tmp_path / "raw"), tmp_path / "out", "medleydb")
    stems = {stem.file: stem for stem in report.index.tracks["Artist_Two"].stems}
    assert "excluded/Artist_Two_STEM_02.wav" in stems  # piano with violin
    assert report.unknown == {"piano + violin": 1}
    assert report.index.tracks["Artist_Two"].notes == ("the makers declare bleed",)


def test_names_without_metadata_are_proposed_with_confidence(tmp_path):
    report = run(make_cambridge(tmp_path / "raw"), tmp_path / "out", "cambridge")
    assert report.proposed == {"drums": 2, "guitar": 2, "piano": 2, "vocals": 2}
    stems = report.index.tracks["Band_Tune_Full"].stems
    assert all(0.5 < stem.confidence <= 1 for stem in stems)


def test_below_the_wanted_confidence_stems_are_set_aside(tmp_path):
    write_tone(tmp_path / "raw" / "Song" / "qqq.wav")
    report = run(tmp_path / "raw", tmp_path / "out", "folders")
    assert [stem.file for stem in report.index.tracks["Song"].stems] == ["excluded/qqq.wav"]


def test_links_and_copies(tmp_path):
    root = make_rockband(tmp_path / "raw")
    run(root, tmp_path / "links", "rockband")
    run(root, tmp_path / "copies", "rockband", place="copy")
    links = [
        path for folder in track_folders(tmp_path / "links") for paths in stems_of(folder).values() for path in paths
    ]
    copies = [
        path for folder in track_folders(tmp_path / "copies") for paths in stems_of(folder).values() for path in paths
    ]
    assert all(path.is_symlink() for path in links)
    assert not any(path.is_symlink() for path in copies)
    assert sorted(map(sha256_of, links)) == sorted(map(sha256_of, copies))


def test_pieces_of_a_recording_join_to_the_whole(tmp_path):
    root = make_solo(tmp_path / "raw")
    run(root, tmp_path / "out", "solo")
    (whole,) = root.rglob("*.flac")
    expected, _ = audio.read(whole)
    pieces = [audio.read(path)[0] for folder in track_folders(tmp_path / "out") for path in stems_of(folder)["guitar"]]
    assert [len(piece) for piece in pieces] == [360_000, 360_000, 60_000]
    assert abs(sum(piece.sum(dtype=float) for piece in pieces) - expected.sum(dtype=float)) < 1e-3
    assert (pieces[1] == expected[360_000:720_000]).all()


def test_a_stem_that_a_person_moved_stays_moved_and_marks_stay(tmp_path):
    root = make_rockband(tmp_path / "raw")
    run(root, tmp_path / "out", "rockband")
    track = tmp_path / "out" / "Band - Song"
    (track / "guitar").mkdir(exist_ok=True)
    (track / "other" / "rhythm.ogg").rename(track / "guitar" / "rhythm.ogg")
    set_mark(track, "guitar", "checked")
    report = run(root, tmp_path / "out", "rockband")
    assert sorted(path.name for path in stems_of(track)["guitar"]) == ["guitar.ogg", "rhythm.ogg"]
    assert "guitar/rhythm.ogg" in [stem.file for stem in report.index.tracks["Band - Song"].stems]
    assert read_marks(track, "guitar") == {"checked"}


def test_equal_names_in_two_folders_of_a_song_both_survive(tmp_path):
    for take in ("take1", "take2"):
        write_tone(tmp_path / "raw" / "Song" / take / "guitar.wav", 200 + len(take))
    run(tmp_path / "raw", tmp_path / "out", "folders")
    (folder,) = track_folders(tmp_path / "out")
    assert [path.name for path in stems_of(folder)["guitar"]] == ["take1_guitar.wav", "take2_guitar.wav"]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["a/x/guitar.wav", "b/x/guitar.wav"], ["a_x_guitar.wav", "b_x_guitar.wav"]),
        (
            ["a/x/guitar.wav", "b/x/GUITAR.wav", "a_x_guitar.wav"],
            [r"a_x_guitar \w{8}.wav", "a_x_guitar.wav", "b_x_GUITAR.wav"],
        ),
        (["guitar 1:2.wav", "guitar 1?2.wav", "guitar.wav"], [r"guitar 1_2 \w{8}.wav"] * 2 + ["guitar.wav"]),
        ([f"guitar {'ü' * 100} {n}.wav" for n in "12"], [r"guitar ü+ \w{8}.wav"] * 2),
        ([f"guitar {'ü' * 100}.wav"], ["guitar ü{54}.wav"]),
        (["guitar .wav", "guitar" + "r" * 110 + ".wav"], ["guitar .wav", "guitar" + "r" * 110 + ".wav"]),
    ],
)
def test_no_stem_is_lost_to_another_of_the_same_name(tmp_path, files, expected):
    for number, file in enumerate(files, 1):
        write_tone(tmp_path / "raw" / "Song" / file, 100.0 * number)
    for _ in range(2):
        report = run(tmp_path / "raw", tmp_path / "out", "folders")
    stems = report.index.tracks["Song"].stems
    (folder,) = track_folders(tmp_path / "out")
    found = sorted(path for paths in stems_of(folder).values() for path in paths)
    assert sorted(stem.file for stem in stems) == [path.relative_to(folder).as_posix() for path in found]
    assert len({sha256_of(path) for path in found}) == len(files)
    assert all(re.fullmatch(pattern, path.name) for pattern, path in zip(expected, found, strict=True)), found
    assert all(len(path.name.encode()) <= 120 for path in found)


def test_a_damaged_stem_fails_its_track_only(tmp_path):
    root = make_rockband(tmp_path / "raw")
    (root / "r" / "Band - Song" / "guitar.ogg").write_text("this is text")
    report = run(root, tmp_path / "out", "rockband")
    assert list(report.index.tracks) == ["Other - Song"]
    assert "cannot be read as audio" in report.problems["Band - Song"]


def test_of_a_track_that_fails_nothing_is_placed_and_marks_stay(tmp_path):
    root = make_rockband(tmp_path / "raw")
    (root / "r" / "Band - Song" / "song.ogg").write_text("this is text")
    track = tmp_path / "out" / "Band - Song"
    (track / "guitar").mkdir(parents=True)
    (track / "guitar" / "notes.txt").write_text("mine")
    set_mark(track, "guitar", "checked")
    run(root, tmp_path / "out", "rockband")
    assert {path.name for path in track.rglob("*")} == {"guitar", "notes.txt", "guitar_checked"}
    (root / "r" / "Band - Song" / "song.ogg").unlink()
    run(root, tmp_path / "out", "rockband")
    write_tone(root / "r" / "Band - Song" / "crowd.ogg").write_text("this is text")
    run(root, tmp_path / "out", "rockband")
    assert sorted(stems_of(track)) == ["guitar", "other"]  # placed by the run before


@pytest.mark.parametrize("place", ["link", "copy"])
def test_stems_that_left_the_source_are_removed_and_foreign_files_stay(tmp_path, place):
    root = make_rockband(tmp_path / "raw")
    song, track = root / "r" / "Band - Song", tmp_path / "out" / "Band - Song"
    run(root, tmp_path / "out", "rockband", place=place)
    (track / "guitar" / "rhythm.ogg").write_bytes((track / "other" / "rhythm.ogg").read_bytes())
    (track / "other" / "rhythm.ogg").unlink()  # a person moved it
    write_tone(track / "other" / "mine.wav")
    write_tone(track / "vocals" / "guitar.ogg", 555.0)  # of a stem's name, but not that stem
    (song / "rhythm.ogg").unlink()
    (song / "guitar.ogg").rename(song / "lead.ogg")
    report = run(root, tmp_path / "out", "rockband", place=place)
    found = {name: [path.name for path in paths] for name, paths in stems_of(track).items()}
    assert found == {"guitar": ["lead.ogg"], "other": ["mine.wav", "song.ogg"], "vocals": ["guitar.ogg"]}
    assert [stem.file for stem in report.index.tracks["Band - Song"].stems] == ["guitar/lead.ogg", "other/song.ogg"]


def test_a_copy_follows_a_raw_file_of_the_same_size(tmp_path):
    raw, copy = tmp_path / "raw" / "Song" / "guitar.wav", tmp_path / "out" / "Song" / "guitar" / "guitar.wav"
    for hz in (200.0, 300.0):
        write_tone(raw, hz)
        run(tmp_path / "raw", tmp_path / "out", "folders", place="copy")
        assert sha256_of(copy) == sha256_of(raw)


@pytest.mark.parametrize("place", ["copy", "link"])
def test_what_a_person_put_in_the_place_of_a_stem_stays(tmp_path, place):
    raw, stem = tmp_path / "raw" / "Song" / "guitar.wav", tmp_path / "out" / "Song" / "guitar" / "guitar.wav"
    write_tone(raw, 200.0)
    run(tmp_path / "raw", tmp_path / "out", "folders", place=place)
    stem.unlink()
    write_tone(stem, 300.0)  # as long as the raw file: an edit
    edited = sha256_of(stem)
    for hz in (200.0, 400.0, 400.0):
        write_tone(raw, hz)
        report = run(tmp_path / "raw", tmp_path / "out", "folders", place=place)
        assert sha256_of(stem) == edited == report.index.tracks["Song"].stems[0].sha256
    raw.rename(raw.with_name("lead guitar.wav"))
    run(tmp_path / "raw", tmp_path / "out", "folders", place=place)
    assert sha256_of(stem) == edited and stem.with_name("lead guitar.wav").exists()


def test_tracks_of_one_name_in_two_raw_folders_lose_nothing(tmp_path):
    for disk, hz in (("disk1", 200.0), ("disk2", 300.0)):
        write_tone(tmp_path / disk / "Song" / "guitar.wav", hz)
        write_tone(tmp_path / disk / "Song" / f"{disk} drums.wav", hz)
    run(tmp_path / "disk1", tmp_path / "out", "folders", place="copy")
    before = {path: sha256_of(path) for path in (tmp_path / "out").rglob("*.wav")}
    run(tmp_path / "disk2", tmp_path / "out", "folders", place="copy")
    assert len(before) == 2 and {path: sha256_of(path) for path in before} == before


def test_the_index_keeps_tracks_of_other_raw_folders(tmp_path):
    for disk in ("disk1", "disk2"):
        write_tone(tmp_path / disk / f"Song of {disk}" / "guitar.wav")
        report = run(tmp_path / disk, tmp_path / "out", "folders")
    assert set(report.index.tracks) == {"Song of disk1", "Song of disk2"}


def test_a_name_that_is_no_text_is_placed_under_one_that_is(tmp_path):
    write_tone(tmp_path / "raw" / "Song" / "guitar.wav")
    write_tone(tmp_path / "raw" / "Song" / "x.wav", 300.0)
    (tmp_path / "raw" / "Song" / "x.wav").rename(tmp_path / "raw" / "Song" / os.fsdecode(b"bass \xff.wav"))
    report = run(tmp_path / "raw", tmp_path / "out", "folders")
    assert "bass _.wav" in {Path(stem.file).name for stem in report.index.tracks["Song"].stems}


def test_a_class_that_a_person_chose_stays_when_another_stem_changes_the_name(tmp_path):
    write_tone(tmp_path / "raw" / "Song" / "a" / "zzz.wav", 200.0)
    write_tone(tmp_path / "raw" / "Song" / "drums.wav", 100.0)
    run(tmp_path / "raw", tmp_path / "out", "folders")
    (placed,) = (tmp_path / "out" / "Song").rglob("zzz.wav")
    (tmp_path / "out" / "Song" / "guitar").mkdir(exist_ok=True)
    placed.rename(tmp_path / "out" / "Song" / "guitar" / "zzz.wav")
    write_tone(tmp_path / "raw" / "Song" / "b" / "zzz.wav", 300.0)
    run(tmp_path / "raw", tmp_path / "out", "folders")
    (chosen,) = stems_of(tmp_path / "out" / "Song")["guitar"]
    assert sha256_of(chosen) == sha256_of(tmp_path / "raw" / "Song" / "a" / "zzz.wav")


def test_pieces_follow_their_recording(tmp_path):
    recording = tmp_path / "raw" / "guitar" / "Evening.wav"
    for hz in (200.0, 300.0):
        write_tone(recording, hz, seconds=12.0)
        run(tmp_path / "raw", tmp_path / "out", "solo")
        (piece,) = stems_of(tmp_path / "out" / "Evening 01")["guitar"]
        assert (audio.read(piece)[0] == audio.read(recording)[0]).all()


@pytest.mark.parametrize(("level", "suffix"), [(0.9, ".flac"), (1.7, ".wav")])
def test_pieces_of_float_recordings_are_not_clipped(tmp_path, level, suffix):
    recording = tmp_path / "raw" / "guitar" / "Evening.wav"
    audio.write(recording, tone(200.0, 12.0, level), 8000, "FLOAT")
    run(tmp_path / "raw", tmp_path / "out", "solo")
    (piece,) = stems_of(tmp_path / "out" / "Evening 01")["guitar"]
    assert piece.suffix == suffix
    np.testing.assert_allclose(audio.read(piece)[0], audio.read(recording)[0], atol=2**-23)


def test_nothing_whole_is_an_error_that_says_where_to_get_it(tmp_path, shared_data):
    with pytest.raises(DatasetError, match=r"holds no whole track of MedleyDB .*of 330.*get the missing files"):
        run(shared_data / "medleydb", tmp_path / "out", "medleydb")


def test_the_map_is_a_file_that_can_be_edited(tmp_path, shared_data):
    """The thesis's own map reads as it is, and keeps distorted guitars apart."""
    theirs = read_instrument_map(shared_data / "thesis" / "mapping.yaml")
    ours = read_instrument_map()
    assert theirs.class_of("Distortion Guitar") == "distorted_guitar"
    assert ours.class_of("Distortion  guitar") == "guitar"
    assert ours.class_of("hurdy-gurdy") is None
    real = {"acoustic guitar", "piano", "electric piano", "violin", "drum set", "male singer", "electric bass"}
    assert {name: ours.class_of(name) for name in real} == {name: theirs.class_of(name) for name in real} | {
        "drum set": "drums"
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("guitar: [lute]\npiano: [lute]", "puts 'lute' into guitar and into piano"),
        ("lute: ../evil", "cannot be a class"),
        ("lute: 3", "should be a list of names or a class"),
        ("- lute", "should map classes"),
    ],
)
def test_wrong_maps(tmp_path, text, message):
    (tmp_path / "map.yaml").write_text(text)
    with pytest.raises(SettingsError, match=message):
        read_instrument_map(tmp_path / "map.yaml")


def test_an_index_cannot_lead_out_of_its_track(tmp_path):
    run(make_rockband(tmp_path / "raw"), tmp_path / "out", "rockband")
    path = tmp_path / "out" / "index.yaml"
    path.write_text(path.read_text().replace("guitar/guitar.ogg", "../../secret.ogg"))
    with pytest.raises(SettingsError, match="a stem's file is <class>/<name>"):
        read_index(tmp_path / "out")
