"""Every source keeps the contract of `stems.sources.contract`; then what is special about each, on real files."""

from __future__ import annotations

import json
import shutil
from collections import Counter

import pytest
import yaml
from stem_data import MAKERS, hide_folder, make_medleydb, make_rockband, make_slakh, make_solo, write_tone

from splitstrument.datasets.classes import read_instrument_map
from splitstrument.datasets.organise import classes_of_stems
from splitstrument.datasets.sources import SOURCES, get_source
from splitstrument.errors import DatasetError, SettingsError
from splitstrument.files import inside, safe_name


@pytest.fixture(params=list(SOURCES.table))
def source_and_root(request, tmp_path):
    return get_source(request.param), MAKERS[request.param](tmp_path / "raw")


def test_every_source_says_what_it_is(source_and_root):
    source, _ = source_and_root
    for attribute in ("name", "title", "citation", "licence", "url", "layout"):
        assert len(getattr(source, attribute)) > 3
    assert SOURCES.get(source.name) is type(source)


def test_tracks_are_sorted_unique_and_whole(source_and_root):
    source, root = source_and_root
    tracks = source.tracks(root)
    names = [track.name for track in tracks]
    assert names == sorted(names)
    assert len({name.casefold() for name in names}) == len(names)
    assert all(name == safe_name(name) for name in names)
    assert all(not track.problems and track.stems for track in tracks)
    assert source.tracks(root) == tracks


def test_every_stem_is_a_file_inside_the_root_with_a_known_class(source_and_root):
    source, root = source_and_root
    instrument_map = read_instrument_map()
    for track in source.tracks(root):
        assert all(stem.path.is_file() and inside(root, stem.path) for stem in track.stems)
        unknown = instrument_map.unknown(name for stem in track.stems for name in stem.instrument)
        assert unknown == []
        classes = [stem_class for stem_class, _ in classes_of_stems(track.stems, instrument_map, 0.5)]
        assert set(classes) & {"guitar", "piano", "drums"}


def test_a_missing_folder_names_where_to_get_the_data(source_and_root, tmp_path):
    source, _ = source_and_root
    with pytest.raises(DatasetError, match="There is no folder .* get .* from"):
        source.tracks(tmp_path / "nowhere")


def test_another_folder_says_what_was_expected(source_and_root, tmp_path):
    source, _ = source_and_root
    (tmp_path / "empty" / "notes").mkdir(parents=True)
    (tmp_path / "empty" / "notes" / "readme.txt").write_text("no music")
    with pytest.raises(DatasetError, match="holds no track of .*: expected"):
        source.tracks(tmp_path / "empty")


def test_links_out_of_the_tree_become_problems(source_and_root, tmp_path):
    source, root = source_and_root
    victim = max((stem.path for track in source.tracks(root) for stem in track.stems), key=str)
    outside = tmp_path / "secret.wav"
    shutil.move(victim, outside)
    victim.symlink_to(outside)
    bad = [track for track in source.tracks(root) if track.problems]
    assert bad
    assert all("leads out of" in track.problems[-1] for track in bad)
    assert all(inside(root, stem.path) for track in source.tracks(root) for stem in track.stems)


def lose(folder, kind):
    """Put something into a folder that seems to be a stem and cannot be taken."""
    if kind in ("m4a", "mogg", "RA"):
        (folder / f"lost.{kind}").write_bytes(b"\n" + bytes(999))
        return f"lost.{kind} is in a format that is not read here: convert it"
    target = {"looping": "lost.wav", "dead": "nowhere.wav", "dead folder": "nowhere", "outside": "/usr/share"}[kind]
    (folder / ("lost.wav" if target.endswith("wav") else "lost")).symlink_to(target)
    return "lost leads out of" if kind == "outside" else "is a link that leads nowhere: mend or remove it"


LOSSES = ("mogg", "RA", "looping", "dead", "dead folder", "outside")


@pytest.mark.parametrize("loss", LOSSES)
def test_no_stem_is_passed_over_in_silence(source_and_root, loss):
    source, root = source_and_root
    whole = source.tracks(root)
    reason = lose(max((stem.path for track in whole for stem in track.stems), key=str).parent, loss)
    bad = [track for track in source.tracks(root) if track.problems]
    assert len(bad) == 1 and reason in bad[0].problems[-1]
    if source.name != "solo":  # whose recordings are songs of their own
        assert bad[0].name in {track.name for track in whole}


@pytest.mark.parametrize("loss", LOSSES)
def test_no_song_is_passed_over_in_silence(source_and_root, loss):
    source, root = source_and_root
    whole = source.tracks(root)
    folder = root / "Artist - New song"
    (folder if loss in ("mogg", "RA") else root).mkdir(exist_ok=True)
    reason = lose(folder if loss in ("mogg", "RA") else root, loss)
    tracks = source.tracks(root)
    (bad,) = (track for track in tracks if track.problems)
    assert reason in bad.problems[-1] and bad.name in ("Artist - New song", "lost")
    assert [track for track in tracks if track is not bad] == whole


def test_what_is_no_sound_is_no_loss(source_and_root):
    source, root = source_and_root
    whole = source.tracks(root)
    folder = max((stem.path for track in whole for stem in track.stems), key=str).parent
    for name in ("notes.txt", "notes.mid", "cover.jpg", "song.als", ".hidden.m4a", "Thumbs.db", "README"):
        (folder / name).write_bytes(b"x")
    (folder / "dead.txt").symlink_to("nowhere")
    (folder / "again").symlink_to(".")
    assert source.tracks(root) == whole


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_json_with_a_byte_order_mark_is_read(tmp_path, encoding):
    root = MAKERS["moisesdb"](tmp_path)
    path = root / "moisesdb_v0.1" / "0a1b" / "data.json"
    path.write_text(path.read_text("utf-8"), encoding)
    (track,) = get_source("moisesdb").tracks(root)
    assert (track.title, track.problems) == ("Canção", ())


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000, "\0"])
def test_damaged_json_is_named_as_such(tmp_path, text):
    (make_slakh(tmp_path) / "redux.json").write_text(text)
    with pytest.raises(DatasetError, match=r"redux.json .*: get the file again"):
        get_source("slakh").tracks(tmp_path)


def test_films_behind_a_game_are_no_stems(tmp_path):
    whole = get_source("rockband").tracks(make_rockband(tmp_path))
    for name in ("video.mp4", "Background.webm", "highway.avi"):
        (whole[0].folder / name).write_bytes(b"x")
    assert get_source("rockband").tracks(tmp_path) == whole


def test_solo_recordings_of_no_class_are_named(tmp_path):
    write_tone(make_solo(tmp_path) / "Somebody.wav")
    (bad,) = (track for track in get_source("solo").tracks(tmp_path) if track.problems)
    assert bad.name == "Somebody" and "move it into one" in bad.problems[0]


@pytest.mark.parametrize("name", ["medleydb", "slakh", "moisesdb"])
def test_a_half_downloaded_track_is_listed_with_what_is_missing(name, tmp_path):
    source, root = get_source(name), MAKERS[name](tmp_path)
    stem = source.tracks(root)[0].stems[0].path
    stem.unlink()
    problem = source.tracks(root)[0].problems[0]
    assert stem.name in problem
    assert "missing" in problem


def test_a_folder_that_cannot_be_read_is_named(source_and_root, monkeypatch):
    source, root = source_and_root
    hidden = max((path for path in root.iterdir() if path.is_dir()), key=str)
    before = source.tracks(root)
    hide_folder(monkeypatch, hidden)
    try:
        tracks = source.tracks(root)
    except DatasetError as error:
        assert f"The folder {hidden} cannot be read (Permission denied)" in str(error)
    else:
        assert [track.name for track in tracks] == [track.name for track in before]
        assert [track.name for track in tracks if track.problems] == [hidden.name]


def test_metadata_cannot_name_files_outside(tmp_path):
    root = make_medleydb(tmp_path / "raw")
    write_tone(tmp_path / "outside.wav")
    path = root / "Metadata" / "Artist_One_METADATA.yaml"
    data = yaml.safe_load(path.read_text())
    data["stems"]["S01"]["filename"] = "../../../../outside.wav"
    path.write_text(yaml.safe_dump(data))
    track = get_source("medleydb").tracks(root)[0]
    assert "leads out of" in track.problems[-1]


@pytest.mark.parametrize(
    "text",
    ["stems: 3", "[1, 2]", "stems: {S01: {}}", "date: 2020-02-31", "a: &a [1]\nb: [" + "*a," * 200 + "]"],
)
def test_broken_metadata_spoils_only_its_own_track(text, tmp_path):
    root = make_medleydb(tmp_path)
    (root / "Metadata" / "Artist_One_METADATA.yaml").write_text(text)
    bad, good = get_source("medleydb").tracks(root)
    assert "Artist_One_METADATA.yaml" in bad.problems[0]
    assert not good.problems


def test_unknown_source_lists_the_known():
    with pytest.raises(SettingsError, match="There is no source .musdb. .*choose one of medleydb, slakh"):
        get_source("musdb")


# --- real files ---


def test_all_real_medleydb_metadata_parses(shared_data):
    tracks = get_source("medleydb").tracks(shared_data / "medleydb")
    assert len(tracks) == 330
    counts: Counter[str] = Counter()
    for track in tracks:
        assert track.artist and track.title and track.stems
        counts.update({name for name, _ in classes_of_stems(track.stems, read_instrument_map(), 0.5)})
    unknown = read_instrument_map().unknown(n for t in tracks for s in t.stems for n in s.instrument)
    assert unknown == ["Unlabeled"]
    assert (counts["guitar"], counts["piano"]) == (194, 100)  # tracks; `dataset sources medleydb` prints them


def test_the_lists_of_medleydb_1_and_2_are_among_the_metadata(shared_data):
    """The thesis had these 196 songs."""
    names = {t.name: t for t in get_source("medleydb").tracks(shared_data / "medleydb")}
    lists = ("tracklist_v1.txt", "tracklist_v2.txt")
    released = {line for name in lists for line in (shared_data / "medleydb" / name).read_text().split()}
    assert len(released) == 196
    assert released <= set(names)


@pytest.mark.parametrize(("folder", "whole"), [("babyslakh_16k", 1), ("slakh2100_flac_redux", 1)])
def test_real_slakh_excerpts(shared_data, folder, whole):
    tracks = get_source("slakh").tracks(shared_data / "slakh" / folder)
    good = [track for track in tracks if not track.problems]
    assert len(good) == whole
    assert all("metadata.yaml" in track.problems[0] for track in tracks if track.problems)
    classes = Counter(name for name, _ in classes_of_stems(good[0].stems, read_instrument_map(), 0.5))
    assert classes == {"guitar": 3, "drums": 1, "piano": 1, "bass": 1, "vocals": 1, "other": 3, "mix": 1}


def test_slakh_knows_songs_made_from_the_same_midi(tmp_path):
    one, two = get_source("slakh").tracks(make_slakh(tmp_path))
    assert one.same_song_as == ("Track00002",)
    assert two.same_song_as == ("Track00001",)
    assert (one.split, two.split) == ("train", "test")


def test_slakh_duplicates_file_and_redux_moves(tmp_path, shared_data):
    root = make_slakh(tmp_path)
    for folder in root.glob("*/Track*"):
        (folder / "metadata.yaml").write_text((folder / "metadata.yaml").read_text().replace("UUID: abc", "UUID: ''"))
    shutil.copy(shared_data / "slakh" / "duplicates.json", root)
    assert all(not track.same_song_as for track in get_source("slakh").tracks(root))  # the real list says so
    moves = {"Track00001": {"action": "move", "destination_split": "validation"}, "Track00002": {"action": "omit"}}
    (root / "redux.json").write_text(json.dumps(moves))
    (track,) = get_source("slakh").tracks(root)
    assert (track.name, track.split) == ("Track00001", "validation")


def test_rockband_backing_is_rest_unless_it_is_all_there_is(tmp_path):
    root = make_rockband(tmp_path)
    write_tone(root / "Only mix" / "song.ogg")
    band, mix, other = get_source("rockband").tracks(root)
    assert {stem.path.stem: stem.stem_class for stem in band.stems} == {
        "guitar": "guitar",
        "rhythm": "other",
        "song": "other",
    }
    assert (band.artist, band.title) == ("Band", "Song")
    assert mix.problems == ("only a mix, no separate part",)
    numbered, _ = zip(*classes_of_stems(other.stems, read_instrument_map(), 0.5), strict=True)
    assert numbered == ("drums", "guitar", "vocals")


def test_solo_recordings_become_pieces_of_one_song(tmp_path):
    pieces = get_source("solo").tracks(make_solo(tmp_path))
    lengths = [piece.stems[0].length_s for piece in pieces]
    assert [piece.name for piece in pieces] == ["Long evening 01", "Long evening 02", "Long evening 03"]
    assert lengths == [180, 180, 30]
    assert pieces[0].same_song_as == ("Long evening 02", "Long evening 03")
