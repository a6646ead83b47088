"""The fast form of the statistic is the product's own to the bit, and the worlds are what they say."""

from math import exp

import numpy as np
import pytest
from scipy.stats import poisson

from deploy.simulation import answer_worlds as worlds
from deploy.simulation import null_counts
from deploy.simulation.answer_worlds import BAD, DAY, Answers
from deploy.simulation.delays import Steps, coin
from deploy.simulation.null_answers import learned_levels, renewed_daily
from deploy.simulation.promised import Cell, rng_of
from deploy.simulation.rivals import Period, Roberts, Threshold, Window, delay, run_lengths, threshold
from deploy.simulation.twin import PANE_MS, Heard, Levels, Twin, known, play, replayed, spoken
from schemas.errors import ContractError
from streams.core.detectors import beta_binomial
from streams.core.detectors.cusum import BernoulliCusum
from streams.core.detectors.likelihood import Bernoulli, Counts, order_averaged
from streams.core.detectors.weighted import Ratio, Weighted
from streams.core.intervals import wilson_upper

pytestmark = pytest.mark.long


def world(strata: int, *, most: int = 30) -> Heard:
    rng = np.random.default_rng(7)
    at = np.cumsum(rng.integers(1, 400, (150, 12)), axis=0)
    n = rng.integers(0, most, (strata, 150, 12))
    n[:, rng.random((150, 12)) < 0.2] = 0
    return Heard(at, n, rng.binomial(n, 0.15))


@pytest.mark.parametrize(("strata", "averaged"), [(1, False), (1, True), (2, False)])
def test_the_twin_is_the_detector_to_the_bit(strata: int, *, averaged: bool) -> None:
    heard = world(strata)
    p0 = np.linspace(0.05, 0.14, strata * 12).reshape(strata, 12)
    levels = Levels(p0, np.stack([p0 + 0.1, p0 + 0.3]))
    ws = np.geomspace(1e-6, 1e-3, 12)
    said, loud, fast = spoken(heard, levels, averaged=averaged), heard.loud, Twin(12, ws, (0.5, 0.5))
    slow = [Weighted((0.5, 0.5), 0) for _ in range(12)]
    alarms = 0
    for row in range(150):
        inside = None if said.inside is None else said.inside[:, row]
        split = None if said.split is None else said.split[row]
        total = fast.hear(heard.at[row], loud[row], said.whole[:, row], inside, split)
        for key in np.flatnonzero(loud[row]).tolist():
            ratios = []
            for change in range(2):
                of = [Bernoulli(float(p0[s, key]), float(levels.p1[change, s, key])) for s in range(strata)]
                pairs = [(one, int(heard.n[s, row, key]), int(heard.bad[s, row, key])) for s, one in enumerate(of)]
                pairs = [pair for pair in pairs if pair[1]]
                ratios.append(
                    order_averaged([kind for one, n, bad in pairs for kind in one.kinds(n, bad)]) if averaged
                    else Ratio(sum([one.log_ratio(n, bad) for one, n, bad in pairs]))
                )  # fmt: skip
            at = int(heard.at[row, key]) * PANE_MS
            expected = slow[key].update(at, PANE_MS, float(ws[key]), ratios)
            assert fast.r[:, key].tolist() == slow[key].r
            assert total[key] == expected
            if expected >= 1:
                alarms += 1
                slow[key].restart(at)
        fast.restart(np.asarray(loud[row] & (total >= 1)))
    assert alarms > 20


def test_a_renewal_settles_as_the_detector_does() -> None:
    fast, slow = Twin(1, 0.001), Weighted((1.0,), 0)
    ratio = Bernoulli(0.1, 0.25).log_ratio(3, 2)
    for at in (7, 19):
        fast.hear(np.array([at]), np.array([True]), np.array([[exp(ratio)]]), None, None)
        slow.update(at * PANE_MS, PANE_MS, float(fast.w[0]), (Ratio(ratio),))
        slow.settle((at + 5) * PANE_MS, PANE_MS, float(fast.w[0]))
        fast.renew(at + 5, np.array([0.003]), fresh=np.array([False]))
        assert fast.r[0].tolist() == slow.r
    fast.renew(30, np.array([0.003]), fresh=np.array([True]))
    assert fast.r[0, 0] == 0


def test_a_replay_that_differs_is_an_error() -> None:
    heard, levels = world(1), known(0.1, 0.25, 12)
    alarms = play(heard, spoken(heard, levels), Twin(12, 1e-3))
    assert replayed(heard, levels, 1e-3, alarms) >= 400
    row = int(np.flatnonzero(heard.loud[:, 0])[3])
    alarms[row, 0] = ~alarms[row, 0]
    with pytest.raises(ContractError):
        replayed(heard, levels, 1e-3, alarms)


@pytest.mark.parametrize("averaged", [False, True])
def test_counts_are_played_as_the_detector_plays_them_empty_panes_too(*, averaged: bool) -> None:
    seen = np.random.default_rng(3).poisson(0.7, (900, 3))
    flowed, changes = null_counts.Flowed(seen, np.full(seen.shape, 1.0)), [Counts(0.5, 1.5)]
    alarms = null_counts.play(flowed, changes, 1e-2, averaged=averaged)
    assert alarms.sum() > 5
    assert null_counts.replayed(flowed, changes, 1e-2, alarms, averaged=averaged) == 900
    alarms[5, 0] = ~alarms[5, 0]
    with pytest.raises(ContractError):
        null_counts.replayed(flowed, changes, 1e-2, alarms, averaged=averaged)


def test_daily_renewal_without_change_is_one_long_watch() -> None:
    rng = np.random.default_rng(5)
    heard, _ = worlds.steady(rng, rate=20 / DAY, bad=0.2, keys=8, rows=300)
    days, levels = int(heard.at.max() // DAY) + 1, known(BAD, 0.25, 8)
    once = play(heard, spoken(heard, levels), Twin(8, 1e-5))
    daily = renewed_daily(heard, levels, np.ones((days, 8), bool), np.full((days, 8), 1e-5))
    assert once.sum() > 5
    assert (once == daily).all()


# --- worlds ------------------------------------------------------------------------------------------------------------


def test_panes_keep_every_answer() -> None:
    rng = np.random.default_rng(1)
    key, pane = rng.integers(0, 5, 4000), rng.integers(1, 300, 4000)
    answers = Answers(key, pane, rng.integers(0, 2, 4000), rng.integers(0, 2, 4000))
    heard = worlds.heard(answers, 5, 250, 2)
    kept = pane <= 250
    assert heard.n.sum() == kept.sum()
    assert heard.bad.sum() == answers.bad[kept].sum()
    for one in range(5):
        mine = heard.loud[:, one]
        assert (np.diff(heard.at[mine, one]) > 0).all()
        assert set(heard.at[mine, one]) == set(pane[kept & (key == one)])


@pytest.mark.parametrize("rate", [0.01, 0.5, 3.0])
def test_panes_with_answers_are_poisson_panes_without_the_empty_ones(rate: float) -> None:
    heard, lived = worlds.steady(rng_of(1, "test"), rate=rate, bad=BAD, keys=200, rows=500)
    assert heard.n.min() == 1
    assert heard.n.mean() == pytest.approx(rate / -np.expm1(-rate), rel=0.01)
    assert (heard.n == 1).mean() == pytest.approx(poisson.pmf(1, rate) / -np.expm1(-rate), abs=0.01)
    assert heard.n.sum() / (200 * lived) == pytest.approx(rate, rel=0.02)


def test_returning_customers_repeat_themselves_and_one_per_keeps_the_first() -> None:
    everything, first = worlds.returning(rng_of(1, "test"), keys=3, days=200, per_day=100, spread_days=7)
    assert len(everything.key) / (3 * 200) == pytest.approx(100, rel=0.05)
    assert len(everything.key) / len(first.key) == pytest.approx(4, rel=0.05)
    assert everything.bad.mean() == pytest.approx(BAD, abs=0.02)
    assert first.pane.max() <= 200 * DAY


def test_answers_of_a_day_correlate_as_declared() -> None:
    rng = rng_of(1, "test")
    blank = worlds.at_times(rng, np.ones(24), per_day=200, keys=20, days=200)
    answers = worlds.day_effects(rng, blank, rho=0.03, keys=20, days=200)
    spot = answers.key * 200 + (answers.pane - 1) // DAY
    n, bad = np.bincount(spot, minlength=4000), np.bincount(spot, answers.bad, 4000)
    extra = np.mean((bad / n - BAD) ** 2) - np.mean(BAD * (1 - BAD) / n)
    assert extra / (BAD * (1 - BAD)) == pytest.approx(0.03, rel=0.15)


def test_shares_by_hour_average_to_the_declared_one() -> None:
    weights = worlds.week(worlds.OPEN, worlds.WEEKEND)
    shares = worlds.profile_shares(weights, 4.0)
    assert np.average(shares, weights=weights) == pytest.approx(BAD)
    assert shares.max() / shares.min() == pytest.approx(4)


def test_baselines_are_what_the_product_learns() -> None:
    levels = learned_levels([200, 1000], [20, 90], 0.25, 0.999)
    assert levels.p0[0].tolist() == [wilson_upper(20, 200, 0.999), wilson_upper(90, 1000, 0.999)]
    assert levels.p1[0, 0].tolist() == [0.25, 0.25]


def test_the_twin_knows_what_the_day_has_said_before() -> None:
    """Against the ratio of whole days: those of its panes multiply to it, whatever the midnight."""
    heard = world(2)
    p0 = np.full((2, 12), 0.1)
    rho = np.linspace(0.0, 0.1, 24).reshape(2, 12)
    levels = Levels(p0, p0[None] + 0.15, rho)
    for midnight in (0, 17):
        said = spoken(heard, levels, midnight=midnight).nearest
        for key in (0, 5, 11):
            days = (heard.at[:, key] - 1 - midnight) // DAY
            for day in np.unique(days).tolist():
                rows = days == day
                expected = 0.0
                for stratum in range(2):
                    pair = (int(heard.n[stratum, rows, key].sum()), int(heard.bad[stratum, rows, key].sum()))
                    if rho[stratum, key]:
                        expected += beta_binomial.log_ratio(0.1, 0.25, float(rho[stratum, key]), (0, 0), pair)
                    else:
                        expected += Bernoulli(0.1, 0.25).log_ratio(*pair)
                assert said[rows, key].sum() == pytest.approx(expected, abs=1e-9)


def test_the_days_of_a_world_correlate_as_they_say() -> None:
    share = worlds.day_shares(np.random.default_rng(2), rho=0.02, keys=400, days=400)
    assert share.mean() == pytest.approx(BAD, abs=0.001)
    assert share.var() == pytest.approx(0.02 * BAD * (1 - BAD), rel=0.02)
    assert (worlds.day_shares(np.random.default_rng(2), rho=0, keys=2, days=2) == BAD).all()


def test_the_bound_is_the_exact_poisson_one() -> None:
    cell = Cell(world="", setting="", promised=100.0, alarms=80, panes=0, answers=0)
    assert poisson.cdf(80, cell.upper * 100) == pytest.approx(0.05)
    assert cell.kept
    assert not Cell(world="", setting="", promised=100.0, alarms=98, panes=0, answers=0).kept


# --- rivals ------------------------------------------------------------------------------------------------------------


def test_simulated_run_lengths_are_those_of_the_exact_chain() -> None:
    chart = BernoulliCusum(7, worse=True, limit=31)
    one = Steps(chart)
    one.grid = np.array([26.0, 31.0])
    found = run_lengths([one], coin(rng_of(1, "test"), 0.10), 2500, 2000)[0]
    assert found.tolist() == pytest.approx([556.45, 1043.61], rel=0.05)
    at = delay(
        lambda: Steps(chart), Threshold(31, 31, 1), coin(rng_of(1, "a"), 0.10), coin(rng_of(1, "b"), 0.20), 300, 2000
    )
    assert at == pytest.approx(57, rel=0.06)


def test_shiryaev_roberts_meets_its_published_run_length_and_delay() -> None:
    slope, base = np.log(2) - np.log(0.8 / 0.9), np.log(0.8 / 0.9)
    rng = rng_of(1, "test")
    lengths = run_lengths([Roberts(2000, slope, base)], coin(rng, 0.10), 3000, 2000)[0]
    at = threshold(Roberts.grid, lengths, 1000, steps=False)
    assert at is not None
    assert at.low == pytest.approx(6.64, abs=0.1)
    found = delay(lambda: Roberts(2000, slope, base), at, coin(rng, 0.10), coin(rng, 0.20), 300, 2000)
    assert found == pytest.approx(52, rel=0.06)


def test_a_window_sums_its_last_looks_and_waits_until_it_is_full() -> None:
    window = Window(1, 3, np.arange(1.0, 4.0))
    said = [float(window.look(np.array([float(seen)]))[0]) for seen in (1, 0, 1, 1, 1)]
    assert said == [-np.inf, -np.inf, 2, 2, 3]
    window.restart(np.array([True]))
    assert [float(window.look(np.array([0.0]))[0]) for _ in range(3)] == [-np.inf, -np.inf, 0]


def test_two_limits_are_mixed_to_the_wanted_rate() -> None:
    at = threshold(np.array([1.0, 2.0, 3.0]), np.array([10.0, 100.0, 900.0]), 300, steps=True)
    assert at == Threshold(2.0, 3.0, 0.75)
    assert threshold(np.array([1.0, 2.0]), np.array([10.0, 100.0]), 200, steps=True) is None


def test_the_plain_threshold_alarms_as_often_as_wanted_and_at_the_ends_of_periods() -> None:
    period = Period(100, fall=False)
    rng = rng_of(1, "test")
    nothing = period.delay(rng, (0.10, 0.10), 2000, 50_000, counts=False)
    assert nothing == pytest.approx(50.5 + 2000 - 100, rel=0.03)
    sure = period.delay(rng, (0.10, 0.999), 2000, 20_000, counts=False)
    assert sure is not None
    assert 50 < sure < 75
    assert period.delay(rng, (0.10, 0.30), 90, 100, counts=False) is None
    fall = Period(10, fall=True).delay(rng, (5.0, 5.0), 700, 50_000, counts=True)
    assert fall == pytest.approx(5.5 + 700 - 10, rel=0.05)
