"""Does the order of the datasets explain the pass-through of the thesis's mixed trainings? (docs/order.md)

    python benchmarks/order_experiment.py trainings/queues/order.yaml --stand-in data/stand_in_corpus \
        --scale trainings/stand_ins_order.yaml --tracks data/stand_in_heldout -o results/order
    python benchmarks/order_report.py results/order --plot docs/images/order.png

Every training of the queue file is run in this process, those of one limit and seed beside each other, so that an
experiment that was cut short is balanced; one that is finished is not run again. While it trains, the network is probed
on mixtures of validation tracks in two ways: with the moving statistics of its batch normalisation, as it would be
used, and with those of the probe itself. At the end it separates the held-out songs with the moving statistics, and
again after these were estimated anew on batches from all over the training data; the weights stay.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from splitstrument.evaluation.metrics.score import score_pair
from splitstrument.files import write_json
from splitstrument.pairs import find_pairs
from splitstrument.reproduction.stand_ins import read_scale, stand_in_settings
from splitstrument.training.data.open import open_streams
from splitstrument.training.data.stream import Stream
from splitstrument.training.data.tracks import TrackSets, load_tracks
from splitstrument.training.queue import Job, read_jobs
from splitstrument.training.recipes import load_recipe
from splitstrument.training.settings import TrainingSettings

PROBE_EVERY, PROBE_CHUNKS, RESTATED_BATCHES = 100, 32, 64


def main() -> None:
    """Run what is not finished."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("queue", type=Path)
    parser.add_argument("--stand-in", type=Path, required=True, metavar="CORPUS")
    parser.add_argument("--scale", required=True)
    parser.add_argument("--tracks", type=Path, required=True, help="held-out pairs in <target>/")
    parser.add_argument("-o", "--output", type=Path, default=Path("results/order"))
    arguments = parser.parse_args()
    for job in balanced(read_jobs([arguments.queue])):
        path = arguments.output / f"{job.name}.json"
        if path.is_file():
            continue
        sets = tuple(f"{key}={json.dumps(value)}" for key, value in job.changes.items())
        settings = load_recipe(job.recipe, sets).settings
        settings = stand_in_settings(settings, arguments.stand_in, read_scale(arguments.scale))
        record = run(settings, arguments.tracks / settings.model.target)
        write_json(path, {"arm": arm_of(job), "limit": job.changes["data.track_limit"], **record})
        masks = {kind: round(score["mean_mask"], 3) for kind, score in record["scores"].items()}
        print(f"{job.name}: mean mask {masks}", flush=True)


def balanced(jobs: list[Job]) -> list[Job]:
    """By limit, then seed, then arm."""
    return sorted(jobs, key=lambda job: (job.changes["data.track_limit"], job.changes["seed"], job.name))


def arm_of(job: Job) -> str:
    """The part of the name before the grid's values."""
    return job.name.partition("-")[0]


def run(settings: TrainingSettings, held_out: Path) -> dict[str, Any]:
    """Train, probe and score one arm with one seed."""
    tracks = load_tracks(settings)
    training = open_streams(settings, tracks, phase=False).training
    probe = probe_batch(settings, tracks)
    trainer = fresh_trainer(settings)
    total, started, probes, losses = settings.epochs * training.steps_per_epoch, time.process_time(), [], []
    for step, batch in enumerate(training.batches(0, total), 1):
        trainer.reset_metrics()
        losses.append(float(trainer.train_on_batch(batch, return_dict=True)["loss"]))
        if step % PROBE_EVERY == 0 or step % training.steps_per_epoch == 0:
            probes.append({"step": step, **look(trainer.network, probe)})
    seconds = time.process_time() - started
    scores = {"moving statistics": song_scores(trainer.network, settings, held_out)}
    restate(trainer.network, shuffled(settings, tracks))
    after = look(trainer.network, probe)
    scores["re-estimated statistics"] = song_scores(trainer.network, settings, held_out)
    pure = pure_run(settings, tracks, training)
    return {
        "name": settings.name,
        "seed": settings.seed,
        "steps": total,
        "steps_per_epoch": training.steps_per_epoch,
        "longest_pure_run": pure[0],
        "pure_share": pure[1],
        "tracks": [sum(track.dataset == index for track in tracks.training) for index in range(len(settings.datasets))],
        "cpu_seconds": seconds,
        "losses": [float(np.mean(part)) for part in np.array_split(losses, max(1, len(losses) // PROBE_EVERY))],
        "probes": probes,
        "after_re_estimation": after,
        "scores": scores,
    }


COMPILED: dict[str, Any] = {}


def fresh_trainer(settings: TrainingSettings) -> Any:
    """A trainer as it starts; the compiled steps of an earlier one of the same form serve again."""
    from splitstrument.network.registry import build_network
    from splitstrument.training.build import build_trainer

    form = settings.model.model_dump_json()
    if form not in COMPILED:
        COMPILED[form] = build_trainer(settings)
        return COMPILED[form]
    trainer = COMPILED[form]
    for variable, value in zip(
        trainer.network.variables, build_network(settings.model, settings.seed).variables, strict=True
    ):
        variable.assign(value)
    rate = settings.optimizer.learning_rate
    for variable in trainer.optimizer.variables:
        variable.assign(np.zeros(variable.shape, variable.dtype))
    trainer.optimizer.learning_rate = rate
    return trainer


def probe_batch(settings: TrainingSettings, tracks: TrackSets) -> dict[str, np.ndarray]:
    """Chunks of the mixtures (not the pure tracks) among the validation tracks, as one batch."""
    mixed = tuple(track for track in tracks.validation if "pure" not in settings.datasets[track.dataset].label)
    data = settings.data.model_copy(update={"validation_chunks": PROBE_CHUNKS})
    changed = settings.model_copy(update={"data": data, "batch_size": PROBE_CHUNKS})
    stream = open_streams(changed, TrackSets(tracks.training, mixed), phase=False).validation
    assert stream is not None
    return stream.batch(0)


def look(network: Any, batch: dict[str, np.ndarray]) -> dict[str, dict[str, float]]:
    """What the network makes of the probe, with either statistics."""
    return {
        "moving": measures(network.predict_on_batch(batch["mixture"]), batch),
        "own": measures(with_own_statistics(network, batch["mixture"]), batch),
    }


def with_own_statistics(network: Any, mixture: np.ndarray) -> np.ndarray:
    """Masks as in training mode, without dropout; the moving statistics stay as they were."""
    kept = [(layer, [np.array(weight) for weight in layer.get_weights()]) for layer in normalisations(network)]
    estimate(network, [mixture])
    masks = np.array(network.predict_on_batch(mixture))
    for layer, weights in kept:
        layer.set_weights(weights)
    return masks


def restate(network: Any, batches: Stream) -> None:
    """Estimate the moving statistics anew on batches from all over the training data."""
    step = max(1, batches.steps_per_epoch // RESTATED_BATCHES)
    estimate(network, [batches.batch(index)["mixture"] for index in range(0, batches.steps_per_epoch, step)])


def estimate(network: Any, mixtures: list[np.ndarray]) -> None:
    """Let the moving statistics be the mean of those of `mixtures`; nothing else changes."""
    layers = normalisations(network)
    momenta = [layer.momentum for layer in layers]
    for index, mixture in enumerate(mixtures):
        for layer in layers:
            layer.momentum = index / (index + 1)
        network(mixture, training=True)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum


def normalisations(network: Any) -> list[Any]:
    """The layers with moving statistics."""
    return [layer for layer in network.layers if hasattr(layer, "moving_mean")]


def shuffled(settings: TrainingSettings, tracks: TrackSets) -> Stream:
    """The training batches, shuffled across all tracks."""
    data = settings.data.model_copy(update={"order": "shuffled"})
    return open_streams(settings.model_copy(update={"data": data}), tracks, phase=False).training


def measures(masks: np.ndarray, batch: dict[str, np.ndarray]) -> dict[str, float]:
    """Mean mask, weighted by the mixture, and L1 losses relative to a mask of 1."""
    mixture, target = batch["mixture"], batch["target"]
    masks = np.asarray(masks)
    loss = np.sum(np.abs(target - masks * mixture))
    return {
        "mean_mask": float(np.sum(np.clip(masks, 0, 1) * mixture) / np.sum(mixture)),
        "loss": float(loss / np.sum(np.abs(target - mixture))),
        "loss_of_mask_0": float(np.sum(np.abs(target)) / np.sum(np.abs(target - mixture))),
    }


def song_scores(network: Any, settings: TrainingSettings, held_out: Path) -> dict[str, Any]:
    """Scores of every held-out song, with the mean mask over all of them."""
    tracks, masks, weights = {}, 0.0, 0.0
    for pair in find_pairs(held_out, settings.model.spectrogram.sample_rate_hz):
        score, mask, weight = separate_and_score(network, settings, pair)
        tracks[pair.name], masks, weights = score, masks + mask, weights + weight
    return {"mean_mask": masks / weights, "tracks": tracks, "median": medians(list(tracks.values()))}


def separate_and_score(network: Any, settings: TrainingSettings, pair: Any) -> tuple[dict[str, float], float, float]:
    """One song, as the thesis separates: chunk beside chunk, the mask clipped, the mixture's phase."""
    from splitstrument.audio import read
    from splitstrument.spectrogram import istft, stft

    model = settings.model
    instrument, rest = (read(path)[0].astype(np.float32) for path in (pair.instrument, pair.rest))
    n_samples = min(len(instrument), len(rest))
    references = np.stack([instrument[:n_samples], rest[:n_samples]])
    mixture = references.sum(axis=0)
    spectrum = stft(mixture, model.spectrogram.n_fft, model.spectrogram.hop)
    mask = clipped_mask(network, np.abs(spectrum[0]), model.n_frames)
    estimate_ = istft(spectrum * mask, n_samples, model.spectrogram.n_fft, model.spectrogram.hop)
    score = score_pair(
        references, np.stack([estimate_, mixture - estimate_]), model.spectrogram.sample_rate_hz, framewise=False
    )
    kept = {f"{source}_{key}": score[source][key] for source in score for key in ("sdr", "si_sdr", "usdr")}
    magnitude = np.abs(spectrum[0])
    return kept, float(np.sum(mask * magnitude)), float(np.sum(magnitude))


def clipped_mask(network: Any, magnitude: np.ndarray, n_frames: int) -> np.ndarray:
    """Masks (n_bins, n) of a whole song's magnitudes (n_bins, n), each chunk normalised by its maximum."""
    n_bins, total = magnitude.shape
    padded = np.pad(magnitude, ((0, 0), (0, -total % (n_frames * PROBE_CHUNKS))))  # whole batches, compiled once
    chunks = padded.reshape(n_bins, -1, n_frames).swapaxes(0, 1)[..., None]
    maximum = chunks.max(axis=(1, 2, 3), keepdims=True)
    chunks = chunks / np.where(maximum > 0, maximum, 1)
    batches = np.split(chunks, len(chunks) // PROBE_CHUNKS)
    masks = np.concatenate([np.asarray(network.predict_on_batch(batch)) for batch in batches])
    return np.clip(masks[..., 0].swapaxes(0, 1).reshape(n_bins, -1)[:, :total], 0, 1)


def medians(scores: list[dict[str, float]]) -> dict[str, float]:
    """Median over the songs, measure by measure."""
    known = {key: [score[key] for score in scores if score[key] is not None] for key in scores[0]}
    return {key: float(np.median(values)) for key, values in known.items() if values}


def pure_run(settings: TrainingSettings, tracks: TrackSets, training: Stream) -> tuple[int, float]:
    """Most batches in a row that are pure throughout, in the first epoch, and the share of pure chunks."""
    of_pure = np.array(["pure" in settings.datasets[track.dataset].label for track in tracks.training])
    chunks = of_pure[training.source.plan(0)[:, 0]]
    batches = chunks[: len(chunks) // settings.batch_size * settings.batch_size].reshape(-1, settings.batch_size)
    longest = current = 0
    for pure in batches.all(axis=1):
        current = current + 1 if pure else 0
        longest = max(longest, current)
    return longest, float(chunks.mean())


if __name__ == "__main__":
    main()
