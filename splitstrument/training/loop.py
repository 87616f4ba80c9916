"""The training loop: steps, validation, records, stopping and resuming."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from splitstrument.errors import CancelledError, TrainingError
from splitstrument.network.registry import predict_masks
from splitstrument.pairs import Pair
from splitstrument.progress import Advance, progress
from splitstrument.training.checkpoint import Position, settings_fingerprint
from splitstrument.training.data.examples import ALL
from splitstrument.training.data.stream import Streams
from splitstrument.training.doctor import PATIENT_STEPS, curve_findings, hint, mask_baselines, mask_findings, verdict
from splitstrument.training.optimizers import rate_factor
from splitstrument.training.profiling import StepProfiler
from splitstrument.training.run_folder import BEST_FILE, HISTORY_COLUMNS, LAST_FILE, Result, RunFolder
from splitstrument.training.settings import TrainingSettings
from splitstrument.training.stop_signals import StopSignals
from splitstrument.training.team import any_of, rows_of
from splitstrument.training.top_weights import keep_top
from splitstrument.training.trainer import Trainer, weights_to_keep

PLOT_EVERY_S = 20.0


def act_on_findings(settings: TrainingSettings, run: RunFolder, findings: list[str]) -> None:
    """Log what the doctor found, and stop if the settings say so.

    Raises
    ------
    TrainingError
        With the first finding.
    """
    for finding in findings:
        run.log(f"doctor: {finding}")
    if findings and settings.doctor == "stop":
        raise TrainingError(f"{settings.name} was stopped: {findings[0]} (To train on, set doctor: warn.)")


class Loop:
    """One training at work; every method is one stage of an epoch."""

    def __init__(
        self,
        settings: TrainingSettings,
        run: RunFolder,
        trainer: Trainer,
        streams: Streams,
        position: Position,
        quiet: bool = False,
        songs: Sequence[Pair] = (),
    ) -> None:
        self.songs = songs if settings.best_by == "si_sdr" and trainer.team.index == 0 else ()
        self.profiler = StepProfiler(run.path, settings.records.profile_steps if trainer.team.index == 0 else 0)
        self.settings, self.run, self.trainer, self.position, self.quiet = settings, run, trainer, position, quiet
        self.team = trainer.team
        self.training = replace(streams.training, rows=rows_of(self.team, settings.batch_size))
        self.validation = streams.validation
        self.total_steps = settings.epochs * self.training.steps_per_epoch
        self.baselines = mask_baselines(trainer, self.validation) if self.validation else {}
        for name, value in self.baselines.items():
            run.log(f"validation loss of {name}: {value:.5g}")
        self.saved_at = self.plotted_at = time.monotonic()
        self.signals = StopSignals()

    @property
    def epoch(self) -> int:
        """The epoch at hand, from 0."""
        return self.position.step // self.training.steps_per_epoch

    def run_all(self) -> Result:
        """Train to the end, to early stopping or to Ctrl-C."""
        reason = "finished"
        with (
            StopSignals() as self.signals,
            progress(self.settings.name, self.total_steps, "steps", self.quiet) as advance,
        ):
            advance(self.position.step)
            batches = self.training.batches(self.position.step, self.total_steps)
            while self.epoch < self.settings.epochs:
                if self._stalled():
                    reason = "early stopping"
                    break
                self._train_epoch(batches, advance)
        self._plot()
        self.run.log(f"{reason} after {len(self.position.rows)} epochs")
        result = self._result(reason)
        if not result.learned:
            self.run.log(f"doctor: {result.verdict}: {result.hint}")
        self.run.write_result({key: value for key, value in vars(result).items() if key != "folder"})
        return result

    def _train_epoch(self, batches: Iterator[dict[str, Any]], advance: Advance) -> None:
        started, cpu_started, waited = time.monotonic(), time.process_time(), 0.0
        while True:
            waiting_since = time.monotonic()
            batch = next(batches)
            waited += time.monotonic() - waiting_since
            self._train_step(batch)
            done = self.position.step % self.training.steps_per_epoch or self.training.steps_per_epoch
            advance(1, f"epoch {self.epoch_of_step} loss {self.position.loss_sum / done:.5g}{self._validation_note()}")
            if self.position.step % self.training.steps_per_epoch == 0:
                break
            self._save_if_due()
        self._finish_epoch(time.monotonic() - started, waited, time.process_time() - cpu_started)
        self._stop_if_asked()

    @property
    def epoch_of_step(self) -> int:
        """The epoch of the last step, from 1."""
        return (self.position.step - 1) // self.training.steps_per_epoch + 1

    def _train_step(self, batch: dict[str, Any]) -> None:
        position, optimizer = self.position, self.settings.optimizer
        factor = rate_factor(optimizer.schedule, position.step, self.total_steps, position.drops)
        self.trainer.optimizer.learning_rate = optimizer.learning_rate * factor
        with self.profiler.step():
            loss = self.trainer.take_step(batch)
        if not np.isfinite(loss):
            raise TrainingError(
                f"The loss became {loss} at step {position.step + 1} of {self.settings.name}: lower "
                "optimizer.learning_rate or set optimizer.clip_norm."
            )
        position.step += 1
        position.loss_sum += loss

    def _finish_epoch(self, seconds: float, waited: float, cpu_s: float) -> None:
        position = self.position
        steps = self.training.steps_per_epoch
        with weights_to_keep(self.trainer, self.settings.optimizer, self._next_mixtures()):
            val_loss, si_sdr = self._validate(), self._song_si_sdr()
            findings = self._mask_findings()
            self._write_weights(val_loss, si_sdr)
        rate = float(self.trainer.optimizer.learning_rate)
        row = (
            self.epoch_of_step,
            steps,
            position.loss_sum / steps,
            val_loss,
            rate,
            round(seconds, 3),
            waited / seconds,
            round(cpu_s, 3),
            si_sdr,
        )
        position.rows.append(dict(zip(HISTORY_COLUMNS, row, strict=True)))
        position.loss_sum = 0.0
        self._note_stall(val_loss)
        self._record()
        act_on_findings(self.settings, self.run, findings + self._curve_findings())

    def _write_weights(self, val_loss: float | None, si_sdr: float | None) -> None:
        """Keep the epoch's weights as the last ones, and as the best or among the best if they are that."""
        position, network, count = self.position, self.trainer.network, self.settings.records.keep_best
        self.run.write_weights(network, LAST_FILE)
        if self._is_best(val_loss, si_sdr):
            position.best_loss, position.best_si_sdr = val_loss, si_sdr
            position.best_epoch = self.epoch_of_step
            self.run.write_weights(network, BEST_FILE)
        if count and self.team.index == 0:
            this = {"epoch": self.epoch_of_step, "val_loss": val_loss, "val_si_sdr": si_sdr}
            keep_top(self.run, network, [*position.rows, this], count)

    def _is_best(self, val_loss: float | None, si_sdr: float | None) -> bool:
        best = self.position
        if si_sdr is not None:
            return best.best_si_sdr is None or si_sdr > best.best_si_sdr
        return val_loss is None or best.best_loss is None or val_loss < best.best_loss

    def _song_si_sdr(self) -> float | None:
        """Median over whole validation songs, where the settings ask for it."""
        if not self.songs:
            return None
        from splitstrument.training.song_validation import song_si_sdr

        return song_si_sdr(self.trainer.network, self.settings.model, self.songs)

    def _next_mixtures(self) -> Iterator[Any]:
        """Network inputs on which to estimate statistics: batches that come next, spread over an epoch of chunks."""
        first, count = self.position.step, self.settings.optimizer.batches_for_statistics
        in_order = self.settings.data.source == "chunks"  # in which a few batches may all be of one track
        stride = max(1, self.training.steps_per_epoch // count) if in_order and count else 1
        batches = self.training.batches(first, first + count * stride, stride)
        return (batch["mixture"] for batch in batches)

    def _mask_findings(self) -> list[str]:
        """Look at the masks of one batch, once the network had the time to learn something."""
        if self.settings.doctor == "off" or self.position.step < PATIENT_STEPS:
            return []
        batch = replace(self.validation or self.training, rows=ALL).batch(0)
        return mask_findings(predict_masks(self.trainer.network, batch["mixture"]), batch)

    def _curve_findings(self) -> list[str]:
        return [] if self.settings.doctor == "off" else curve_findings(self.position.rows, self.baselines)

    def _note_stall(self, val_loss: float | None) -> None:
        """Count the epochs without a better validation loss, for early stopping and the plateau schedule."""
        position, schedule = self.position, self.settings.optimizer.schedule
        if val_loss is None:
            return
        if position.reference is None or val_loss < position.reference - self.settings.early_stopping.min_delta:
            position.reference, position.waiting, position.plateau = val_loss, 0, 0
            return
        position.waiting += 1
        position.plateau += 1
        if schedule.kind == "plateau" and position.plateau >= schedule.patience:
            position.drops, position.plateau = position.drops + 1, 0

    def _stalled(self) -> bool:
        patience = self.settings.early_stopping.patience
        return patience is not None and self.position.waiting >= patience

    def _record(self) -> None:
        row = self.position.rows[-1]
        self._save()
        self.run.write_model(self.settings, ", ".join(source.label for source in self.settings.datasets))
        self.run.write_history(self.position.rows)
        self.run.track(row)
        self.run.log(", ".join(f"{key} {value}" for key, value in row.items()))
        if time.monotonic() - self.plotted_at > PLOT_EVERY_S:
            self._plot()

    def _plot(self) -> None:
        if self.position.rows:
            self.run.plot(self.position.rows, self.settings.name, self.baselines)
        self.plotted_at = time.monotonic()

    def _validate(self) -> float | None:
        """Mean loss over the validation batches, without dropout; of several processes each takes its share of them."""
        if self.validation is None:
            return None
        losses = np.zeros(self.validation.steps_per_epoch, np.float32)
        mine = slice(self.team.index, len(losses), self.team.size)
        batches = self.validation.batches(mine.start, mine.stop, mine.step)
        losses[mine] = [self.trainer.validation_loss(batch) for batch in batches]
        return float(np.mean(self.team.sum(losses), dtype=np.float64))

    def _save(self) -> None:
        self.run.write_state(self.trainer, self.position, settings_fingerprint(self.settings))
        self.saved_at = time.monotonic()

    def _save_if_due(self) -> None:
        self._stop_if_asked()
        if time.monotonic() - self.saved_at > self.settings.records.save_every_s:
            self._save()

    def _stop_if_asked(self) -> None:
        if not any_of(self.team, self.signals.asked):
            return
        self._save()
        self.run.log(f"stopped by the user at step {self.position.step}")
        raise CancelledError(
            f"Stopped after step {self.position.step} of {self.total_steps}; go on with: "
            f"splitstrument train --resume -o {self.run.path}"
        )

    def _validation_note(self) -> str:
        rows = self.position.rows
        return f" val {rows[-1]['val_loss']:.5g}" if rows and rows[-1]["val_loss"] is not None else ""

    def _result(self, reason: str) -> Result:
        position = self.position
        judged = verdict(position.best_loss, self.baselines)
        worse = judged is not None and judged.startswith("worse")
        batches = self.settings.optimizer.batches_for_statistics
        return Result(
            self.run.path,
            len(position.rows),
            position.step,
            position.rows[-1]["loss"],
            position.best_loss,
            position.best_epoch,
            reason,
            judged,
            hint(position.rows, self.baselines, batches) if worse else None,
        )
