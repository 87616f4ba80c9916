"""What killed processes leave behind, and processes that write to the same place."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from waiting import wait_until

from splitstrument import files
from splitstrument.errors import FolderInUseError
from splitstrument.files import atomic_path, claimed, scratch_folder, write_text

ROOT = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.skipif(os.name != "posix", reason="locks end with their process on POSIX systems only")
HOLD = (
    "import sys, time; from pathlib import Path; from splitstrument.files import *\n"
    "with {what} as path: Path(path, 'x').touch() if path and path.is_dir() else None; "
    "print(path, flush=True); time.sleep(600)"
)


@pytest.fixture(autouse=True)
def fresh_process(monkeypatch):
    """As in a process that has looked nowhere yet."""
    monkeypatch.setattr(files, "_looked_into", set())
    monkeypatch.setattr(files, "_scratched", set())


@pytest.fixture
def holder():
    """Start a process that holds something; it is killed at the end, or by `kill`."""
    started = []

    def start(what: str) -> tuple[subprocess.Popen, str]:
        code = HOLD.format(what=what)
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT)
        started.append(process)
        return process, process.stdout.readline().strip()

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def kill(process: subprocess.Popen) -> None:
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


@pytest.mark.parametrize("name", ["song.wav", "report", "a.b.c.flac", "ü [x]*.zip"])
def test_the_next_run_removes_what_a_killed_one_was_writing(tmp_path, holder, name):
    process, part = holder(f"atomic_path({str(tmp_path / name)!r})")
    Path(part).write_bytes(bytes(1000))
    write_text(tmp_path / "other.txt", "of a run at the same time")
    assert Path(part).exists()  # its process lives
    kill(process)
    files._looked_into.clear()
    write_text(tmp_path / "other.txt", "of the next run")
    assert os.listdir(tmp_path) == ["other.txt"]


def test_files_that_only_look_like_leftovers_stay(tmp_path):
    (tmp_path / "real").write_text("x")
    names = [".hidden", ".a.part.wav", "song.12345678.part.wav", ".a.ABCDEFGH.part", ".a.12345678.party"]
    for name in names:
        (tmp_path / name).write_text("x")
    (tmp_path / ".l.abcdefgh.part.wav").symlink_to("real")
    (tmp_path / ".d.abcdefgh.part.wav").mkdir()
    write_text(tmp_path / "new.txt", "x")
    assert {*names, "real", ".l.abcdefgh.part.wav", ".d.abcdefgh.part.wav"} <= set(os.listdir(tmp_path))


def test_a_folder_is_looked_into_once_a_process(tmp_path, monkeypatch):
    looked = []
    monkeypatch.setattr(Path, "glob", lambda self, pattern: looked.append(self) or iter(()))
    for number in range(5):
        with atomic_path(tmp_path / f"{number}.txt") as temporary:
            temporary.write_text("x")
    assert looked == [tmp_path]


def test_scratch_folders_of_killed_processes_go_and_others_stay(tmp_path, holder):
    dead, gone = holder(f"scratch_folder(Path({str(tmp_path)!r}))")
    _, alive = holder(f"scratch_folder(Path({str(tmp_path)!r}))")
    (tmp_path / "splitstrument-strangers").mkdir()
    (tmp_path / "splitstrument-12345678").mkdir()  # without a lock: being made
    (tmp_path / "splitstrument-abcdefgh").symlink_to(alive)
    kill(dead)
    assert Path(gone, "x").exists()
    with scratch_folder(tmp_path) as mine:
        assert mine.is_dir() and not Path(gone).exists() and Path(alive, "x").exists()
        assert len(list(tmp_path.iterdir())) == 5
    assert not mine.exists()


def test_a_claim_is_one_processs_until_it_ends(tmp_path, holder):
    folder = tmp_path / "out"
    process, _ = holder(f"claimed(Path({str(folder)!r}), 'song')")
    with pytest.raises(FolderInUseError, match="Another process writes to"), claimed(folder, "song"):
        pass
    with claimed(folder, "another song"):
        pass
    kill(process)
    with claimed(folder, "song"):
        (folder / "stem.wav").write_text("x")
    assert os.listdir(folder) == ["stem.wav"]


def test_a_claim_that_came_to_nothing_leaves_no_folder(tmp_path):
    with pytest.raises(ValueError, match="x"), claimed(tmp_path / "new"):
        raise ValueError("x")
    assert not (tmp_path / "new").exists()


def test_of_many_claims_at_once_one_holds_at_a_time(tmp_path):
    code = (
        "import sys; from pathlib import Path; from splitstrument.files import claimed\n"
        "from splitstrument.errors import FolderInUseError\n"
        "won = 0\n"
        "for _ in range(300):\n"
        "    try:\n"
        "        with claimed(Path(sys.argv[1]), 'a'):\n"
        "            holder = Path(sys.argv[1]) / 'holder'; holder.open('x').close(); holder.unlink(); won += 1\n"
        "    except FolderInUseError: pass\n"
        "print(won)"
    )
    (tmp_path / "keep").touch()
    runs = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=ROOT)
        for _ in range(3)
    ]
    outputs = [run.communicate(timeout=60)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0, 0] and sum(map(int, outputs)) > 0
    wait_until(lambda: os.listdir(tmp_path) == ["keep"], 5)
