"""Change dating against the reference vector and a known change."""

import numpy as np
import pytest

from streams.core.detectors.bocpd import beliefs, change_at


def test_the_reference_vector() -> None:
    found = beliefs([True, False, True, True], 0.1)
    assert [one.evidence for one in found] == pytest.approx([0.5, 0.35, 0.478571, 0.588209], abs=5e-7)
    assert found[-1].run_lengths == pytest.approx((0.1, 0.076503, 0.095915, 0.061659, 0.665922), abs=5e-7)


def test_run_lengths_are_chances() -> None:
    for belief in beliefs(np.random.default_rng(0).random(80) < 0.3, 0.01, (2.0, 18.0)):
        assert sum(belief.run_lengths) == pytest.approx(1)
        assert belief.run_lengths[0] == pytest.approx(0.01)


def test_a_change_is_dated_near_where_it_was() -> None:
    rng = np.random.default_rng(4)
    answers = np.concatenate([rng.random(300) < 0.1, rng.random(120) < 0.4])
    assert abs(change_at(answers, 0.002) - 300) <= 15


def test_a_cap_on_the_run_lengths_keeps_the_mass_and_the_date() -> None:
    rng = np.random.default_rng(4)
    answers = np.concatenate([rng.random(300) < 0.1, rng.random(120) < 0.4])
    capped = beliefs(answers, 0.002, longest=200)
    assert len(capped[-1].run_lengths) == 201
    assert sum(capped[-1].run_lengths) == pytest.approx(1)
    full = beliefs(answers, 0.002)[-1].run_lengths
    assert capped[-1].run_lengths[:180] == pytest.approx(full[:180], abs=1e-3)
