"""Benjamini-Hochberg and -Yekutieli against the vector of 1995 and statsmodels."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from streams.core.detectors.multiplicity import adjusted, rejected

P = [
    0.0001,
    0.0004,
    0.0019,
    0.0095,
    0.0201,
    0.0278,
    0.0298,
    0.0344,
    0.0459,
    0.3240,
    0.4262,
    0.5719,
    0.6528,
    0.7590,
    1.0,
]


def test_the_vector_of_1995() -> None:
    assert rejected(P, 0.05) == [0, 1, 2, 3]
    assert rejected(P, 0.05, dependent=True) == [0, 1, 2]
    assert sum(p <= 0.05 / len(P) for p in P) == 3  # Bonferroni
    expected = [0.0015, 0.0030, 0.0095, 0.03562, 0.0603, 0.06386, 0.06386, 0.0645, 0.0765, 0.486, 0.58118]
    assert adjusted(P)[:11] == pytest.approx(expected, abs=6e-6)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.booleans())
def test_adjusted_values_equal_statsmodels_in_any_order(p_values: list[float], dependent: bool) -> None:
    method = "fdr_by" if dependent else "fdr_bh"
    expected = multipletests(p_values, 0.05, method)[1]
    assert adjusted(p_values, dependent=dependent) == pytest.approx(list(expected), abs=1e-12)


def test_no_tests_reject_nothing() -> None:
    assert rejected([], 0.05) == []
