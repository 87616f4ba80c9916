"""Find out early that a training learns nothing, and say why."""

from __future__ import annotations

import collections
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from splitstrument.files import sha256_of
from splitstrument.training.data.examples import Batch, Float
from splitstrument.training.data.stream import Stream, Streams
from splitstrument.training.data.tracks import Track, TrackSets
from splitstrument.training.trainer import Trainer

PROBED_BATCHES = 12
PATIENT_STEPS = 200
SAME_DB = -40.0
CONSTANT_SPREAD = 1e-3
STUCK_EPOCHS = 5
SHORT_STEPS = 2000  # after them the moving statistics of batch normalization (momentum 0.99) have caught up
STUCK_SHARE = 0.01  # of the distance between the losses of the two trivial masks


def data_findings(tracks: TrackSets, streams: Streams) -> list[str]:
    """Look at tracks and a sample of the batches; each finding is one sentence with a remedy."""
    findings = overlap_findings(tracks)
    findings += batch_findings(_sample(streams.training), "training")
    if streams.validation:
        findings += batch_findings(_sample(streams.validation), "validation")
    return findings


def overlap_findings(tracks: TrackSets) -> list[str]:
    """Tracks of the same audio on both sides; only tracks of equal length are compared by content."""
    by_length = collections.defaultdict(list)
    for track in tracks.training:
        by_length[track.info.n_samples].append(track)
    found = []
    for held in tracks.validation:
        for track in by_length[held.info.n_samples]:
            if _content(track) == _content(held):
                found.append(f"{track.name} (training) = {held.name} (validation)")
    if not found:
        return []
    return [
        f"{len(found)} validation tracks hold the same audio as training tracks ({'; '.join(found[:3])}): the "
        "validation loss would not tell what is learned; exclude one of each."
    ]


def batch_findings(batches: Sequence[Batch], side: str) -> list[str]:
    """Empty, silent, trivial or repeating batches among a sample."""
    findings = []
    if all(not batch["mixture"].any() for batch in batches):
        return [f"Every {side} example is digital silence: check the dataset with `splitstrument dataset check`."]
    empty = sum(not batch["mixture"].any() for batch in batches)
    if empty > len(batches) / 2:
        findings.append(
            f"{empty} of {len(batches)} {side} batches that were probed are digital silence: cut the silence from the "
            "dataset with `splitstrument dataset silence`."
        )
    if all(not batch["target"][..., 0].any() for batch in batches):
        findings.append(
            f"The instrument is silent in every {side} example: check which stems the dataset calls instrument."
        )
    elif all(
        _relative_db(batch["target"][..., :1] - batch["mixture"], batch["mixture"]) < SAME_DB for batch in batches
    ):
        findings.append(
            f"Instrument and mixture are the same in every {side} example, so that a mask of 1 is perfect: "
            "the rest is missing; check the pairs."
        )
    # fewer examples than batches repeat of necessity
    if len(batches) > 2 and len({batch["mixture"].tobytes() for batch in batches}) == 1:
        findings.append(
            f"All {side} batches are the same: the dataset holds one chunk only, or the same file many times."
        )
    return findings


def mask_findings(mask: Float, batch: Batch) -> list[str]:
    """A mask that is constant, or passes the mixture through although the target is something else.

    Parameters
    ----------
    mask
        (batch, n_bins, n_frames, outputs) for the batch's mixtures.
    """
    mixture, target = batch["mixture"], batch["target"][..., :1]
    estimate = mask[..., :1] * mixture
    inner = mask[:, 1:, :, 0]  # the hourglass never passes DC
    if np.std(inner) < CONSTANT_SPREAD:
        return [
            f"The mask is {np.mean(inner):.3g} everywhere: the network ignores its input; lower the learning rate, or "
            "look whether the target is audible in the data."
        ]
    if _relative_db(estimate, mixture) < SAME_DB < _relative_db(target, mixture):
        return [
            "The output is silence although the instrument is audible: the mask has collapsed to 0; lower the learning "
            "rate, or choose a loss that does not reward silence (l11 does not average decibels)."
        ]
    if _relative_db(estimate - mixture, mixture) < SAME_DB < _relative_db(target - mixture, mixture):
        return [
            "The output is the input: the network passes the mixture through; look at the order of the datasets "
            "(data.order: shuffled) and at the share of tracks without rest."
        ]
    return []


def curve_findings(rows: Sequence[Mapping[str, Any]], baselines: Mapping[str, float]) -> list[str]:
    """A loss of 0, or a validation loss that sits at the value of a trivial mask.

    Parameters
    ----------
    rows
        Finished epochs with ``steps``, ``loss`` and ``val_loss``.
    baselines
        Validation losses of the trivial masks (`mask_baselines`); empty without validation.
    """
    if rows[-1]["loss"] == 0:
        return [
            "The training loss is exactly 0 over a whole epoch: every target is silent or equals the mixture; check "
            "the pairs with `splitstrument dataset check`."
        ]
    last = [row["val_loss"] for row in rows[-STUCK_EPOCHS:]]
    if not baselines or len(last) < STUCK_EPOCHS or sum(row["steps"] for row in rows) < PATIENT_STEPS:
        return []
    near = STUCK_SHARE * abs(baselines[PASS_THROUGH] - baselines[SILENCE])
    for name, what in ((SILENCE, "silence"), (PASS_THROUGH, "the mixture")):
        if all(abs(loss - baselines[name]) <= near for loss in last):
            return [
                f"The validation loss has sat at the value of {what} ({baselines[name]:.5g}) for {STUCK_EPOCHS} "
                "epochs: the network does no better than no network; try another learning rate, data.order: shuffled, "
                "or more audible targets in the data."
            ]
    return []


def _sample(stream: Stream) -> list[Batch]:
    return [stream.batch(number) for number in sampled_numbers(stream)]


def sampled_numbers(stream: Stream) -> list[int]:
    """Numbers of a few batches that are spread evenly over the first epoch."""
    indices = np.linspace(0, stream.steps_per_epoch - 1, min(PROBED_BATCHES, stream.steps_per_epoch))
    return [int(index) for index in indices]


def _content(track: Track) -> tuple[str, ...]:
    return tuple(sha256_of(path) for path in track.files)


def _relative_db(difference: Float, reference: Float) -> float:
    tiny = np.finfo(np.float32).tiny
    return float(10 * np.log10((np.sum(difference**2) + tiny) / (np.sum(reference**2) + tiny)))


PASS_THROUGH, SILENCE = "mask 1", "mask 0"


def mask_baselines(trainer: Trainer, stream: Stream, numbers: Sequence[int] | None = None) -> dict[str, float]:
    """Mean loss of the mask that passes everything and of the one that passes nothing.

    Parameters
    ----------
    numbers
        Of the stream's batches; None is an epoch.
    """
    losses: dict[str, list[float]] = {PASS_THROUGH: [], SILENCE: []}
    for index in range(stream.steps_per_epoch) if numbers is None else numbers:
        batch = stream.batch(index)
        for name, value in ((PASS_THROUGH, 1.0), (SILENCE, 0.0)):
            losses[name].append(float(trainer.separation_loss(batch, np.full_like(batch["target"], value))))
    return {name: float(np.mean(values)) for name, values in losses.items()}


def verdict(best_loss: float | None, baselines: Mapping[str, float]) -> str | None:
    """Say whether a training has brought anything, by its best validation loss; None without validation."""
    if best_loss is None or not baselines:
        return None
    for name, what in ((PASS_THROUGH, "the mixture"), (SILENCE, "silence")):
        if best_loss >= baselines[name]:
            return f"worse than {what}"
    return "better than the mixture"


def hint(rows: Sequence[Mapping[str, Any]], baselines: Mapping[str, float], statistics_batches: int) -> str:
    """Advise on what to do about a training that is worse than no network, in one sentence.

    Parameters
    ----------
    rows
        Finished epochs with ``steps`` and ``loss``.
    statistics_batches
        Batches that estimate the statistics of batch normalization before validation.
    """
    learned = rows[-1]["loss"] < min(baselines.values())
    if learned and not statistics_batches and sum(row["steps"] for row in rows) < SHORT_STEPS:
        return "its loss on training batches is lower: set optimizer.statistics_batches to 30, or train longer"
    if learned:
        return "its loss on training batches is lower: give it more songs, or more augmentation"
    return "train longer, with another learning rate, or look at the data with --check"
