"""Accuracy, speed and memory of our BSS Eval against mir_eval, and the throughput of scoring.

    python benchmarks/metrics.py data/frets_on_fire
    python benchmarks/metrics.py data/frets_on_fire --throughput 22 --jobs 2

For excerpts of real pairs and several estimates of each, prints the largest difference from mir_eval in dB (values
below 80 dB), both times in the same run and their ratio; then mir_eval's difference from itself when one zero sample is
put in front of all signals (what its own rounding makes of the same question); then the peak memory of scoring one and
ten times the length. CPU time is used, so that a busy machine changes little.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

from splitstrument import audio
from splitstrument.evaluation.jobs import peak_memory_mb
from splitstrument.evaluation.metrics.bss import bss_eval
from splitstrument.evaluation.metrics.score import score_blocks
from splitstrument.evaluation.run import EvaluationSettings, Workers, score_files
from splitstrument.evaluation.systems import estimates_of
from splitstrument.pairs import find_pairs
from splitstrument.tables import markdown

COUNTED_BELOW_DB = 80.0
RATE = 22050


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", type=Path, help="folder of instrument/rest pairs")
    parser.add_argument("--seconds", type=float, default=180.0, help="length of the excerpts")
    parser.add_argument("--tracks", type=int, default=3, help="at most this many tracks")
    parser.add_argument("--throughput", type=int, help="instead: score this many excerpts with everything, end to end")
    parser.add_argument("--jobs", type=int, default=2, help="workers of --throughput")
    options = parser.parse_args()
    pairs = find_pairs(options.pairs, RATE)
    if options.throughput:
        measure_throughput([load(pair, options.seconds) for pair in pairs], options.throughput, options.jobs)
        return
    compare_with_mir_eval({pair.name: load(pair, options.seconds) for pair in pairs[: options.tracks]})
    compare_memory(60.0, 600.0)


def load(pair, seconds: float) -> np.ndarray:
    """(2, n_samples, 1) float32 at 22,050 Hz."""
    sources = [audio.read(path, RATE, mono=True)[0] for path in (pair.instrument, pair.rest)]
    n_samples = min(*map(len, sources), round(seconds * RATE))
    return np.stack([source[:n_samples] for source in sources])


def estimates(references: np.ndarray) -> dict[str, np.ndarray]:
    """Estimates from bad to nearly perfect."""
    masked = np.concatenate(list(estimates_of("irm", iter([references]), RATE, 1536)), axis=1)[..., 0]
    flat = references[..., 0].astype(np.float64)
    low = np.fft.rfft(flat)
    low[:, low.shape[1] // 2 :] = 0
    return {
        "ideal ratio mask": masked,
        "mixture": np.repeat(flat.sum(axis=0, keepdims=True), 2, axis=0),
        "low-passed": np.fft.irfft(low, flat.shape[1]),
        "60 dB": flat + 1e-3 * masked,
    }


def compare_with_mir_eval(tracks: dict[str, np.ndarray]) -> None:
    """Differences and times."""
    rows, ours_s, theirs_s = [], 0.0, 0.0
    for name, references in tracks.items():
        reference = references[..., 0].astype(np.float64)
        for kind, estimate in estimates(references).items():
            ours, t_ours = timed(bss_eval, reference, estimate)
            theirs, t_theirs = timed(mir_eval_sources, reference, estimate)
            again = mir_eval_sources(np.pad(reference, ((0, 0), (1, 0))), np.pad(estimate, ((0, 0), (1, 0))))
            rows.append(
                [
                    f"{name}, {kind}",
                    f"{theirs[0][0]:.2f}",
                    f"{difference(ours, theirs):.1e}",
                    f"{difference(again, theirs):.1e}",
                    f"{t_ours:.2f} s",
                    f"{t_theirs:.2f} s",
                    f"{t_theirs / t_ours:.1f}",
                ]
            )
            ours_s, theirs_s = ours_s + t_ours, theirs_s + t_theirs
    header = ["estimate", "SDR", "ours − mir_eval, dB", "mir_eval − itself, dB", "ours", "mir_eval", "times faster"]
    print(markdown(header, rows))
    print(f"All: {ours_s:.2f} s against {theirs_s:.2f} s, {theirs_s / ours_s:.1f} times faster.\n", flush=True)


def mir_eval_sources(reference: np.ndarray, estimate: np.ndarray):
    """SDR, SIR, SAR of mir_eval."""
    import mir_eval

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return mir_eval.separation.bss_eval_sources(reference, estimate, compute_permutation=False)[:3]


def difference(ours, theirs) -> float:
    """Largest difference of values below 80 dB."""
    a, b = np.array(ours), np.array(theirs)
    counted = np.isfinite(b) & (b < COUNTED_BELOW_DB)
    return float(np.max(np.abs(a - b)[counted], initial=0))


def timed(function, *arguments):
    """Result and CPU time."""
    started = time.process_time()
    result = function(*arguments)
    return result, time.process_time() - started


def compare_memory(*seconds: float) -> None:
    """Peak memory of scoring streams of different length, each in a process of its own."""
    context = multiprocessing.get_context("spawn")
    for length in seconds:
        with context.Pool(1) as pool:
            peak = pool.apply(score_stream, (length,))
        print(f"Scoring {length / 60:g} min, all measures: peak {peak:.0f} MB", flush=True)


def score_stream(seconds: float) -> float:
    """Score a synthetic stream; the process's largest resident memory."""

    def blocks():
        rng = np.random.default_rng(0)
        for _ in range(round(seconds)):
            references = rng.standard_normal((2, RATE, 1)).astype(np.float32)
            yield references, (references + 0.1 * references[::-1])[None]

    score_blocks(blocks, 1, 1, RATE)
    return peak_memory_mb() or float("nan")


def measure_throughput(references: list[np.ndarray], n_tracks: int, jobs: int) -> None:
    """Score tracks with all baselines, ceilings and measures, as `splitstrument score` does."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for index in range(n_tracks):
            signals = np.roll(references[index % len(references)], index * RATE, axis=1)
            masked = np.concatenate(list(estimates_of("irm", iter([signals]), RATE, 1536)), axis=1)
            for source, signal, estimate in zip(("instrument", "rest"), signals, masked, strict=True):
                audio.write(folder / "references" / f"t{index}" / f"{source}.flac", 0.5 * signal, RATE)
                audio.write(folder / "estimates" / f"t{index}" / f"{source}.flac", 0.5 * estimate, RATE)
        started, cpu = time.perf_counter(), os.times()
        score_files(
            folder / "references", folder / "estimates", folder / "out", EvaluationSettings(), workers=Workers(jobs)
        )
        elapsed = time.perf_counter() - started
        used = sum(os.times()[:4]) - sum(cpu[:4])  # of this process and its workers
    print(f"{n_tracks} tracks, {jobs} workers, all measures, estimates and 6 baselines and ceilings: {elapsed:.0f} s")
    per_track = used / n_tracks
    print(f"CPU time {used:.0f} s, {per_track:.1f} s a track: 22 tracks on two idle cores take {11 * per_track:.0f} s")


if __name__ == "__main__":
    main()
