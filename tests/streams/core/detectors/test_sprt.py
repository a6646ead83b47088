"""Wald's test against the values of the research note and its own errors in simulation."""

import numpy as np
import pytest

from streams.core.detectors.likelihood import Bernoulli
from streams.core.detectors.sprt import bounds, expected_answers


def test_bounds_and_expected_answers() -> None:
    assert bounds(0.01, 0.1) == pytest.approx((4.4998, -2.2925), abs=5e-5)
    at_p0, at_p1 = expected_answers(Bernoulli(0.1, 0.2), 0.01, 0.1)
    assert (round(at_p0, 1), round(at_p1, 1)) == (60.6, 86.0)


@pytest.mark.parametrize("truth", [0.1, 0.2])
def test_errors_stay_within_what_was_asked(truth: float) -> None:
    change, (reject, accept) = Bernoulli(0.1, 0.2), bounds(0.01, 0.1)
    rng = np.random.default_rng(11)
    steps = np.where(rng.random((2500, 1200)) < truth, change.log_bad, change.log_good).cumsum(axis=1)
    ended = (steps >= reject) | (steps <= accept)
    assert ended.any(axis=1).all()
    wrong = (
        steps[np.arange(2500), ended.argmax(axis=1)] >= reject
        if truth == 0.1
        else (steps[np.arange(2500), ended.argmax(axis=1)] <= accept)
    )
    assert 0 < wrong.mean() <= (0.01 if truth == 0.1 else 0.1)
