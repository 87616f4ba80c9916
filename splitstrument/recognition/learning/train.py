"""Train the recogniser: draw overlays, fit the network, choose thresholds on validation, export."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from splitstrument.errors import TrainingError, missing_extra
from splitstrument.files import write_json, write_text, write_yaml
from splitstrument.provenance import provenance
from splitstrument.recognition.classes import all_classes, class_names
from splitstrument.recognition.learning import clips, examples, pool
from splitstrument.recognition.learning.examples import Examples
from splitstrument.recognition.learning.metrics import average_precision, best_threshold, mean_of
from splitstrument.recognition.learning.network import build, known_cross_entropy
from splitstrument.recognition.learning.overlay import Drawer, batches
from splitstrument.recognition.learning.recipe import RecogniserRecipe, Sounds
from splitstrument.recognition.model import ONNX_FILE, ModelFile, write_model
from splitstrument.spectrogram import Float
from splitstrument.streams import ahead

Say = Callable[[str], None]


def train(recipe: RecogniserRecipe, output: Path, say: Say = print) -> Path:
    """Train by a recipe; return the folder of the model, which `splitstrument recognise --model` takes.

    Raises
    ------
    DatasetError
        If the recipe's sounds are not there.
    TrainingError
        If the loss is no number any more.
    """
    keras = _keras(recipe.precision)
    drawer = Drawer(training_pools(recipe, say), np.random.default_rng(recipe.seed))
    chosen = sounds_to_examples(recipe.choose, recipe.cache / "choose", say)
    network = build(recipe.network, len(all_classes()), recipe.seed)
    if recipe.start:
        network.load_weights(recipe.start)
    n_steps = recipe.epochs * recipe.steps_per_epoch
    schedule = keras.optimizers.schedules.CosineDecay(
        recipe.learning_rate / 20, n_steps, warmup_target=recipe.learning_rate, warmup_steps=n_steps // 20
    )
    network.compile(keras.optimizers.AdamW(schedule, weight_decay=1e-3), known_cross_entropy)
    history, best = [], -1.0
    output.mkdir(parents=True, exist_ok=True)
    stream = ahead(batches(drawer, recipe.batch_size), 4)
    for epoch in range(recipe.epochs):
        started = time.perf_counter()
        loss = _epoch(network, stream, recipe.steps_per_epoch)
        precision = mean_precision(chosen, predict(network, chosen.features))
        seconds = round(time.perf_counter() - started, 1)
        history.append({"epoch": epoch + 1, "loss": loss, "precision": precision, "seconds": seconds})
        say(f"epoch {epoch + 1}/{recipe.epochs}: loss {loss:.4f}, average precision {precision:.4f}, {seconds} s")
        if precision > best:
            best = precision
            network.save_weights(output / "best.weights.h5")
    stream.close()
    network.load_weights(output / "best.weights.h5")
    finish(network, recipe, chosen, history, output)
    return output


def _keras(precision: str) -> Any:
    """Keras on TensorFlow, in bfloat16 where oneDNN knows how."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    try:
        import keras
        import tensorflow as tf
    except ImportError:
        raise missing_extra("Training", "train") from None
    tf.config.optimizer.set_experimental_options({"auto_mixed_precision_onednn_bfloat16": precision == "bfloat16"})
    return keras


def _epoch(network: Any, stream: Iterator[tuple[Float, Float]], n_steps: int) -> float:
    losses = []
    for _ in range(n_steps):
        features, labels = next(stream)
        losses.append(network.train_on_batch(features, labels))
        network.reset_metrics()
    loss = float(np.mean(losses))
    if not np.isfinite(loss):
        raise TrainingError(f"The loss is {loss}: lower learning_rate in the recipe.")
    return loss


def training_pools(recipe: RecogniserRecipe, say: Say = print) -> list[pool.Pool]:
    """The recipe's labelled sounds, cut where they are not kept from before, or were cut from others."""
    rng = np.random.default_rng(recipe.seed)
    sources = {
        "sets": lambda: chain.from_iterable(
            pool.cut_set(root, recipe.more_moments.get(root, recipe.moments), rng) for root in recipe.train.sets
        ),
        "parts": lambda: pool.cut_parts(recipe.train.parts),
        "clips": lambda: chain.from_iterable(clips.sounds(one) for one in recipe.train.clips),
    }
    found = []
    for name, cut in sources.items():
        place = recipe.cache / f"pool_{name}"
        if not getattr(recipe.train, name):
            continue
        with kept(place / "labels.npz", pool_made_of(recipe)[name]) as is_kept:
            if not is_kept:
                say(f"cutting {name}")
                pool.write_pool(place, cut())
        found.append(pool.read_pool(place))
    return found


def pool_made_of(recipe: RecogniserRecipe) -> dict[str, Any]:
    """What a recipe cuts each pool from: its folders, and the moments of each stem set."""
    sounds = recipe.train.model_dump(mode="json")
    moments = [recipe.more_moments.get(root, recipe.moments) for root in recipe.train.sets]
    return {"sets": [sounds["sets"], moments], "parts": sounds["parts"], "clips": sounds["clips"]}


@contextmanager
def kept(path: Path, made_of: Any) -> Iterator[bool]:
    """Tell whether a file is kept from before and was made of the same; if not, the body makes it."""
    record, wanted = path.with_name(f"{path.stem}.made_of.json"), json.dumps(made_of, sort_keys=True)
    is_kept = path.is_file() and record.is_file() and record.read_text(encoding="utf-8") == wanted
    if not is_kept:
        record.unlink(missing_ok=True)  # so that what is made by half is made again
    yield is_kept
    if not is_kept:
        write_text(record, wanted)


def sounds_to_examples(sounds: Sounds, place: Path, say: Say = print) -> Examples:
    """Examples of some sounds, from a file where they are kept from before."""
    path = place.with_suffix(".npz")
    with kept(path, sounds.model_dump(mode="json")) as is_kept:
        if not is_kept:
            say(f"reading the examples of {place.name}")
            found = [examples.of_sets(sounds.sets)] if sounds.sets else []
            found += [examples.of_parts(parts, sounds.under) for parts in sounds.parts]
            found += [clips.examples_of(one) for one in sounds.clips]
            examples.save(path, examples.together(*found))
    return examples.load(path)


def predict(network: Any, features: Float) -> Float:
    """Scores of examples: (n, n_frames, n_mels) to (n, n_classes)."""
    parts = [features[i : i + 64].astype(np.float32)[..., None] for i in range(0, len(features), 64)]
    logits = np.concatenate([np.asarray(network(part, training=False)) for part in parts])
    return examples.window_scores(1 / (1 + np.exp(-logits)))


def mean_precision(chosen: Examples, scores: Float) -> float:
    """Mean average precision over the classes (without the kinds) that the examples have."""
    n = len(class_names())
    return mean_of([average_precision(chosen.labels[:, c], scores[:, c]) for c in range(n)]) or 0.0


def finish(
    network: Any, recipe: RecogniserRecipe, chosen: Examples, history: list[dict[str, Any]], output: Path
) -> None:
    """Choose thresholds, export to ONNX and describe the model."""
    scores = predict(network, chosen.features)
    names = list(all_classes())
    thresholds = {name: round(best_threshold(chosen.labels[:, c], scores[:, c]), 4) for c, name in enumerate(names)}
    network.export(output / ONNX_FILE, format="onnx", verbose=False)
    write_model(
        output, ModelFile(name=recipe.name, summary=recipe.summary, classes=tuple(names), thresholds=thresholds)
    )
    write_yaml(output / "history.yaml", {"epochs": history, "parameters": int(network.count_params())})
    write_json(output / "provenance.json", {**provenance(), "recipe": recipe.model_dump(mode="json")})
