"""Output that cannot be said: narrow encodings, closed pipes, full disks behind a redirection. The work goes on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_models import music, tiny_model

from splitstrument.audio import write
from splitstrument.cli import home_expanded

NAMES = ("träume 🎸", "nächte", "звук")
full_disk = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")


@pytest.fixture(scope="module")
def songs(tmp_path_factory):
    """A folder of songs with names that few encodings can say, and a model."""
    import numpy as np

    folder = tmp_path_factory.mktemp("songs")
    tiny_model(folder / "model")
    for number, name in enumerate(NAMES):
        write(folder / "songs" / f"{name}.wav", music(np.random.default_rng(number), 9000, 1), 22050, "PCM_16")
    return folder


def run(songs, output, *arguments, command=None, encoding="utf-8", **more):
    """``splitstrument separate`` in a process of its own."""
    parts = [sys.executable, "-m", "splitstrument", "separate", "songs", "--model", "model", "-o", str(output)]
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    more.setdefault("capture_output", True)
    return subprocess.run([*parts, *arguments], cwd=songs, env=environment, timeout=60, **more)


def finished(output):
    return sorted(path.parent.name for path in output.rglob("separation.json"))


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "ascii", "cp437", "utf-8", "utf-16"])
@pytest.mark.parametrize("kind", [(), ("--json",), ("--dry-run",)], ids=" ".join)
def test_names_that_the_terminal_lacks_are_escaped(songs, tmp_path, encoding, kind):
    result = run(songs, tmp_path, *kind, encoding=encoding)
    text = result.stdout.decode(encoding)
    assert result.returncode == 0 and b"Traceback" not in result.stderr, result.stderr.decode()
    assert finished(tmp_path) == ([] if kind == ("--dry-run",) else sorted(NAMES))
    if encoding not in ("utf-8", "utf-16"):
        assert ("\\ud83c\\udfb8" if kind == ("--json",) else "\\U0001f3b8") in text
    if kind == ("--json",):
        assert {Path(song["song"]).stem for song in json.loads(text)["songs"]} == set(NAMES)


def beside_what_was_heard(errors):
    """Lines on standard error but for those that say that there is no guitar in noise."""
    return [line for line in errors.splitlines() if b"There is probably no guitar" not in line]


def test_a_closed_pipe_loses_no_work(songs, tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as output:
        result = run(songs, tmp_path, capture_output=False, stdout=output, stderr=subprocess.PIPE)
    assert (result.returncode, beside_what_was_heard(result.stderr)) == (0, [])
    assert finished(tmp_path) == sorted(NAMES)


@pytest.mark.parametrize("closing", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_lose_no_work_and_spoil_no_file(songs, tmp_path, closing):
    line = f'"{sys.executable}" -m splitstrument separate songs --model model -o "{tmp_path}" {closing}'
    result = subprocess.run(["bash", "-c", line], cwd=songs, timeout=60, capture_output=True)
    assert result.returncode == 0, result.stderr
    assert finished(tmp_path) == sorted(NAMES)
    assert all(path.read_bytes()[:4] == b"RIFF" for path in tmp_path.rglob("*.wav"))


@full_disk
def test_a_full_disk_behind_the_output_is_said_after_the_work(songs, tmp_path):
    with Path("/dev/full").open("wb") as output:
        result = run(songs, tmp_path, capture_output=False, stdout=output, stderr=subprocess.PIPE)
    assert result.returncode == 1
    assert b"Standard output could not be written (No space left on device)" in result.stderr
    assert len(beside_what_was_heard(result.stderr)) == 1
    assert finished(tmp_path) == sorted(NAMES)


@full_disk
def test_a_full_disk_behind_a_streamed_stem_is_one_sentence(songs, tmp_path):
    flags = ("--stems", "rest", "--quiet")
    with Path("/dev/full").open("wb") as output:
        command = [sys.executable, "-m", "splitstrument", "separate", f"songs/{NAMES[1]}.wav", "-o", "-", *flags]
        more = {"cwd": songs, "stdout": output, "stderr": subprocess.PIPE, "timeout": 60}
        result = subprocess.run([*command, "--model", "model"], **more)
    assert result.returncode == 1 and result.stderr.count(b"\n") == 1
    assert b"No space left on device" in result.stderr


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("~/song.wav", "/home/ada/song.wav"),
        ("--output=~/stems", "--output=/home/ada/stems"),
        ("guitar=~/pairs", "guitar=/home/ada/pairs"),
        *((same, same) for same in ("-", "--", "a=b=c", "x~", "~", "--model=~no_such_user/x", "")),
    ],
)
def test_the_home_folder_is_found_where_no_shell_does(monkeypatch, tmp_path, given, meant):
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "~").mkdir()  # what is there under its own name is meant
    assert home_expanded([given]) == [meant]
