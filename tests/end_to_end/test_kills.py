"""Twenty kills (-9) of every long command at any moment: the next run has the same bytes, and nothing is left over."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from evaluation_helpers import good_estimates, make_references, write_estimates, write_pair
from stem_data import make_rockband
from tiny_models import music, tiny_model

from splitstrument.audio import write

ROOT = Path(__file__).resolve().parents[2]
KILLS = int(os.environ.get("KILLS", "20"))
pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")]
COMMANDS = {
    "separate": ("separate", "songs", "--model", "model", "-o", "out", "--keep-mask", "--skip-existing", "--quiet"),
    "separate with jobs": (
        *("separate", "songs", "--model", "model", "-o", "out", "--skip-existing", "--quiet", "--jobs", "2"),
    ),
    "dataset build": ("dataset", "build", "dataset.yaml", "--quiet"),
    "dataset mix": ("dataset", "mix", "organised", "--target", "guitar", "--unchecked", "-o", "out", "--quiet"),
    "score": ("score", "references", "estimates", "-o", "out", "--no-v4", "--quiet"),
    "remix": ("remix", "songs/0.wav", "--model", "model", "--gain", "rest=-6", "-o", "out/mix.wav", "--overwrite"),
}
# when and how long, which differ from run to run; the samples and settings beside them do not
VARIES = (".json", ".yaml", ".txt", ".csv", ".md", ".html", ".sqlite3")


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("kills"), np.random.default_rng(3)
    tiny_model(folder / "model")
    for number in range(3):
        write(folder / "songs" / f"{number}.wav", music(rng, 600_000), 44100, "PCM_16")
    make_rockband(folder / "raw")
    for name in "abc":
        references = make_references(rng, 3.0)
        write_pair(folder / "references", name, references)
        write_estimates(folder / "estimates", name, good_estimates(references, rng))
    dataset = {"name": "mine", "target": "guitar", "output": "out", "mix": {"require_checked": False}}
    (folder / "dataset.yaml").write_text(
        yaml.safe_dump({**dataset, "sources": [{"source": "rockband", "root": "raw"}]})
    )
    start(folder, ("dataset", "organise", "rockband", "raw", "-o", "organised")).wait()
    return folder


def start(work: Path, command: tuple[str, ...]) -> subprocess.Popen:
    """Start a command in a group of its own, with a folder of its own for temporary files."""
    (work / "tmp").mkdir(exist_ok=True)
    environment = {**os.environ, "TMPDIR": str(work / "tmp"), "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-m", "splitstrument", *command], cwd=work, env=environment, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def finish(work: Path, command: tuple[str, ...]) -> tuple[str, float]:
    """Run a command to its end; returns what it said and how long it took."""
    before = time.monotonic()
    process = start(work, command)
    _, said = process.communicate()
    assert process.returncode == 0, said
    return said, time.monotonic() - before


def hashes(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): "" if path.suffix in VARIES else hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def empty(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("name", COMMANDS)
def test_kills_leave_nothing_that_the_next_run_does_not_mend(work, name):
    command, rng = COMMANDS[name], random.Random(name)
    for folder in ("out", "tmp"):
        empty(work / folder)
    _, seconds = finish(work, command)
    wanted, leftovers = hashes(work / "out"), set(os.listdir(work / "tmp"))
    empty(work / "out")
    for _ in range(KILLS):
        process = start(work, command)
        try:
            process.wait(rng.uniform(0.2, 1.1) * seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stderr.close()
        if rng.random() < 0.3:
            empty(work / "out")
    finish(work, command)
    assert hashes(work / "out") == wanted
    assert set(os.listdir(work / "tmp")) <= leftovers


def together(work: Path, command: tuple[str, ...], times: int) -> list[tuple[int, str]]:
    """Status and last words of a command that is started several times at once."""
    processes = [start(work, command) for _ in range(times)]
    said = [process.communicate()[1] for process in processes]
    return [(process.returncode, text) for process, text in zip(processes, said, strict=True)]


def test_of_three_separations_into_one_folder_one_wins_and_two_say_so(work):
    empty(work / "out")
    command = ("separate", "songs/0.wav", "--model", "model", "-o", "out", "--quiet")
    ends = together(work, command, 3)
    assert sorted(status for status, _ in ends) == [0, 1, 1], ends
    for status, said in ends:
        assert status == 0 or "Another process writes to" in said or "exists already" in said or "just been" in said
    assert not [path for path in (work / "out").rglob("*") if path.name.startswith(".")]
    one = hashes(work / "out")
    empty(work / "out")
    finish(work, command)
    assert hashes(work / "out") == one


def test_two_mixes_into_one_folder_do_not_mix(work):
    empty(work / "out")
    ends = together(work, COMMANDS["dataset mix"], 2)
    assert sorted(status for status, _ in ends) in ([0, 1], [0, 0])  # one after the other is all right
    assert all(status == 0 or "Another process writes to" in said for status, said in ends)
    assert not [path for path in (work / "out").rglob("*") if path.name.startswith(".")]
