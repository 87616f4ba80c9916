"""How fast a network learns by each loss, measured in one error for all: energy of the complex error over the song's.

    python benchmarks/losses.py data/corpus_development/guitar --tracks composed_casio-rock1_train2021_00
    python benchmarks/losses.py datasets/sample/real --losses relative_error complex_l1 --steps 100 --width 16

The fast network is trained from the same weights on the same segments, without augmentation, and its error on each
batch is printed before it learns from it. Losses that sum instead of averaging are left to Adam's scale.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np

from splitstrument.tables import markdown, number
from splitstrument.training.settings import TrainingSettings

LOSSES = ("relative_error", "complex_l1", "l11", "l2")
MEAN_OVER = 25  # batches


def main() -> None:
    """Train by each loss and print the errors side by side."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("--tracks", nargs="+", help="only these")
    parser.add_argument("--losses", nargs="+", default=list(LOSSES))
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--learning-rate", type=float, default=1.5e-3)
    arguments = parser.parse_args()
    columns = {}
    for loss in arguments.losses:
        columns[loss] = errors(settings_of(arguments, loss))
        print(loss, [round(float(error), 4) for error in columns[loss]], flush=True)
    rows = [
        [str((index + 1) * MEAN_OVER), *(number(column[index], digits=4) for column in columns.values())]
        for index in range(arguments.steps // MEAN_OVER)
    ]
    print(markdown(["steps", *columns], rows))


def settings_of(arguments: argparse.Namespace, loss: str) -> TrainingSettings:
    """The training of one column."""
    network = {"kind": "bandunet", "folds": [4, 8, 16, 16], "time_fold": 4, "width": arguments.width,
               "growth": arguments.width // 2}  # fmt: skip
    return TrainingSettings.model_validate(
        {
            "name": "losses",
            "model": {"spectrogram": {"n_fft": 2048, "hop_length": 512}, "n_frames": 128, "normalisation": "none",
                      "network": network},
            "datasets": [{"path": str(arguments.pairs), "tracks": arguments.tracks, "role": "training"}],
            "data": {"source": "segments", "workers": 1},
            "loss": {"name": loss},
            "optimizer": {"learning_rate": arguments.learning_rate, "clip_norm": 1.0},
            "batch_size": 8,
            "steps_per_epoch": arguments.steps,
            "compute": {"precision": "bfloat16", "deterministic": False},
        }
    )  # fmt: skip


def errors(settings: TrainingSettings) -> np.ndarray:
    """Mean relative error of each `MEAN_OVER` batches in turn."""
    from splitstrument.network.losses.registry import make_loss
    from splitstrument.training.build import build_trainer
    from splitstrument.training.data.open import open_streams
    from splitstrument.training.data.tracks import load_tracks
    from splitstrument.training.optimizers import rate_factor
    from splitstrument.training.settings import ScheduleSettings

    trainer, steps = build_trainer(settings), settings.steps_per_epoch or 1
    measure = make_loss("relative_error", {"emphasis": 0.0}, settings.model)
    schedule = ScheduleSettings(kind="cosine", warmup_steps=15, floor=0.05)
    found = []
    for step, batch in enumerate(open_streams(settings, load_tracks(settings), phase=True).training.batches(0, steps)):
        found.append(float(measure(batch, trainer(batch, training=True))))
        trainer.optimizer.learning_rate = settings.optimizer.learning_rate * rate_factor(schedule, step, steps, 0)
        trainer.train_on_batch(batch)
    return np.array(found[: steps // MEAN_OVER * MEAN_OVER]).reshape(-1, MEAN_OVER).mean(axis=1)


if __name__ == "__main__":
    main()
