"""One training again and again on a busy machine, undisturbed and killed: do the weights come out the same?

    python tests/support/exact_runs.py --runs 3 --kills 20

Prints a line for each run with the SHA-256 of its weights, and ends with status 1 if they differ. A killed run gets a
SIGKILL at a random moment and is resumed, in another process, until it is finished. Meanwhile two processes
(``--busy``) keep the cores busy. The network has five levels: what the load may change does not show in smaller ones.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from training_data import RATE_HZ, make_pairs, tiny_settings
from waiting import wait_until

from splitstrument.training.backend import choose_backend
from splitstrument.training.settings import TrainingSettings

BUSY = "while True: sum(range(100000))"


def settings_for(folder: Path) -> TrainingSettings:
    """A training whose whole state must survive: averages, accumulated gradients, dropout, statistics."""
    network = {"kind": "hourglass", "filters": 8, "levels": 5, "initial_widths": [8, 8], "end_width": 8, "dropout": 0.1}
    return tiny_settings(
        folder,
        model={"spectrogram": {"sample_rate_hz": RATE_HZ, "n_fft": 256}, "n_frames": 32, "network": network},
        data={"source": "segments"},
        batch_size=4,
        epochs=3,
        steps_per_epoch=12,
        optimizer={"learning_rate": 1e-2, "ema": 0.9, "accumulate": 2, "clip_norm": 50.0},
        records={"save_every_s": 0},
    )


def start(settings: TrainingSettings, run: Path) -> int:
    """Train, or go on training, in a fork of this process, which must not have computed yet; its process id."""
    import splitstrument.training.run  # before the fork, once

    process = os.fork()
    if process:
        return process
    status = 1
    try:
        choose_backend()
        resume = (run / "state" / "state.npz").is_file()
        splitstrument.training.run.train(settings, run, resume, quiet=True)
        status = 0
    finally:
        os._exit(status)


def finish(settings: TrainingSettings, run: Path) -> None:
    """Train to the end."""
    _, status = os.waitpid(start(settings, run), 0)
    if status:
        raise SystemExit(f"{run} ended with status {status}")


def kill_once(settings: TrainingSettings, run: Path, draw: random.Random) -> None:
    """Kill a training at some moment after its state was first saved; it may be at any point of any step or save."""
    process = start(settings, run)
    wait_until((run / "state" / "state.npz").exists)
    time.sleep(draw.uniform(0, 1.5))
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)


def digest(run: Path) -> str:
    """SHA-256 of all arrays of both weights files."""
    whole = hashlib.sha256()
    for name in ("best.weights.h5", "last.weights.h5"):
        with h5py.File(run / name) as file:
            file.visititems(lambda key, item: whole.update(item[()].tobytes()) if hasattr(item, "dtype") else None)
    return whole.hexdigest()


@contextlib.contextmanager
def busy_machine(processes: int) -> Iterator[None]:
    """Keep the cores busy."""
    burners = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(processes)]
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()


def main() -> None:
    """Train, kill, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="undisturbed runs")
    parser.add_argument("--kills", type=int, default=20, help="runs that are killed once")
    parser.add_argument("--busy", type=int, default=2, help="processes that compute meanwhile")
    arguments = parser.parse_args()
    draw, found = random.Random(0), []
    with tempfile.TemporaryDirectory() as place, busy_machine(arguments.busy):
        folder = make_pairs(Path(place) / "pairs", ["a", "b", "c"], np.random.default_rng(1))
        for number in range(arguments.runs + arguments.kills):
            run, killed = Path(place) / f"run{number}", number >= arguments.runs
            if killed:
                kill_once(settings_for(folder), run, draw)
            finish(settings_for(folder), run)
            found.append(digest(run))
            print("killed" if killed else "undisturbed", found[-1][:16], flush=True)
    if len(set(found)) != 1:
        raise SystemExit(f"{len(set(found))} different results of {len(found)} runs")
    print(f"{len(found)} runs, one result")


if __name__ == "__main__":
    main()
