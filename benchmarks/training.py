"""Does the network ever wait for its data? Pipeline and training step, measured in one run.

    python benchmarks/training.py trainings/small_hourglass.yaml
    python benchmarks/training.py trainings/table_06.yaml --dataset recorded_guitar=data/frets_on_fire --steps 4
    python benchmarks/training.py trainings/small_hourglass.yaml --xla
    python benchmarks/training.py trainings/small_hourglass.yaml --exact

Prints, for one recipe: chunks per second that each way to prepare them delivers on its own (chunks by seeking, chunks
from the cache, random segments; tf.data and threads), the seconds of a training step, the ratio of the two, the share
of a training that goes by waiting for a batch, and the step beside Keras's plain `fit` of the same model on a batch
that lies ready. With --xla: the step compiled by XLA beside the same step without, in turns (both without determinism,
which XLA cannot have on TensorFlow). With --exact: the step with determinism beside the step without, each in a process
of its own, in turns. CPU seconds stand beside wall seconds, since they say more on a busy machine.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from splitstrument.training.backend import choose_backend
from splitstrument.training.recipes import load_recipe
from splitstrument.training.settings import TrainingSettings


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--dataset", action="append", default=[], metavar="NAME=PATH")
    parser.add_argument("--batches", type=int, default=60, help="batches per pipeline")
    parser.add_argument("--steps", type=int, default=12, help="training steps")
    parser.add_argument("--xla", action="store_true", help="compare the step with and without XLA, and nothing else")
    parser.add_argument("--exact", action="store_true", help="compare the step with and without determinism")
    parser.add_argument("--step", action="store_true", help="print seconds of a step as JSON, and nothing else")
    arguments = parser.parse_args()
    settings = load_recipe(arguments.recipe, tuple(arguments.set), tuple(arguments.dataset)).settings
    if arguments.exact:
        print_exact(settings, measure_exact(arguments.recipe, arguments.set, arguments.dataset, arguments.steps))
        return
    choose_backend(deterministic=settings.compute.deterministic)
    if arguments.step:
        print(json.dumps(measure_step(settings, arguments.recipe.parent, arguments.steps)))
        return
    if arguments.xla:
        print_xla(settings, measure_xla(settings, arguments.recipe.parent, arguments.steps))
        return
    pipelines = measure_pipelines(settings, arguments.recipe.parent, arguments.batches)
    step = measure_steps(settings, arguments.recipe.parent, arguments.steps)
    print_tables(settings, pipelines, step)


def measure_pipelines(settings: TrainingSettings, recipe_folder: Path, batches: int) -> list[tuple[str, float, float]]:
    """(name, wall seconds, CPU seconds) per batch of each way to prepare batches."""
    found = []
    with tempfile.TemporaryDirectory() as cache:
        ways = {
            "chunks, seeking": {"source": "chunks"},
            "chunks, cached": {"source": "chunks", "cache": cache},
            "random segments": {"source": "segments", "cache": None},
        }
        for name, changes in ways.items():
            for backend in ("tf.data", "threads"):
                data = settings.data.model_copy(update={**changes, "backend": backend})
                ours = settings.model_copy(update={"data": data, "steps_per_epoch": None})
                found.append((f"{name}, {backend}", *_per_batch(ours, recipe_folder, batches)))
    return found


def _per_batch(settings: TrainingSettings, recipe_folder: Path, batches: int) -> tuple[float, float]:
    from splitstrument.training.data.open import open_streams
    from splitstrument.training.data.tracks import load_tracks

    stream = open_streams(settings, load_tracks(settings, recipe_folder)).training
    for step in range(stream.steps_per_epoch if settings.data.cache else 2):
        stream.batch(step)  # fills the cache
    return timed(lambda: sum(1 for _ in stream.batches(0, batches)), batches)


def measure_steps(
    settings: TrainingSettings, recipe_folder: Path, steps: int
) -> dict[str, tuple[float, float] | float]:
    """Seconds of our step and of plain `fit`, and the share of waiting while training for real."""
    import numpy as np

    from splitstrument.training.build import build_trainer
    from splitstrument.training.check import FIRST_STEPS, try_steps
    from splitstrument.training.data.open import open_streams
    from splitstrument.training.data.tracks import load_tracks

    stream = open_streams(settings, load_tracks(settings, recipe_folder)).training
    trainer = build_trainer(settings)
    limited = settings.model_copy(update={"epochs": 1})
    enough = type(stream)(stream.source, stream.model, stream.data, stream.phase, FIRST_STEPS + steps)
    _, _, wait_share = try_steps(trainer, enough, limited, 1e9)
    batch = stream.batch(0)
    ours = timed(lambda: [trainer.train_on_batch(batch) for _ in range(steps)], steps)
    repeated = {name: np.concatenate([values] * steps) for name, values in batch.items()}
    trainer.fit(batch, verbose=0)
    plain = timed(lambda: trainer.fit(repeated, batch_size=settings.batch_size, shuffle=False, verbose=0), steps)
    return {"ours": ours, "fit": plain, "wait_share": wait_share}


def measure_xla(
    settings: TrainingSettings, recipe_folder: Path, steps: int, rounds: int = 3
) -> dict[bool, tuple[float, float]]:
    """Seconds per step without and with XLA, in turns on one batch: the best of the rounds, by CPU time."""
    from splitstrument.training.build import build_trainer
    from splitstrument.training.data.open import open_streams
    from splitstrument.training.data.tracks import load_tracks

    batch = open_streams(settings, load_tracks(settings, recipe_folder)).training.batch(0)
    trainers = {}
    for xla in (False, True):
        compute = settings.compute.model_copy(update={"xla": xla, "deterministic": False})  # which shuts XLA out
        trainers[xla] = build_trainer(settings.model_copy(update={"compute": compute}))
        trainers[xla].train_on_batch(batch)  # builds the graph
    found: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
    for _ in range(rounds):
        for xla, trainer in trainers.items():
            found[xla].append(timed(lambda step=trainer.train_on_batch: [step(batch) for _ in range(steps)], steps))
    return {xla: min(times, key=lambda pair: pair[1]) for xla, times in found.items()}


def measure_step(settings: TrainingSettings, recipe_folder: Path, steps: int) -> tuple[float, float]:
    """Wall and CPU seconds of a step on one batch."""
    from splitstrument.training.build import build_trainer
    from splitstrument.training.data.open import open_streams
    from splitstrument.training.data.tracks import load_tracks

    batch = open_streams(settings, load_tracks(settings, recipe_folder)).training.batch(0)
    trainer = build_trainer(settings)
    for _ in range(2):
        trainer.train_on_batch(batch)  # builds the graph
    return timed(lambda: [trainer.train_on_batch(batch) for _ in range(steps)], steps)


def measure_exact(
    recipe: Path, sets: list[str], datasets: list[str], steps: int, rounds: int = 3
) -> dict[bool, list[float]]:
    """Wall and CPU seconds of a step without and with determinism: the medians of the rounds, in turns."""
    flags = [
        word for flag, values in (("--set", sets), ("--dataset", datasets)) for one in values for word in (flag, one)
    ]
    found: dict[bool, list[list[float]]] = {False: [], True: []}
    for _ in range(rounds):
        for exact, times in found.items():
            command = [sys.executable, __file__, str(recipe), "--step", "--steps", str(steps), *flags]
            command += ["--set", f"compute.deterministic={str(exact).lower()}"]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            times.append(json.loads(done.stdout.splitlines()[-1]))
    return {exact: [statistics.median(values) for values in zip(*times, strict=True)] for exact, times in found.items()}


def print_exact(settings: TrainingSettings, found: dict[bool, list[float]]) -> None:
    """One line."""
    (wall, cpu), (exact_wall, exact_cpu) = found[False], found[True]
    print(
        f"{settings.name}: a step takes {wall:.3f} s ({cpu:.3f} s of CPU) without determinism and {exact_wall:.3f} s "
        f"({exact_cpu:.3f} s of CPU) with it: {exact_wall / wall:.2f}x the time, {exact_cpu / cpu:.2f}x the CPU time"
    )


def print_xla(settings: TrainingSettings, found: dict[bool, tuple[float, float]]) -> None:
    """One line."""
    (_, without), (_, with_xla) = found[False], found[True]
    print(
        f"{settings.name}: a step takes {without:.3f} s of CPU without XLA and {with_xla:.3f} s with it: "
        f"{without / with_xla:.2f}x as many steps per second with XLA"
    )


def timed(work: Callable[[], object], n: int) -> tuple[float, float]:
    """Wall and CPU seconds of `work`, divided by `n`."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return (time.perf_counter() - wall) / n, (time.process_time() - cpu) / n


def print_tables(settings: TrainingSettings, pipelines: list, step: dict) -> None:
    """Markdown."""
    size, (step_wall, step_cpu) = settings.batch_size, step["ours"]
    print(f"{settings.name}: batches of {size} chunks of {settings.model.chunk_s:.3f} s\n")
    print("| pipeline | chunks/s | CPU ms a chunk | times faster than the step (CPU) |\n|---|---|---|---|")
    for name, wall, cpu in pipelines:
        print(f"| {name} | {size / wall:.0f} | {1000 * cpu / size:.2f} | {step_cpu / cpu:.0f} |")
    print(f"\ntraining step: {step_wall:.3f} s ({step_cpu:.3f} s of CPU); waiting for data: {step['wait_share']:.2%}")
    print(f"plain fit on a batch that lies ready: {step['fit'][0]:.3f} s ({step['fit'][1]:.3f} s of CPU) a step")
    print(f"ratio of steps per second to plain fit: {step['fit'][1] / step_cpu:.2f} by CPU time")


if __name__ == "__main__":
    main()
