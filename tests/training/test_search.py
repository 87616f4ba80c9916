"""Random search: draws that stay, ranges that hold, and the rule that gives a trial up."""

from __future__ import annotations

import numpy as np
import pytest

from splitstrument.errors import SettingsError
from splitstrument.settings import validate
from splitstrument.training.search import PruneSettings, SearchSettings, hopeless

SPACE = {
    "optimizer.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
    "model.network.width": {"low": 8, "high": 10, "whole": True},
    "optimizer.name": ["adam", "muon"],
}


def search(**changes):
    """A search over three settings."""
    return validate({"trials": 300, "space": SPACE, **changes}, SearchSettings, "the search")


def test_draws_fill_their_ranges_and_do_not_depend_on_their_number():
    draws = search().draws()
    assert search(trials=5).draws() == draws[:5] and search(seed=1).draws() != draws
    rates = np.array([draw["optimizer.learning_rate"] for draw in draws])
    assert 1e-4 <= rates.min() < 2e-4 and 5e-3 < rates.max() <= 1e-2
    assert np.median(rates) == pytest.approx(1e-3, rel=0.3)  # even on a logarithmic scale
    assert {draw["model.network.width"] for draw in draws} == {8, 9, 10}
    assert {draw["optimizer.name"] for draw in draws} == {"adam", "muon"}
    assert all(float(f"{rate:.3g}") == rate for rate in rates)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"a": {"low": 2, "high": 1}}, "low must be below high"),
        ({"a": {"low": 0, "high": 1, "log": True}}, "a logarithmic range needs a positive low"),
        ({"a": []}, "the space of a is an empty list"),
    ],
)
def test_ranges_that_are_none_are_refused(space, message):
    with pytest.raises(SettingsError, match=message):
        search(space=space)


def test_a_trial_is_given_up_only_behind_enough_others_that_came_as_far():
    prune = PruneSettings(after_epochs=2, trials=3)
    others = [[5, 4, 1], [5, 4], [9, 8], [1]]
    assert hopeless([], others, prune) is None and hopeless([9], others, prune) is None  # too early
    assert hopeless([9, 4.5], others[:2], prune) is None  # behind two only
    assert "4.5 is above the others' median, 4" in hopeless([9, 4.5], others, prune)
    assert hopeless([3.9, 9], others, prune) is None  # its best epoch counts
