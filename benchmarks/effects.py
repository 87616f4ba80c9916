"""Speed of the effects and of the loudness meter, as multiples of real time, on a minute of stereo noise.

    python benchmarks/effects.py [--seconds 60]

Each figure is of processor time, the best of three in one process; a mix goes through all of them.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np

from splitstrument.audio import DEFAULT_BLOCK
from splitstrument.loudness import measure
from splitstrument.mixing.effects.chain import run
from splitstrument.mixing.effects.compressor import Compressor
from splitstrument.mixing.effects.equalizer import Band, ParametricEqualizer, band_centres_hz, curve_equalizer
from splitstrument.mixing.effects.limiter import Limiter
from splitstrument.mixing.effects.reverb import Reverb, room

RATE = 44_100


def best_of_three(work: Callable[[], object]) -> float:
    """Seconds of processor time of the fastest of three calls."""
    times = []
    for _ in range(3):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return min(times)


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60, help="length of the signal (default 60)")
    seconds = parser.parse_args().seconds
    signal = (0.3 * np.random.default_rng(0).standard_normal((seconds * RATE, 2))).astype(np.float32)
    blocks = [signal[start : start + DEFAULT_BLOCK] for start in range(0, len(signal), DEFAULT_BLOCK)]
    bands = [Band("low_shelf", 100, 3), *(Band("peak", hertz, 4, 1) for hertz in (250, 800, 2500, 6000))]
    makers = {
        "equalizer, 5 bands": lambda: ParametricEqualizer(bands, RATE, 2),
        "equalizer, 40 bands": lambda: curve_equalizer(band_centres_hz(), np.linspace(-6, 6, 40), RATE, 2),
        "compressor": lambda: Compressor(RATE, 2, look_ahead_s=0.005),
        "reverb, 2 s": lambda: Reverb(room(2.0, RATE, 2), 2),
        "true-peak limiter": lambda: Limiter(RATE, 2),
    }
    print("| effect | times real time |\n|---|--:|")
    for name, make in makers.items():
        print(f"| {name} | {seconds / best_of_three(lambda make=make: list(run([make()], blocks))):.0f} |")
    print(f"| loudness meter with true peak | {seconds / best_of_three(lambda: measure(blocks, RATE, 2)):.0f} |")
    everything = best_of_three(lambda: list(run([make() for make in makers.values()], blocks)))
    print(f"| all five effects | {seconds / everything:.0f} |")


if __name__ == "__main__":
    main()
