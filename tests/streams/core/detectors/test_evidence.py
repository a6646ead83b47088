"""Evidence since the estimated change, against a naive search for the change of greatest likelihood."""

from hypothesis import given
from hypothesis import strategies as st

from streams.core.detectors.evidence import Evidence

panes = st.lists(st.tuples(st.integers(-4, 4), st.integers(1, 9), st.integers(0, 9)), max_size=40)


@given(panes)
def test_the_run_begins_where_the_likelihood_of_a_change_is_greatest(seen: list[tuple[int, int, int]]) -> None:
    evidence = Evidence()
    for pane, (ratio, base, count) in enumerate(seen):
        evidence.add(pane, ratio, {"a": (base, count)}, 10 * pane, 10 * pane + 5)
    sums = [sum(ratio for ratio, _, _ in seen[start:]) for start in range(len(seen))]
    best = max(sums, default=0)
    if best <= 0:
        assert evidence == Evidence()
        return
    start = max(start for start, total in enumerate(sums) if total == best)
    assert evidence.cumulated == best
    assert evidence.change_pane == start
    assert evidence.totals == (sum(base for _, base, _ in seen[start:]), sum(count for _, _, count in seen[start:]))
    assert (evidence.occurred_first, evidence.occurred_last) == (10 * start, 10 * len(seen) - 5)


def test_strata_are_kept_apart_and_take_expectations_as_well_as_answers() -> None:
    evidence = Evidence()
    evidence.add(1, 0.5, {"mail": (2.5, 4), "card": (10, 3)}, 7, 9)
    evidence.add(2, 0.5, {"mail": (2.5, 1)}, 3, 8)
    assert evidence.strata == {"mail": (5.0, 5), "card": (10, 3)}
    assert evidence.totals == (15.0, 8)
    assert (evidence.occurred_first, evidence.occurred_last) == (3, 9)


@given(panes)
def test_thawed_evidence_is_what_was_frozen(seen: list[tuple[int, int, int]]) -> None:
    evidence, other = Evidence(), Evidence()
    for pane, (ratio, base, count) in enumerate(seen):
        evidence.add(pane, ratio, {str(count % 3): (base, count)}, pane, pane)
    other.thaw(evidence.freeze())
    assert other == evidence
    assert list(other.freeze()["strata"]) == sorted(other.freeze()["strata"])
