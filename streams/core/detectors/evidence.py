"""What has been seen since the estimated change: the counts that an alarm shows."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Evidence:
    """The counts since the estimated change, by stratum.

    The estimate is the maximum-likelihood one: the pane after the last at which the cumulative likelihood ratio was at
    its minimum, that is where the current run of a CUSUM of log ratios above 0 began. A stratum's pair is whatever the
    rule counts: (n, bad), or (expected, seen); pairs add. Source: Page 1954; Hinkley 1971.
    """

    cumulated: float = 0.0
    """Log likelihood ratio of the run, above 0 while there is one."""
    change_pane: int | None = None
    occurred_first: int | None = None
    occurred_last: int | None = None
    strata: dict[str, tuple[float, float]] = field(default_factory=dict)

    def add(self, pane: int, log_lr: float, strata: dict[str, tuple[float, float]], first: int, last: int) -> None:
        """Take the evidence of a pane, its feedback given from `first` to `last`; forget all when the run has ended."""
        self.cumulated += log_lr
        if self.cumulated <= 0:
            self.forget()
            return
        if self.change_pane is None:
            self.change_pane = pane
        self.occurred_first = first if self.occurred_first is None else min(first, self.occurred_first)
        self.occurred_last = last if self.occurred_last is None else max(last, self.occurred_last)
        for stratum, (base, seen) in strata.items():
            held = self.strata.get(stratum, (0, 0))
            self.strata[stratum] = (held[0] + base, held[1] + seen)

    @property
    def totals(self) -> tuple[float, float]:
        """Return the pair summed over strata, in their order."""
        pairs = [pair for _, pair in sorted(self.strata.items())]
        return sum([base for base, _ in pairs]), sum([seen for _, seen in pairs])

    def forget(self) -> None:
        """Begin a new run."""
        self.cumulated = 0.0
        self.change_pane = self.occurred_first = self.occurred_last = None
        self.strata = {}

    def freeze(self) -> dict[str, Any]:
        """Return the state as plain values."""
        return {
            "cumulated": self.cumulated,
            "change_pane": self.change_pane,
            "occurred_first": self.occurred_first,
            "occurred_last": self.occurred_last,
            "strata": [[stratum, *pair] for stratum, pair in sorted(self.strata.items())],
        }

    def thaw(self, frozen: dict[str, Any]) -> None:
        """Take the state of `freeze`."""
        self.cumulated, self.change_pane = frozen["cumulated"], frozen["change_pane"]
        self.occurred_first, self.occurred_last = frozen["occurred_first"], frozen["occurred_last"]
        self.strata = {stratum: (base, seen) for stratum, base, seen in frozen["strata"]}
