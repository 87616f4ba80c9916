"""Marks: empty files, and the thesis's exchange form on its real files."""

from __future__ import annotations

import pytest

from splitstrument.datasets.marks import (
    MARKS,
    count_marks,
    import_marks,
    is_usable,
    read_all_marks,
    read_marks,
    read_marks_file,
    set_mark,
    write_marks_file,
)
from splitstrument.errors import DatasetError, SettingsError


@pytest.mark.parametrize(("target", "usable", "n_tracks"), [("piano", 154, 238), ("guitar", 711, 950)])
def test_the_thesis_marks_round_trip_through_empty_files(tmp_path, shared_data, target, usable, n_tracks):
    marks = read_marks_file(shared_data / "thesis" / f"marks_{target}.yaml")
    counts = count_marks(marks)
    assert (counts.n_usable, counts.n_tracks) == (usable, n_tracks)
    for name in marks:
        (tmp_path / "set" / name).mkdir(parents=True)
    assert import_marks(tmp_path / "set", target, marks) == []
    assert read_all_marks(tmp_path / "set", target) == marks
    write_marks_file(tmp_path / "marks.yaml", read_all_marks(tmp_path / "set", target))
    assert read_marks_file(tmp_path / "marks.yaml") == marks


def test_published_counts_of_defects(shared_data):
    counts = count_marks(read_marks_file(shared_data / "thesis" / "marks_guitar.yaml")).by_mark
    assert [counts[mark] for mark in ("bleed", "bad_quality", "mislabeled", "missing")] == [174, 47, 15, 2]


def test_marks_are_empty_files_named_after_class_and_mark(tmp_path):
    set_mark(tmp_path, "guitar", "bleed")
    assert (tmp_path / "guitar_bleed").read_bytes() == b""
    assert read_marks(tmp_path, "guitar") == {"bleed"}
    assert read_marks(tmp_path, "piano") == set()
    set_mark(tmp_path, "guitar", "bleed", present=False)
    assert not list(tmp_path.iterdir())


def test_what_is_usable():
    assert is_usable({"checked", "audible", "detailed"})
    assert not is_usable({"audible"})
    assert is_usable({"audible"}, require_checked=False)
    for defect in ("missing", "inaudible", "bad_quality", "bleed", "mislabeled"):
        assert not is_usable({"checked", defect}, require_checked=False)


def test_import_replaces_and_reports_unknown_tracks(tmp_path):
    (tmp_path / "set" / "Song").mkdir(parents=True)
    (tmp_path / "set" / ".checks").mkdir()
    set_mark(tmp_path / "set" / "Song", "guitar", "bleed")
    marks = {"Song": {"checked"}, "Gone": {"checked"}, ".checks": {"bleed"}}
    assert import_marks(tmp_path / "set", "guitar", marks) == ["Gone", ".checks"]
    assert read_marks(tmp_path / "set" / "Song", "guitar") == {"checked"}
    assert not list((tmp_path / "set" / ".checks").iterdir())


@pytest.mark.parametrize("name", ["", ".", "..", "../evil", "Song/", "/tmp", "a\0b"])
def test_import_stays_inside_the_dataset(tmp_path, name):
    (tmp_path / "set" / "Song").mkdir(parents=True)
    (tmp_path / "guitar_bleed").touch()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DatasetError, match="cannot be a folder of the dataset"):
        import_marks(tmp_path / "set", "guitar", {"Song": {"checked"}, name: {"checked"}})
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1]", "should hold one entry per track"),
        ("Song: {checked: maybe}", "true or false"),
        ("Song: {chekced: true}", "unknown mark 'chekced'"),
        ("Song: 3", "true or false"),
        ("Song: {checked: 2020-02-31}", "is not valid YAML"),
    ],
)
def test_wrong_files(tmp_path, text, message):
    (tmp_path / "marks.yaml").write_text(text)
    with pytest.raises(SettingsError, match=message):
        read_marks_file(tmp_path / "marks.yaml")


def test_wrong_marks(tmp_path):
    with pytest.raises(DatasetError, match="'loud' is no mark: use one of audible"):
        set_mark(tmp_path, "guitar", "loud")
    with pytest.raises(DatasetError, match="no track folder"):
        set_mark(tmp_path / "nowhere", "guitar", MARKS[0])
    with pytest.raises(SettingsError, match="cannot be a class"):
        set_mark(tmp_path, "../guitar", MARKS[0])
