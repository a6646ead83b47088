"""Alarm rule definitions: what is watched, against which baseline, within which budget of false alarms."""

from enum import StrEnum
from typing import Literal

import msgspec

from schemas.metrics import definition_hash
from schemas.windows import DAY_MS, HOUR_MS


class RuleKind(StrEnum):
    """What a rule notices."""

    DROP = "drop"
    """The bad share of a metric rose: satisfaction fell."""
    RECOVERY = "recovery"
    """The bad share of a metric fell below its baseline."""
    RISE = "rise"
    """A share of events rose: complaints, remarks, a recurring topic."""
    SCORE = "score"
    """The distribution of scores moved to the bad end."""
    COUNT_DROP = "count_drop"
    """Fewer events than the profile of weekday and hour expects: sales."""
    COUNT_RISE = "count_rise"
    SILENCE = "silence"
    """Hardly any events where many are expected: a channel fell silent."""
    BURN = "burn"
    """The bad share burns the error budget of an objective, over a long and a short window."""
    DISPUTE = "dispute"
    """At once, for each dispute."""
    LEGAL_THREAT = "legal_threat"
    """At once, for each event that the edge marked as a legal threat."""


IMMEDIATE = frozenset({RuleKind.DISPUTE, RuleKind.LEGAL_THREAT})
"""Kinds without statistics: stage 1 raises them."""
COUNTS = frozenset({RuleKind.COUNT_DROP, RuleKind.COUNT_RISE, RuleKind.SILENCE})
"""Kinds that watch how many events come."""


RISES = frozenset({RuleKind.RECOVERY, RuleKind.RISE, RuleKind.COUNT_RISE}) | IMMEDIATE
"""Kinds whose alarm says that the watched value went up."""
FACTORS = {RuleKind.COUNT_DROP: (0.5,), RuleKind.COUNT_RISE: (2.0,), RuleKind.SILENCE: (0.05,)}
"""The changes that a kind on counts seeks by itself."""


class BaselineKind(StrEnum):
    LEARNED = "learned"
    FIXED = "fixed"


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One alarm rule. Shares are bad shares; the budget is in expected false alarms a week over all keys together."""

    name: str
    owner: str
    kind: RuleKind
    severity: str
    metric: str = ""
    dimension: str = "touchpoint"
    strata: Literal["channel", "children"] = "channel"
    """`children`: a parent multiplies the ratios of the keys below it, each against its own baseline."""
    direction: str = "down"
    """Of score: `up` looks for better scores. The other kinds say themselves where they look (`way`)."""
    baseline: BaselineKind = BaselineKind.LEARNED
    p0: float | None = None
    p1: tuple[float, ...] = (0.25,)
    """Bad shares worth detecting, with equal weights; each at least p0 + `p1_margin` (a recovery: at most p0 less it).

    Of rise: shares of the counted events. Of score: 0 is the mean at the best end of the scale, 1 at the worst.
    """
    p1_margin: float = 0.03
    factors: tuple[float, ...] = ()
    """Of counts: the changes worth detecting, as factors of the expected count, with equal weights; see `sought`."""
    expected_per_day: float | None = None
    """Of counts with a fixed baseline."""
    objective: float | None = None
    """Of a burn rule: the share that should be good."""
    budget_per_week: float = 1.0
    shares: Literal["equal", "rate"] = "equal"
    """How the budget is shared among keys, fixed at each renewal."""
    grouping: Literal["grouped", "averaged"] = "grouped"
    """`averaged`: the order-averaged form, sooner where a pane holds many answers."""
    profile: Literal["none", "weekday_hour"] = "none"
    """Of counts and of shares of answers with a learned baseline: each hour of the week (UTC) against its own level."""
    day_effect: float | Literal["learned"] | None = None
    """Of shares: the correlation of two answers of a day, 0 where days are alike, or `learned` from the days; see `days`."""
    learn_lag_ms: int = 7 * DAY_MS
    learn_min: int = 200
    learn_confidence: float = 0.999
    hold_ms: int = 0
    """How long an alarm stays pending, with the statistic above its threshold, before it opens."""
    resolve_min_answers: int = 30
    cooldown_ms: int = 6 * HOUR_MS
    """An alarm of the same key within this time after its resolution reopens the episode."""
    flap_transitions: int = 4
    flap_window_ms: int = DAY_MS

    @property
    def way(self) -> str:
        """Return where the watched value goes in an alarm: "down" or "up"."""
        if self.kind is RuleKind.SCORE:
            return self.direction
        return "up" if self.kind in RISES else "down"

    @property
    def reads(self) -> str:
        """Return the dimension of the series that it reads."""
        return "touchpoint" if self.strata == "children" else self.dimension

    @property
    def sought(self) -> tuple[float, ...]:
        """Return the factors of a rule on counts, where none are given those of its kind."""
        return self.factors or FACTORS[self.kind]

    @property
    def days(self) -> float | Literal["learned"]:
        """Return the day effect, where none is stated learned with a learned baseline and 0 with a fixed one."""
        if self.day_effect is not None:
            return self.day_effect
        return "learned" if self.baseline is BaselineKind.LEARNED else 0.0

    @property
    def definition_hash(self) -> str:
        """Return 16 hex digits that name this definition."""
        return definition_hash(self, "owner")[:16]
