"""The weighted Shiryaev-Roberts statistic of one key, with quiet panes taken in one step.

R <- (R + w * panes) * LR(pane) at a pane with evidence. While nothing has changed, R minus the injected w is a
supermartingale as long as LR has mean <= 1: so alarms at R >= 1 never exceed, in expectation, what w has added.
"""

from dataclasses import dataclass
from math import exp, log

from schemas.windows import WEEK_MS

ALARM_AT = 1.0
_MOST_LOG = 700.0  # exp stays finite
_MOST = 1e300


def weight(budget_per_week: float, pane_ms: int, keys: int) -> float:
    """Return w: what a pane adds to the statistic of each of `keys` armed keys with equal shares of the budget."""
    return budget_per_week * pane_ms / WEEK_MS / keys


def log_ratio(n: int, bad: int, p0: float, p1: float) -> float:
    """Return the log likelihood ratio of `bad` among `n` answers for the bad share p1 against p0."""
    return bad * log(p1 / p0) + (n - bad) * log((1 - p1) / (1 - p0))


@dataclass(slots=True)
class Statistic:
    """R as of pane `settled`; what quiet panes have added since is in nobody's memory but in the count of panes."""

    r: float
    settled: int

    def settle(self, pane: int, pane_ms: int, w: float) -> None:
        """Take the quiet panes up to `pane`: one multiplication, never repeated addition."""
        self.r += w * ((pane - self.settled) // pane_ms)
        self.settled = pane

    def update(self, pane: int, pane_ms: int, w: float, log_lr: float) -> float:
        """Take `pane` with its evidence and return R; huge values are cut to finite ones."""
        self.settle(pane, pane_ms, w)
        self.r = min(_MOST, self.r * exp(min(_MOST_LOG, log_lr)))
        return self.r

    def restart(self, pane: int) -> None:
        """Begin again at 0 after `pane`."""
        self.r, self.settled = 0.0, pane


@dataclass(slots=True)
class Evidence:
    """The answers since the estimated change.

    The estimate is the maximum-likelihood one: the pane after the last at which the cumulative likelihood ratio was at
    its minimum, that is where the current run of a CUSUM of log ratios above 0 began. Source: Page 1954; Hinkley 1971.
    """

    cumulated: float
    change_pane: int | None
    occurred_first: int | None
    occurred_last: int | None
    strata: dict[str, tuple[int, int]]
    """stratum -> (n, bad)"""

    def add(self, pane: int, log_lr: float, strata: dict[str, tuple[int, int]], first: int, last: int) -> None:
        """Take the evidence of a pane; forget all when the run has ended."""
        self.cumulated += log_lr
        if self.cumulated <= 0:
            self.forget()
            return
        if self.change_pane is None:
            self.change_pane = pane
        self.occurred_first = first if self.occurred_first is None else min(first, self.occurred_first)
        self.occurred_last = last if self.occurred_last is None else max(last, self.occurred_last)
        for stratum, (n, bad) in strata.items():
            held = self.strata.get(stratum, (0, 0))
            self.strata[stratum] = (held[0] + n, held[1] + bad)

    def forget(self) -> None:
        """Begin a new run."""
        self.cumulated = 0.0
        self.change_pane = self.occurred_first = self.occurred_last = None
        self.strata = {}


def no_evidence() -> Evidence:
    """Return an empty run."""
    return Evidence(0.0, None, None, None, {})
