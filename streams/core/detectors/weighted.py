"""The weighted Shiryaev-Roberts statistic of one key, for several changes worth detecting.

For each change j with its weight pi_j (sum 1): R_j <- (R_j + pi_j * w) * LR_j(pane), alarm when the sum reaches 1, then
all are 0 again. As long as each LR has mean <= 1 while nothing has changed, the sum minus the injected w is a
supermartingale: alarms never exceed, in expectation, what w has added, for any rates and any births and deaths of keys.

Quiet panes only add w. They are taken in one step, one multiplication for the run, never repeated addition, so that
live, replay and backtest agree to the bit as long as all settle at the same panes.

Source: Roberts 1966; Shiryaev 1963; weights as in Pollak 1987, "Average run lengths of an optimal method".
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import exp
from typing import Any, NamedTuple

from schemas.errors import ContractError
from schemas.windows import WEEK_MS

ALARM_AT = 1.0
_MOST_LOG = 700.0  # exp stays finite
_MOST = 1e300


def weight(budget_per_week: float, pane_ms: int, share: float) -> float:
    """Return w: what a pane adds to the statistic of a key that has `share` of the rule's budget; shares sum to 1."""
    return budget_per_week * pane_ms / WEEK_MS * share


class Ratio(NamedTuple):
    """The log likelihood ratio of a pane for one change."""

    whole: float
    """If the change came before the pane."""
    inside: float | None = None
    """If it came inside: log of the mean over where (order_average.py); None: the budget comes before the pane."""


@dataclass(slots=True)
class Weighted:
    """R_j of each change as of pane `settled`; what quiet panes have added since is only in the count of panes."""

    shares: tuple[float, ...]
    """pi_j, summing to 1: part of the rule, not of the state."""
    settled: int
    """Pane end, ms."""
    r: list[float] = field(default_factory=list)
    spent: float = 0.0
    """The budget injected since the start, in expected false alarms; restarts do not give it back."""

    def __post_init__(self) -> None:
        if not self.shares or min(self.shares) <= 0 or abs(sum(self.shares) - 1) > 1e-9:
            raise ContractError(
                "detector_shares", f"the weights of the changes must be above 0 and sum to 1: {self.shares}"
            )
        self.r = self.r or [0.0] * len(self.shares)

    @property
    def total(self) -> float:
        """Return the statistic: an alarm at 1."""
        return sum(self.r)

    def _quiet(self, pane: int, pane_ms: int) -> int:
        panes, off_grid = divmod(pane - self.settled, pane_ms)
        if panes < 0 or off_grid:
            raise ContractError(
                "detector_pane", f"pane {pane} does not follow {self.settled} on the grid of {pane_ms} ms"
            )
        return panes

    def settle(self, pane: int, pane_ms: int, w: float) -> None:
        """Take the quiet panes up to and with `pane`; needed before w changes."""
        added = w * self._quiet(pane, pane_ms)
        self.r = [min(_MOST, r + share * added) for r, share in zip(self.r, self.shares, strict=True)]
        self.spent += added
        self.settled = pane

    def update(self, pane: int, pane_ms: int, w: float, ratios: Sequence[Ratio]) -> float:
        """Take `pane` with its evidence, one ratio a change, and return the statistic; huge values are cut to finite."""
        panes = self._quiet(pane, pane_ms)
        if panes == 0:
            raise ContractError("detector_pane", f"pane {pane} was taken before: each pane counts once")
        added, quiet = w * panes, w * (panes - 1)
        after = []
        for before, share, (whole, inside) in zip(self.r, self.shares, ratios, strict=True):
            if inside is None:
                r = (before + share * added) * exp(min(_MOST_LOG, whole))
            else:
                r = (before + share * quiet) * exp(min(_MOST_LOG, whole)) + share * w * exp(min(_MOST_LOG, inside))
            after.append(min(_MOST, r))
        self.r = after
        self.spent += added
        self.settled = pane
        return sum(after)

    def spent_at(self, pane: int, pane_ms: int, w: float) -> float:
        """Return the budget injected up to and with `pane`, without settling."""
        return self.spent + w * self._quiet(pane, pane_ms)

    def leading(self) -> int:
        """Return the index of the change that the evidence supports most, the first among equals."""
        return max(range(len(self.r)), key=self.r.__getitem__)

    def restart(self, pane: int) -> None:
        """Begin again at 0 after `pane`; panes not settled before it are neither added nor spent."""
        self.r, self.settled = [0.0] * len(self.shares), pane

    def freeze(self) -> dict[str, Any]:
        """Return the state as plain values."""
        return {"r": list(self.r), "settled": self.settled, "spent": self.spent}

    def thaw(self, frozen: dict[str, Any]) -> None:
        """Take the state of `freeze`; raise ContractError if it is that of other changes."""
        if len(frozen["r"]) != len(self.shares):
            raise ContractError(
                "detector_state",
                f"the state knows {len(frozen['r'])} changes, the rule {len(self.shares)}",
                "a changed rule has a new definition and starts cold",
            )
        self.r, self.settled, self.spent = list(frozen["r"]), frozen["settled"], frozen["spent"]
