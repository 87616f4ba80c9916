"""Separation from file to files: memory against length, times real time, start-up.

    python benchmarks/separation.py guitar
    python benchmarks/separation.py runs/mine --minutes 1 60 --jobs 1

Each song (noise with decaying tones, stereo, 44.1 kHz, 16 bits) is separated by the command line in a process of its
own. Reported are the peak memory, as a ratio to the one-minute song's; processor and clock time; and the time of a
10 s song from start to end, which is mostly start-up.
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

RATE = 44100


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="shipped model or run folder")
    parser.add_argument("--minutes", type=float, nargs="+", default=[1, 10])
    parser.add_argument("--threads", type=int, help="threads of the engine (default: one per core)")
    parser.add_argument("--engine")
    parser.add_argument("--format", default="wav", help="format of the outputs")
    options = parser.parse_args()
    flags = ["--model", options.model, "--format", options.format]
    flags += ["--threads", str(options.threads)] if options.threads else []
    flags += ["--engine", options.engine] if options.engine else []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        start = measure(make_song(folder / "short.wav", 10), folder, flags)
        print(f"start-up: a 10 s song takes {start['clock_s']:.2f} s (processor {start['processor_s']:.2f} s)\n")
        print("| minutes | peak MB | / first | clock s | times real time | processor s a minute |")
        print("|---|---|---|---|---|---|")
        first = None
        for minutes in options.minutes:
            song = make_song(folder / "song.wav", minutes * 60)
            result = measure(song, folder, flags)
            first = first or result["peak_mb"]
            print(
                f"| {minutes:g} | {result['peak_mb']:.0f} | {result['peak_mb'] / first:.3f} | {result['clock_s']:.1f} "
                f"| {minutes * 60 / result['clock_s']:.1f} | {result['processor_s'] / minutes:.2f} |",
                flush=True,
            )


def make_song(path: Path, seconds: float) -> Path:
    """Write a song block by block, so that this process stays small."""
    import soundfile

    rng = np.random.default_rng(0)
    left = round(seconds * RATE)
    with soundfile.SoundFile(path, "w", RATE, 2, "PCM_16") as file:
        while left > 0:
            n_samples = min(left, 10 * RATE)
            time_s = np.arange(n_samples)[:, None] / RATE
            tones = sum(np.sin(2 * np.pi * f * time_s) for f in (110, 330, 1760)) * np.exp(-(time_s % 0.5) * 6)
            file.write(0.1 * tones + 0.05 * rng.standard_normal((n_samples, 2)))
            left -= n_samples
    return path


def measure(song: Path, folder: Path, flags: list[str]) -> dict[str, float]:
    """Separate in a child process; its peak memory, clock and processor time."""
    script = (
        "import json, resource, sys\n"
        "from splitstrument.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as end:\n"
        "    usage = resource.getrusage(resource.RUSAGE_SELF)\n"
        "    heavy = [name for name in ('tensorflow', 'keras') if name in sys.modules]\n"
        "    print(json.dumps([end.code, usage.ru_maxrss, usage.ru_utime + usage.ru_stime, heavy]))\n"
    )
    arguments = ["separate", str(song), "-o", str(folder / "out"), "--overwrite", "--quiet", *flags]
    started = time.perf_counter()
    run = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, env=os.environ)
    clock_s = time.perf_counter() - started
    try:
        status, peak_kb, processor_s, heavy = json.loads(run.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError):
        sys.exit(f"the command failed: {run.stderr[-500:]}")
    if status:
        sys.exit(f"the command failed: {run.stderr[-500:]}")
    if heavy:
        print(f"(loaded {', '.join(heavy)})")
    scale = 1024 if sys.platform != "darwin" else 1024 * 1024
    return {"peak_mb": peak_kb / scale, "clock_s": clock_s, "processor_s": processor_s}


if __name__ == "__main__":
    main()
