"""Scores of a queue's trainings over their seeds."""

from __future__ import annotations

from pathlib import Path

from training_data import tiny_settings

from splitstrument.evaluation.schema import ESTIMATE
from splitstrument.reproduction.queue_report import Scored, seed_table
from splitstrument.training.queue import Job, Status


def scored(name, group, si_sdr, changes):
    """A training whose songs score `si_sdr`."""
    record = {"tracks": [{"scores": {ESTIMATE: {"instrument": {"si_sdr": value}}}} for value in si_sdr]}
    job = Job(name, Path("recipe.yaml"), Path("run"), changes, group=group)
    return Scored(job, Status(name, "finished"), tiny_settings(Path("d")), 1, record, record)


def test_scores_have_a_mean_and_a_spread_over_seeds():
    runs = [
        scored("wide-seed_0", "wide", [1.0, 2.0, 9.0], {"seed": 0}),
        scored("wide-seed_1", "wide", [4.0], {"seed": 1}),
        scored("narrow-seed_0", "narrow", [7.0], {"seed": 0}),
        scored("alone", "alone", [7.0], {}),
    ]
    (table,) = seed_table(runs)
    header, _, row = (line.split("|") for line in table.strip().splitlines())
    assert [cell.strip() for cell in row[1:-1]] == ["wide", "2", "3.00", "1.41", "2.00", "4.00"]
    assert len(header) == len(row)
    assert seed_table(runs[2:]) == []
    trials = [scored(f"fixed-trial_00{number}", "fixed", [1.0], {"seed": 5}) for number in range(2)]
    assert seed_table(trials) == []
