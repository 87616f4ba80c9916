"""Learning rates as a plain function of the step, so that a resumed training continues on the same curve."""

from __future__ import annotations

import math

from splitstrument.training.settings import ScheduleSettings


def rate_factor(schedule: ScheduleSettings, step: int, total_steps: int, drops: int = 0) -> float:
    """Factor on the optimizer's learning rate at `step` (counted from 0 over all epochs), in (0, 1].

    Parameters
    ----------
    drops
        How often a ``plateau`` schedule has lowered the rate so far.
    """
    warmup = min(1.0, (step + 1) / schedule.warmup_steps) if schedule.warmup_steps else 1.0
    after = max(1, total_steps - schedule.warmup_steps)
    done = min(1.0, max(0, step - schedule.warmup_steps) / after)
    if schedule.kind == "cosine":
        return warmup * (schedule.floor + (1 - schedule.floor) * (1 + math.cos(math.pi * done)) / 2)
    if schedule.kind == "exponential":
        return warmup * schedule.floor**done
    return warmup * schedule.factor**drops
