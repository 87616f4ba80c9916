"""Organising: classes by layout, metadata and name; links, copies and pieces; what people decided stays."""

from __future__ import annotations

import pytest
from stem_data import MAKERS, make_cambridge, make_medleydb, make_rockband, make_solo, write_tone

from splitstrument import audio
from splitstrument.errors import DatasetError, SettingsError
from splitstrument.executor import InlineExecutor
from splitstrument.files import sha256_of
from splitstrument.stems.classes import CLASSES, read_instrument_map
from splitstrument.stems.index import read_index, stems_of, track_folders
from splitstrument.stems.marks import read_marks, set_mark
from splitstrument.stems.organise import OrganiseSettings, organise


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


def test_a_damaged_stem_fails_its_track_only(tmp_path):
    root = make_rockband(tmp_path / "raw")
    (root / "r" / "Band - Song" / "guitar.ogg").write_text("this is text")
    report = run(root, tmp_path / "out", "rockband")
    assert list(report.index.tracks) == ["Other - Song"]
    assert "cannot be read as audio" in report.problems["Band - Song"]


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
