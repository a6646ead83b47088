"""What the packaged rule can find at all, by the answers that a key has a day."""

from typing import NamedTuple

from deploy.simulation.answer_worlds import BAD
from deploy.simulation.null_answers import LEARNED_DAYS, learned_levels, packaged
from deploy.simulation.twin import PANE_MS
from streams.core.detectors.day_delay import day_finder
from streams.core.detectors.found_within import HORIZONS_DAYS, answers_finder
from streams.core.detectors.likelihood import Bernoulli

RATES = (1, 10, 100, 1000)
RHO = 0.02
KEYS = (1, 5, 50)


class Reach(NamedTuple):
    """The smallest bad share found within each horizon; None: not armed, or no share is found."""

    per_day: int
    keys: int
    baseline: str
    armed: bool
    by_days: dict[int, float | None]
    within_last: float | None


def reach(_seed: int = 1, _size: float = 1.0) -> list[Reach]:
    """Return what is found with the true baseline, and with one that was learned from the days within reach."""
    rule, _, _ = packaged()
    out = []
    for per_day in RATES:
        for keys in KEYS:
            budget_per_day = rule.budget_per_week / 7 / keys
            n = per_day * LEARNED_DAYS
            learned = (
                learned_levels([n], [round(n * BAD)], rule.p1[0], rule.learn_confidence)
                if n >= rule.learn_min
                else None
            )
            known = [Bernoulli(BAD, p1) for p1 in rule.p1]
            out.append(_row(per_day, keys, "known: .100", known, budget_per_day))
            if per_day > 1:
                out.append(_row(per_day, keys, f"known: .100, rho = {RHO}", known, budget_per_day, RHO))
            if learned is None:
                none: dict[int, float | None] = dict.fromkeys(HORIZONS_DAYS)
                name = f"learned: {n} answers in {LEARNED_DAYS} days, {rule.learn_min} wanted"
                out.append(Reach(per_day, keys, name, armed=False, by_days=none, within_last=None))
                continue
            p0, p1 = float(learned.p0[0, 0]), float(learned.p1[0, 0, 0])
            changes = [Bernoulli(p0, p1), *(Bernoulli(p0, one) for one in rule.p1[1:])]
            name = f"learned from {n:,}: at most {p0:.3f}"
            out.append(_row(per_day, keys, name, changes, budget_per_day))
    return out


def _row(
    per_day: int, keys: int, baseline: str, changes: list[Bernoulli], budget_per_day: float, rho: float = 0.0
) -> Reach:
    """Return what is found; with a day effect by the smallest change alone, which has its part of the budget."""
    part = 1 / len(changes)
    if rho:
        found = day_finder(changes[0], rho, per_day, budget_per_day * part, PANE_MS).findable()
    else:
        found = answers_finder([(one, part) for one in changes], per_day, budget_per_day, PANE_MS).findable()
    return Reach(per_day, keys, baseline, armed=True, by_days=found.by_days, within_last=found.within_last)
