"""Spearman's rho from counts against scipy on the expanded answers, and the coverage of its interval."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from streams.core.rank_correlation import spearman

tables = st.dictionaries(st.tuples(st.integers(1, 5), st.integers(1, 7)), st.integers(1, 30), min_size=2, max_size=20)


@given(tables)
def test_rho_equals_scipy_on_the_expanded_answers(joint: dict[tuple[int, int], int]) -> None:
    pairs = [pair for pair, count in joint.items() for _ in range(count)]
    first, second = zip(*pairs, strict=True)
    found = spearman(joint, 0.95)
    if len(set(first)) == 1 or len(set(second)) == 1:
        assert found == (None, -1, 1, len(pairs))
    else:
        assert found.rho == pytest.approx(stats.spearmanr(first, second).statistic, abs=1e-12)
        assert -1 <= found.lo <= found.rho <= found.hi <= 1


@given(tables)
def test_rho_turns_its_sign_with_one_scale_and_keeps_it_when_sides_change(joint: dict[tuple[int, int], int]) -> None:
    found = spearman(joint, 0.9)
    assert spearman({(y, x): count for (x, y), count in joint.items()}, 0.9) == pytest.approx(found)
    if found.rho is not None:
        turned = spearman({(x, -y): count for (x, y), count in joint.items()}, 0.9)
        assert turned == pytest.approx((-found.rho, -found.hi, -found.lo, found.n), abs=1e-12)


def test_the_interval_is_that_of_bonett_and_wright() -> None:
    joint = {(1, 1): 8, (1, 2): 3, (2, 1): 2, (2, 2): 9, (3, 2): 4, (3, 3): 6}
    found = spearman(joint, 0.95)
    half = 1.959964 * np.sqrt((1 + found.rho**2 / 2) / (found.n - 3))
    middle = np.arctanh(found.rho)
    assert (found.lo, found.hi) == pytest.approx((np.tanh(middle - half), np.tanh(middle + half)), abs=1e-6)


@pytest.mark.parametrize("n", [2, 3])
def test_below_four_pairs_nothing_is_known(n: int) -> None:
    assert spearman({(one, one): 1 for one in range(n)}, 0.95) == (pytest.approx(1.0), -1, 1, n)


def test_agreement_of_a_few_pairs_is_no_certainty() -> None:
    few, many = (spearman({(one, one): count for one in range(5)}, 0.95) for count in (1, 40))
    assert few.rho == many.rho == few.hi == 1
    assert few.lo < 0.3
    assert 0.99 < many.lo < 1


def test_the_interval_covers_the_true_rho_of_skewed_five_point_scores() -> None:
    rng, level = np.random.default_rng(3), 0.95
    latent = rng.multivariate_normal([0, 0], [[1, 0.5], [0.5, 1]], size=200_000)
    scores = 1 + np.searchsorted(stats.norm.ppf([0.04, 0.09, 0.20, 0.55]), latent)
    joint = Counter((int(x), int(y)) for x, y in scores)
    truth = spearman(joint, level).rho
    pairs, shares = list(joint), np.array(list(joint.values())) / len(scores)
    drawn = (spearman(dict(zip(pairs, map(int, row), strict=True)), level) for row in rng.multinomial(60, shares, 1500))
    assert np.mean([one.lo <= truth <= one.hi for one in drawn]) == pytest.approx(level, abs=0.015)
