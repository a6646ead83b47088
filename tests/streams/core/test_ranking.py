"""Shrinkage against its posterior distribution, and orders that small keys do not win by luck."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta

from streams.core.intervals import wilson
from streams.core.ranking import parent_share, ranked, shrunk

counts = st.integers(0, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
parents = st.floats(0.01, 0.99)


def test_three_of_three_shrinks_to_the_published_value() -> None:
    found = shrunk(3, 3, 0.85)
    assert found == pytest.approx((0.8696, 0.7405, 0.9618), abs=5e-5)


@given(counts, parents, st.floats(1, 100), st.sampled_from([0.8, 0.9, 0.95]))
def test_the_band_is_that_of_the_posterior(pair: tuple[int, int], parent: float, strength: float, level: float) -> None:
    good, n = pair
    posterior = beta(strength * parent + good, strength * (1 - parent) + n - good)
    found = shrunk(good, n, parent, strength, level)
    assert found == pytest.approx((posterior.mean(), *posterior.interval(level)), abs=1e-7)
    assert found.lo <= found.hi


@given(counts, parents)
def test_a_shrunk_share_lies_between_its_own_and_its_parents(pair: tuple[int, int], parent: float) -> None:
    good, n = pair
    own = good / n if n else parent
    assert min(own, parent) - 1e-12 <= shrunk(good, n, parent).value <= max(own, parent) + 1e-12


@given(counts)
def test_any_parent_can_be_shrunk_to(pair: tuple[int, int]) -> None:
    found = shrunk(0, 0, parent_share(*pair))
    assert 0 <= found.lo < found.value < found.hi <= 1


@pytest.mark.parametrize("parent", [0.0, 1.0])
def test_a_parent_without_doubt_is_refused(parent: float) -> None:
    with pytest.raises(ValueError, match="parent_share"):
        shrunk(3, 3, parent)


def test_three_of_three_does_not_outrank_a_thousand() -> None:
    bands = {"tiny": wilson(3, 3, 0.95), "large": wilson(950, 1000, 0.95), "poor": wilson(60, 100, 0.95)}
    assert ranked(bands) == ["large", "poor", "tiny"]


def test_where_low_is_good_the_lowest_upper_bound_leads() -> None:
    bands = {"none of three": wilson(0, 3, 0.95), "few of many": wilson(20, 1000, 0.95), "many": wilson(30, 100, 0.95)}
    assert ranked(bands, high_is_good=False) == ["few of many", "many", "none of three"]


@given(st.permutations(["a", "b", "c", "d"]))
def test_ties_stand_in_order_of_their_keys(keys: list[str]) -> None:
    assert ranked(dict.fromkeys(keys, (0.2, 0.4))) == ["a", "b", "c", "d"]
    assert ranked(dict.fromkeys(keys, (0.2, 0.4)), high_is_good=False) == ["a", "b", "c", "d"]
