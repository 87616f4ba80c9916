"""Mixing from stems to a file: memory against length, and times real time, without the separation.

    python benchmarks/mixing.py
    python benchmarks/mixing.py --minutes 1 60

Two stems (noise with a beat, stereo, 44.1 kHz, 16 bits; the lead's range asks for compression) are mixed by the command
line in a process of its own: a `remix` with a gain, a word and a loudness, and an `automix` with every rule. Processor
time counts all cores.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

RATE, PIECE_S = 44_100, 24
COMMANDS = {
    "remix": ["--gain", "guitar=+6", "--eq", "guitar=warm", "--loudness", "-14"],
    "automix": [],
}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, nargs="+", default=[1, 10])
    options = parser.parse_args()
    print("| command | minutes | peak MB | / first | processor s | times real time (processor) | clock s |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as scratch:
        first: dict[str, float] = {}
        for minutes in options.minutes:
            stems = Path(scratch) / "stems"
            stems.mkdir(exist_ok=True)
            for seed, name in enumerate(("guitar", "rest")):
                make_stem(stems / f"{name}.wav", 60 * minutes, seed)
            for command, flags in COMMANDS.items():
                result = measure([command, str(stems), "-o", f"{scratch}/mix.wav", "--overwrite", "--json", *flags])
                peak = result["peak_mb"]
                print(
                    f"| {command} | {minutes:g} | {peak:.0f} | {peak / first.setdefault(command, peak):.3f} "
                    f"| {result['processor_s']:.1f} | {60 * minutes / result['processor_s']:.1f} "
                    f"| {result['clock_s']:.1f} |",
                    flush=True,
                )


def make_stem(path: Path, seconds: float, seed: int) -> None:
    """Write a stem piece by piece, so that this process stays small."""
    rng = np.random.default_rng(seed)
    at = np.arange(PIECE_S * RATE) / RATE
    beat = np.exp(-6 * (2 * at % 1)) * np.where((at // 6) % 2, 1.0, 0.15 if seed == 0 else 1.0)
    piece = (0.15 * beat[:, None] * rng.standard_normal((len(at), 2))).clip(-0.99, 0.99)
    left = round(seconds * RATE)
    with soundfile.SoundFile(path, "w", RATE, 2, "PCM_16") as file:
        while left > 0:
            file.write(piece[:left])
            left -= len(piece)


def measure(arguments: list[str]) -> dict[str, float]:
    """Clock, processor time and peak memory of one command."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "splitstrument", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(arguments)} failed with {process.returncode}")
    json.loads(output)
    return {
        "clock_s": time.perf_counter() - started,
        "processor_s": usage.ru_utime + usage.ru_stime,
        "peak_mb": usage.ru_maxrss / 1024,
    }


if __name__ == "__main__":
    main()
