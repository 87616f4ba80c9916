"""Every command on a full or read-only disk: one sentence, status 1, nothing half-written."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from evaluation_helpers import good_estimates, make_references, write_estimates, write_pair
from stem_data import make_rockband
from tiny_models import music, tiny_model
from training_data import TINY_MODEL, make_pairs

from splitstrument.audio import write
from splitstrument.cli import main

DISK_KB = 2048


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A working folder with something for every command to read."""
    folder, rng = tmp_path_factory.mktemp("work"), np.random.default_rng(5)
    before = Path.cwd()
    os.chdir(folder)
    try:
        tiny_model(folder / "model")
        write(folder / "songs" / "one.wav", music(rng, 30000), 44100, "PCM_16")
        make_rockband(folder / "raw")
        make_pairs(folder / "pairs", ["a", "b", "c"], rng)
        for name in "ab":
            references = make_references(rng, 1.5)
            write_pair(folder / "refs", name, references)
            write_estimates(folder / "estimates", name, good_estimates(references, rng))
        recipe = {"name": "tiny", "model": TINY_MODEL, "datasets": [{"path": "pairs"}], "batch_size": 2, "epochs": 1}
        (folder / "recipe.yaml").write_text(yaml.safe_dump({**recipe, "validation_ratio": 0.34}))
        dataset = {"name": "mine", "target": "guitar", "output": "disk/built", "mix": {"require_checked": False}}
        dataset["sources"] = [{"source": "rockband", "root": "raw"}]
        (folder / "dataset.yaml").write_text(yaml.safe_dump(dataset))
        for command in (
            ["dataset", "organise", "rockband", "raw", "-o", "organised"],
            ["separate", "songs", "--model", "model", "-o", "stems", "--quiet"],
            ["score", "refs", "estimates", "-o", "scores", "--no-v4", "--quiet"],
        ):
            with pytest.raises(SystemExit, match="0"):
                main(command)
        yield folder
    finally:
        os.chdir(before)


@pytest.fixture
def disk(folder):
    """A disk of two megabytes; skips where nothing may be mounted."""
    place = folder / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_KB}k", "tmpfs", place], capture_output=True)
    if mounted.returncode:
        place.rmdir()
        pytest.skip("needs the right to mount a disk")
    yield place
    subprocess.run(["umount", place], check=True)
    place.rmdir()


COMMANDS = {
    "separate": "separate songs --model model -o disk/out --keep-mask --quiet",
    "rerun": "rerun stems/one/separation.json -o disk/out --quiet",
    "evaluate": "evaluate model --tracks refs -o disk/out --no-v4 --keep-estimates --quiet",
    "score": "score refs estimates -o disk/out --no-v4 --quiet",
    "report": "report scores -o disk/out",
    "organise": "dataset organise rockband raw -o disk/out --copy --quiet",
    "mix": "dataset mix organised --target guitar --unchecked -o disk/out --quiet",
    "build": "dataset build dataset.yaml --quiet",
    "silence": "dataset silence refs --below-audible 1 --to 0.9 -o disk/out --plot disk/plot.png --quiet",
    "stats": "dataset stats refs --plot disk/plot.png --quiet",
    "marks": "dataset marks export organised disk/marks.yaml --class guitar",
    "split": "dataset split disk/refs --evaluation 1 --quiet",
    "check": "dataset check disk/organised --target guitar --quiet",
    "stem-set": "dataset stem-set refs --rate 8000 -o disk/out",
}
INPUTS = {"split": "refs", "check": "organised"}


@pytest.mark.parametrize("free_kb", [None, 0, 12, 60], ids=lambda free: f"{free} kB" if free else "read-only")
@pytest.mark.parametrize("command", COMMANDS)
def test_one_sentence_and_nothing_half_written(folder, disk, capfd, command, free_kb):
    if command in INPUTS:
        shutil.copytree(folder / INPUTS[command], disk / INPUTS[command])
    if free_kb is None:
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    else:
        (disk / "full").write_bytes(bytes(shutil.disk_usage(disk).free - free_kb * 1024))
    with pytest.raises(SystemExit) as ended:
        main(COMMANDS[command].split())
    errors = capfd.readouterr().err.splitlines()
    assert not [path for path in disk.rglob("*") if ".part" in path.name]
    if free_kb and ended.value.code == 0:
        return  # there was room enough
    assert ended.value.code == 1 and errors
    assert all(line.startswith("splitstrument: ") for line in errors)
    reasons = ("No space left", "Read-only file system", "disk full", "no permission to write", "free, but the stems")
    assert any(reason in errors[0] for reason in (*reasons, "System error", "cannot be written"))


def run_limited(folder, largest_file: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command that may write no file larger than this many bytes: what a full disk is to HDF5 and memory maps."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))

    command = [sys.executable, "-m", "splitstrument", *arguments]
    return subprocess.run(command, cwd=folder, preexec_fn=limit, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(
    ("largest", "arguments", "missing"),
    [
        (8_000, (), "last.weights.h5"),
        pytest.param(40_000, (), "state.npz", marks=pytest.mark.slow),
        pytest.param(8_000, ("--set", "data.cache=cache"), "last.weights.h5", marks=pytest.mark.slow),
    ],
    ids=["weights", "state", "cache"],
)
def test_a_training_that_cannot_be_kept(folder, tmp_path, largest, arguments, missing):
    """Without the weights in memory this ends with signal 11, without room for the cache with signal 7."""
    result = run_limited(folder, largest, "train", "recipe.yaml", "-o", str(tmp_path / "run"), "--quiet", *arguments)
    said = [line for line in result.stderr.splitlines() if line.startswith("splitstrument: ")]
    assert result.returncode == 1 and len(said) == 1, result.stderr
    assert "cannot be written (File too large)" in said[0] and "Traceback" not in result.stderr
    left = {path.name for place in (tmp_path, folder / "cache") for path in place.rglob("*")}
    assert missing not in left and not [name for name in left if ".part" in name]
