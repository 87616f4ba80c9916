"""Files are whole or absent, and names cannot leave their folder."""

from __future__ import annotations

import os
import stat

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from splitstrument.files import atomic_path, inside, safe_name, sha256_of, write_text


def test_atomic_path_appears_only_when_whole(tmp_path):
    target = tmp_path / "new" / "song.wav"
    with atomic_path(target) as temporary:
        temporary.write_bytes(b"half")
        assert not target.exists()
        assert temporary.suffix == ".wav"  # audio libraries choose the format by it
    assert target.read_bytes() == b"half"
    assert os.listdir(target.parent) == ["song.wav"]


def test_atomic_path_leaves_the_old_file_on_failure(tmp_path):
    target = tmp_path / "report.txt"
    write_text(target, "old")
    with pytest.raises(KeyboardInterrupt), atomic_path(target) as temporary:
        temporary.write_text("half of the new")
        raise KeyboardInterrupt
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["report.txt"]


def test_outputs_follow_the_umask(tmp_path):
    old = os.umask(0o027)
    try:
        write_text(tmp_path / "a", "")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


@given(st.text())
@example("x" * 119 + " y")
def test_safe_name_is_one_harmless_component(name):
    safe = safe_name(name)
    assert safe not in ("", ".", "..")
    assert not set(safe) & set('/\\\0:*?"<>|')
    assert not safe.startswith(".")
    assert len(safe.encode()) <= 120
    assert safe_name(safe) == safe


@pytest.mark.parametrize(
    "mark", ["\u202e", "\u2066", "\u200f", "\u061c", "\x85", "\x9b", "\x1b", "\ud83d", "\ufeff", "\u2028"]
)
def test_safe_name_has_no_marks_that_cannot_be_seen_or_turn_the_writing(mark):
    assert safe_name(f"a{mark}b{mark * 3}.wav") == "a_b_.wav"


def test_safe_name_keeps_joined_letters_and_pictures():
    assert safe_name("می‌خواهم 👩‍🎤") == "می‌خواهم 👩‍🎤"


def test_safe_name_of_a_huge_text_takes_no_time():
    assert len(safe_name("ü" * 5_000_000).encode()) <= 120


def test_safe_name_keeps_every_alphabet():
    assert safe_name("Björk – Jóga/Ё 音楽?.mp3") == "Björk – Jóga_Ё 音楽_.mp3"


def test_inside_follows_links(tmp_path):
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "link").symlink_to(tmp_path)
    assert inside(tmp_path / "root", tmp_path / "root" / "new.wav")
    assert not inside(tmp_path / "root", tmp_path / "root" / "link" / "secret")
    assert not inside(tmp_path / "root", tmp_path / "root" / ".." / "x")


def test_sha256_is_that_of_the_bytes(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    # FIPS 180-2, appendix B.1
    assert sha256_of(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
