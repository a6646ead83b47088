"""How often the intervals hold the true value: every interval of the product, over a grid of truths.

Where possible all outcomes are enumerated and no chance is left; else paths are drawn from a seed. A usual interval
promises its level on average over the truth, and the worst truth is printed; an exact one and an anytime-valid one
promise at least their level at every truth, the latter under a look after every answer.

The grids: shares of 0.5 to 99.5 %; mixes of promoters, passives and detractors over the whole triangle; answers on 5
points of even, split and peaked shape, tilted from bad to good; expected counts; rates a hundredfold apart.
"""

from collections.abc import Iterable, Sequence

import msgspec

from deploy.simulation.coverage_once import mean_drawn, mean_once, nps_once, rate_once, share_once
from deploy.simulation.coverage_watched import mean_watched, nps_watched, rate_watched, share_watched
from deploy.simulation.covered import Promise, Row
from streams.core.adjusted_mean import adjusted_mean
from streams.core.anytime import share_sequence
from streams.core.intervals import t_mean, wilson


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How much is computed."""

    levels: Sequence[float]
    share_n: Sequence[int]
    nps_n: Sequence[int]
    mean_n: Sequence[int]
    draws_n: Sequence[int]
    draws: int
    rate_to: Sequence[int]
    look_to: Sequence[int]
    rate_look_to: int
    nps_look_to: int
    mean_look_to: int
    paths: int


FULL = Plan(
    levels=(0.90, 0.95, 0.99), share_n=(5, 10, 20, 30, 100, 1000), nps_n=(5, 10, 30, 100), mean_n=(5, 10, 30),
    draws_n=(100, 300), draws=2000, rate_to=(10, 50, 200), look_to=(50, 500), rate_look_to=200, nps_look_to=80,
    mean_look_to=150, paths=1000,
)  # fmt: skip
SMALL = Plan(
    levels=(0.90, 0.95), share_n=(20, 100), nps_n=(10, 30), mean_n=(5, 10), draws_n=(300,), draws=300, rate_to=(200,),
    look_to=(80,), rate_look_to=20, nps_look_to=25, mean_look_to=30, paths=200,
)  # fmt: skip


def coverage(plan: Plan = FULL, seed: int = 1) -> list[Row]:
    """Return a row for each interval, size and level of the plan; the same rows for the same seed."""
    rows: list[Row] = []
    for level in plan.levels:
        rows += [share_once(n, level) for n in plan.share_n]
        rows += [nps_once(n, level) for n in plan.nps_n]
        for name, bounds in (("mean, adjusted", adjusted_mean), ("mean, t", t_mean)):
            rows += [mean_once(name, bounds, n, level) for n in plan.mean_n]
            rows += [mean_drawn(name, bounds, n, level, plan.draws, seed) for n in plan.draws_n]
        rows += [rate_once(top, level) for top in plan.rate_to]
        for n in plan.look_to:
            rows.append(share_watched("share, anytime-valid", share_sequence, n, level, Promise.EACH))
            rows.append(share_watched("share, Wilson", wilson, n, level, Promise.NONE))
        rows.append(rate_watched(plan.rate_look_to, level))
    rows += nps_watched(plan.nps_look_to, plan.levels)
    rows += mean_watched(plan.mean_look_to, plan.levels, plan.paths, seed)
    return rows


def markdown(rows: Iterable[Row]) -> str:
    """Return the rows as a Markdown table."""
    lines = [
        "| interval | level | looked at | truths | mean coverage | least coverage | at | promise | kept | by |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        kept = {True: "yes", False: "NO", None: "-"}[row.kept]
        lines.append(
            f"| {row.interval} | {row.level:.0%} | {row.looks} | {row.truths} | {row.mean:.2%} | {row.least:.2%} "
            f"| {row.least_at} | {row.promise} | {kept} | {row.how} |"
        )
    return "\n".join(lines) + "\n"
