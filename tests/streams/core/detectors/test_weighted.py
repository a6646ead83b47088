"""The weighted statistic: its recursion, its bits, and the promise about false alarms in simulation."""

from math import comb, exp, inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import ContractError
from streams.core.detectors.likelihood import Bernoulli, Counts, order_averaged
from streams.core.detectors.order_average import log_order_average
from streams.core.detectors.weighted import ALARM_AT, Ratio, Weighted, weight

PANE_MS = 10_000
changes = [Bernoulli(0.1, 0.15), Bernoulli(0.1, 0.3)]
gaps = st.lists(st.tuples(st.integers(1, 200), st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=30)


def binomial(n: int, p: float) -> list[float]:
    return [comb(n, bad) * p**bad * (1 - p) ** (n - bad) for bad in range(n + 1)]


def ratios(n: int, bad: int) -> list[Ratio]:
    return [Ratio(change.log_ratio(n, bad)) for change in changes]


def test_weights_of_all_keys_add_up_to_the_budget_of_a_week() -> None:
    shares = [0.5, 0.3, 0.2]
    panes = 7 * 24 * 360
    assert sum(weight(2.0, PANE_MS, share) for share in shares) * panes == pytest.approx(2.0)


@settings(max_examples=40)
@given(gaps)
def test_it_follows_the_recursion_pane_by_pane(evidence: list[tuple[int, int, int]]) -> None:
    statistic, w = Weighted((0.25, 0.75), 0), 1e-5
    naive, pane = [0.0, 0.0], 0
    for quiet, good, bad in evidence:
        for _ in range(quiet):
            naive = [r + share * w for r, share in zip(naive, (0.25, 0.75), strict=True)]
        naive = [r * exp(one.whole) for r, one in zip(naive, ratios(good + bad, bad), strict=True)]
        pane += quiet * PANE_MS
        assert statistic.update(pane, PANE_MS, w, ratios(good + bad, bad)) == pytest.approx(sum(naive), rel=1e-9)
    assert statistic.spent == pytest.approx(w * pane / PANE_MS)


def test_quiet_panes_are_one_multiplication() -> None:
    statistic = Weighted((1.0,), 0)
    statistic.settle(10 * PANE_MS, PANE_MS, 0.1)
    assert statistic.total == 1.0 != sum([0.1] * 10)


def test_budget_inside_the_pane_comes_after_that_of_the_quiet_panes() -> None:
    statistic = Weighted((0.25, 0.75), 0)
    change = changes[1]
    ratio = Ratio(change.log_ratio(2, 1), log_order_average(change.kinds(2, 1)))
    found = statistic.update(5 * PANE_MS, PANE_MS, 0.01, [ratio, ratio])
    up, down = exp(change.log_bad), exp(change.log_good)
    orders = [((0.04 + 0.005) * first + 0.005) * second for first, second in ((up, down), (down, up))]
    assert found == pytest.approx(sum(orders) / 2)
    assert statistic.r == pytest.approx([0.25 * found, 0.75 * found])
    assert statistic.spent == pytest.approx(0.05)


@settings(max_examples=40)
@given(gaps, st.integers(0, 29))
def test_a_thawed_statistic_goes_on_to_the_bit(evidence: list[tuple[int, int, int]], cut: int) -> None:
    straight, broken = Weighted((0.5, 0.5), 0), Weighted((0.5, 0.5), 0)
    pane = 0
    for index, (quiet, good, bad) in enumerate(evidence):
        pane += quiet * PANE_MS
        if index == cut:
            frozen, broken = broken.freeze(), Weighted((0.5, 0.5), 77)
            broken.thaw(frozen)
        for one in (straight, broken):
            one.update(pane, PANE_MS, 1e-6, ratios(good + bad, bad))
    assert straight == broken and straight.freeze() == broken.freeze()


def test_restart_forgets_the_evidence_but_not_what_was_spent() -> None:
    statistic = Weighted((0.5, 0.5), 0)
    assert statistic.update(PANE_MS, PANE_MS, 0.5, ratios(9, 9)) >= ALARM_AT
    assert statistic.leading() == 1
    statistic.restart(PANE_MS)
    assert (statistic.total, statistic.spent) == (0.0, 0.5)
    assert statistic.spent_at(3 * PANE_MS, PANE_MS, 0.5) == 1.5
    assert statistic.spent == 0.5


def test_endless_evidence_stays_finite() -> None:
    up, down = Weighted((1.0,), 0), Weighted((1.0,), 0)
    for pane in range(1, 50):
        up.update(pane, 1, 0.1, [Ratio(1e9, 1e9)])
        down.update(pane, 1, 0.1, [Ratio(-1e9, -1e9)])
    assert 1 < up.total < inf
    assert 0 <= down.total < 1


@pytest.mark.parametrize("pane", [0, -PANE_MS, PANE_MS + 1])
def test_a_pane_that_was_taken_or_lies_off_the_grid_is_refused(pane: int) -> None:
    with pytest.raises(ContractError):
        Weighted((1.0,), 0).update(pane, PANE_MS, 0.1, [Ratio(0.0)])


@pytest.mark.parametrize("shares", [(), (0.5, 0.4), (1.5, -0.5)])
def test_weights_that_are_no_weights_are_refused(shares: tuple[float, ...]) -> None:
    with pytest.raises(ContractError):
        Weighted(shares, 0)


def test_the_state_of_other_changes_is_refused() -> None:
    with pytest.raises(ContractError):
        Weighted((1.0,), 0).thaw(Weighted((0.5, 0.5), 0).freeze())


@settings(max_examples=40)
@given(st.integers(1, 60), st.floats(0, 5), st.floats(0, 1), st.booleans())
def test_the_statistic_minus_the_budget_never_grows_in_the_mean(
    n: int, before: float, part: float, inside: bool
) -> None:
    """E[R'] <= R + w by enumeration of all counts, at the baseline and on its good side, in both forms."""
    change, w = Bernoulli(0.2, 0.35), 0.3
    for truth in (0.2, 0.2 * part):
        mean = 0.0
        for bad, chance in enumerate(binomial(n, truth)):
            statistic = Weighted((1.0,), 0, [before])
            ratio = order_averaged(change.kinds(n, bad)) if inside else Ratio(change.log_ratio(n, bad))
            mean += chance * statistic.update(PANE_MS, PANE_MS, w, [ratio])
        assert mean <= before + w + 1e-10


def alarms_in_a_null_world(*, mean_answers: float, keys: int, panes: int, w: float, inside: bool) -> tuple[int, float]:
    """Return (false alarms, injected budget): rates that move, keys that appear late, vanish and come back."""
    rng = np.random.default_rng(20_261_123)
    family, shares = (Bernoulli(0.15, 0.22), Bernoulli(0.15, 0.4)), (0.6, 0.4)
    rates = mean_answers * np.exp(rng.normal(0, 1, (keys, 1))) * (1 + 0.8 * np.sin(np.arange(panes) / 40))
    born, gone = rng.integers(0, panes // 2, keys), rng.integers(panes // 2, panes, keys)
    at = np.arange(panes)[None, :]
    alive = (at >= born[:, None]) & (at < gone[:, None])
    alive[: keys // 4] = True
    n = rng.poisson(rates) * alive
    bad = rng.binomial(n, 0.15)
    alarms, injected = 0, 0.0
    for key in range(keys):
        statistic = Weighted(shares, 0)
        for pane in np.flatnonzero(n[key]).tolist():
            answers, wrong = int(n[key, pane]), int(bad[key, pane])
            if inside:
                found = [order_averaged(change.kinds(answers, wrong)) for change in family]
            else:
                found = [Ratio(change.log_ratio(answers, wrong)) for change in family]
            if statistic.update(pane + 1, 1, w, found) >= ALARM_AT:
                alarms += 1
                statistic.restart(pane + 1)
        injected += statistic.spent_at(panes, 1, w)
    assert injected == pytest.approx(w * keys * panes)
    return alarms, injected


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize(("mean_answers", "keys", "panes"), [(0.05, 60, 6000), (1.0, 40, 600), (30.0, 20, 300)])
def test_false_alarms_stay_within_the_budget(mean_answers: float, keys: int, panes: int, inside: bool) -> None:
    w = 200 / (keys * panes)
    alarms, injected = alarms_in_a_null_world(mean_answers=mean_answers, keys=keys, panes=panes, w=w, inside=inside)
    assert alarms + 1.96 * alarms**0.5 <= 1.1 * injected
    assert alarms > 0.1 * injected  # a statistic that sleeps would keep any promise


def delays(n: int, *, form: str, runs: int = 100) -> float:
    """Mean answers from a change to the alarm, panes of n answers, from a warm statistic."""
    rng = np.random.default_rng(7)
    change, w = Bernoulli(0.1, 0.2), 1e-3
    out = []
    for _ in range(runs):
        statistic, pane, seen = Weighted((1.0,), 0), 0, 0
        size = 1 if form == "each" else n
        while True:
            p = 0.1 if pane * size < 300 else 0.2
            bad = int(rng.binomial(size, p))
            ratio = order_averaged(change.kinds(size, bad)) if form == "inside" else Ratio(change.log_ratio(size, bad))
            pane += 1
            seen += size if p == 0.2 else 0
            if statistic.update(pane, 1, w * size, [ratio]) >= ALARM_AT:
                if p == 0.2:
                    break
                statistic.restart(pane)
        out.append(seen)
    return float(np.mean(out))


def test_spreading_the_budget_inside_a_pane_costs_no_delay() -> None:
    each, grouped, inside = (delays(100, form=form) for form in ("each", "before", "inside"))
    assert each < inside < each + 100  # a pane's answers speak when it ends
    assert inside <= grouped


def test_counts_of_panes_keep_the_promise_too() -> None:
    rng = np.random.default_rng(5)
    change, mu, w, panes = Counts(1.6, 2.0), 3.0, 0.01, 30_000
    seen = rng.negative_binomial(mu, 0.5, panes)  # size mu / (2 - 1), variance / mean 2
    statistic, alarms = Weighted((1.0,), 0), 0
    for pane, count in enumerate(seen.tolist(), 1):
        if statistic.update(pane, 1, w, [Ratio(change.log_ratio(count, mu))]) >= ALARM_AT:
            alarms += 1
            statistic.restart(pane)
    assert 0.1 * panes * w < alarms <= panes * w
