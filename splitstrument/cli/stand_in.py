"""What ``--stand-in`` and ``--scale`` mean to `train`, `info` and `queue`."""

from __future__ import annotations

from pathlib import Path

import click

from splitstrument.training.settings import TrainingSettings


def check_scale(stand_in: Path | None, scale: tuple[str, ...]) -> None:
    """Refuse a scale without the stand-in that it is of."""
    if scale and not stand_in:
        raise click.UsageError("--scale is for stand-ins: add --stand-in CORPUS.")


def as_asked(settings: TrainingSettings, stand_in: Path | None, scale: tuple[str, ...]) -> TrainingSettings:
    """The settings, or those of their stand-in if there is to be one."""
    check_scale(stand_in, scale)
    if stand_in is None:
        return settings
    from splitstrument.reproduction.stand_ins import read_scale, stand_in_settings

    return stand_in_settings(settings, stand_in, read_scale(*scale))
