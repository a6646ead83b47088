"""What the armed keys of a backtest can find within a day, a week and a month, at the rates that their answers had."""

from deploy.backtest import Backtest
from schemas.catalogue import Catalogue
from schemas.rules import RuleKind
from schemas.windows import DAY_MS
from streams.core.detectors.found_within import LAST_DAYS, answers_finder
from streams.core.detectors.likelihood import Bernoulli

SHARES = frozenset({RuleKind.DROP, RuleKind.RISE, RuleKind.RECOVERY})
MOST_KEYS = 30
"""Keys that are looked at by rule, those with most answers: each costs a tenth of a second."""
NAMES = {1: "1 day", 7: "1 week", 30: "1 month"}
LAST = f"{LAST_DAYS} days"


def findable(catalogue: Catalogue, test: Backtest, *, span_ms: int) -> dict[tuple[str, str], dict[str, float | None]]:
    """Return (rule, key) -> horizon -> the bad share nearest to normal that is found within it; None: none is.

    Only rules that watch a share of their own keys; several strata count as one with their mean baseline.
    """
    rules = {rule.name: rule for rule in catalogue.alarm if rule.kind in SHARES and rule.strata == "channel"}
    rates: dict[str, list[tuple[float, str, Bernoulli, float]]] = {}
    for one in test.engine.armed:
        rule = rules.get(one.rule)
        if rule is None or not span_ms:
            continue
        series = (catalogue.named(rule.metric).identity, rule.dimension, one.key)
        per_day = test.fresh[series] * DAY_MS / span_ms
        levels = list(one.strata.values())
        p0, p1 = (sum(level[at] for level in levels) / len(levels) for at in (0, 1))
        budget_per_day = one.weight * DAY_MS / test.pane_ms
        if per_day and budget_per_day:
            rates.setdefault(one.rule, []).append((per_day, one.key, Bernoulli(p0, p1), budget_per_day))
    out: dict[tuple[str, str], dict[str, float | None]] = {}
    for name, keys in rates.items():
        for per_day, key, change, budget_per_day in sorted(keys, key=lambda each: -each[0])[:MOST_KEYS]:
            found = answers_finder([(change, 1.0)], per_day, budget_per_day, test.pane_ms).findable()
            out[name, key] = {NAMES[days]: share for days, share in found.by_days.items()} | {LAST: found.within_last}
    return out
