"""The weights of the best epochs, so that they can be compared or averaged afterwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from splitstrument.training.run_folder import RunFolder

TOP_FOLDER = "top"


def file_of(epoch: int) -> str:
    """Name in the run folder of the weights of an epoch."""
    return f"{TOP_FOLDER}/epoch_{epoch:05}.weights.h5"


def best_epochs(rows: Sequence[Mapping[str, Any]], count: int) -> list[int]:
    """The best epochs, best first: those of the highest SI-SDR of songs where rows have one (``best_by: si_sdr``), or
    else of the lowest validation loss; the last ones where nothing validates.
    """
    by_songs = [(-row["val_si_sdr"], row["epoch"]) for row in rows if row.get("val_si_sdr") is not None]
    by_loss = [(row["val_loss"], row["epoch"]) for row in rows if row["val_loss"] is not None]
    if not by_songs and not by_loss:
        return [row["epoch"] for row in rows[-count:]][::-1]
    return [epoch for _, epoch in sorted(by_songs or by_loss)[:count]]


def keep_top(run: RunFolder, network: Any, rows: Sequence[Mapping[str, Any]], count: int) -> None:
    """Write the weights of the last epoch of `rows` if it is among the best `count`, and remove those that are not."""
    best, last = best_epochs(rows, count), rows[-1]["epoch"]
    if last in best:
        run.write_weights(network, file_of(last))
    wanted = {Path(file_of(epoch)).name for epoch in best}
    for path in (run.path / TOP_FOLDER).glob("epoch_*.weights.h5"):
        if path.name not in wanted:
            path.unlink()
