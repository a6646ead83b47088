"""Log likelihood ratios of a pane's counts: mean <= 1 while nothing has changed, and the null is a bound.

Each ratio grows with what it looks for, so its mean stays at most 1 not only at the baseline but wherever the truth is
on its good side: fewer bad answers than p0, better scores, fewer counts than expected. All are linear in the counts:
the ratio of a pane is the product of the ratios of its answers, and panes may be cut anywhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log, log1p

from schemas.errors import CatalogueError
from streams.core.detectors.order_average import log_order_average
from streams.core.detectors.weighted import Ratio

_FEW = 8
"""Answers in a pane below which their order makes no measurable difference."""


def _demand(holds: bool, detail: str) -> None:  # noqa: FBT001 - a condition in front of its sentence
    if not holds:
        raise CatalogueError("impossible_change", detail, "choose a change that the baseline leaves room for")


@dataclass(frozen=True, slots=True)
class Bernoulli:
    """The bad share p1 against p0: p1 > p0 looks for worse (null: the share is at most p0), p1 < p0 for better."""

    p0: float
    p1: float

    def __post_init__(self) -> None:
        _demand(0 < self.p0 < 1 and 0 < self.p1 < 1 and self.p0 != self.p1, f"no change from {self.p0} to {self.p1}")

    @property
    def log_bad(self) -> float:
        """Return the log ratio of one bad answer."""
        return log(self.p1 / self.p0)

    @property
    def log_good(self) -> float:
        """Return the log ratio of one good answer."""
        return log((1 - self.p1) / (1 - self.p0))

    def log_ratio(self, n: int, bad: int) -> float:
        """Return the log likelihood ratio of `bad` among `n` answers. Source: Wald 1945."""
        return bad * self.log_bad + (n - bad) * self.log_good

    def kinds(self, n: int, bad: int) -> list[tuple[float, int]]:
        """Return (log ratio of an answer, how many) for the order average."""
        return [(self.log_bad, bad), (self.log_good, n - bad)]


@dataclass(frozen=True, slots=True)
class Tilted:
    """A shift of the mean of ordered scores: p1_i proportional to p0_i * exp(tilt * score_i).

    scores: value of each cell (1..5; -1, 0, 1 for NPS). Negative tilt looks for worse: the null is every distribution
    that is stochastically at least as good as p0; positive tilt the other way. A cell that the baseline never saw has a
    finite ratio too.

    Source: exponential tilting, Siegmund 1985, "Sequential Analysis", ch. 2; of all shifts of the mean by that much it is
    the one closest to p0 in Kullback-Leibler information.
    """

    scores: tuple[float, ...]
    p0: tuple[float, ...]
    tilt: float
    log_mean: float
    """log E0[exp(tilt * score)]"""

    @property
    def p1(self) -> tuple[float, ...]:
        """Return the distribution after the change."""
        return tuple(p * exp(self.log_cell(cell)) for cell, p in enumerate(self.p0))

    def log_cell(self, cell: int) -> float:
        """Return the log ratio of one answer in `cell`."""
        return self.tilt * self.scores[cell] - self.log_mean

    def log_ratio(self, counts: Sequence[int]) -> float:
        """Return the log likelihood ratio of the counts by cell."""
        weighed = sum([count * score for count, score in zip(counts, self.scores, strict=True)])
        return self.tilt * weighed - sum(counts) * self.log_mean

    def kinds(self, counts: Sequence[int]) -> list[tuple[float, int]]:
        """Return (log ratio of an answer, how many) for the order average."""
        return [(self.log_cell(cell), count) for cell, count in enumerate(counts)]


def tilted(scores: Sequence[float], p0: Sequence[float], shift: float) -> Tilted:
    """Return the tilt that moves the mean by `shift` (below 0: worse); p0 sums to 1.

    Raises CatalogueError when no tilt can: the mean cannot pass the last score that p0 knows.
    """
    known = [score for score, p in zip(scores, p0, strict=True) if p > 0]
    _demand(min(p0) >= 0 and abs(sum(p0) - 1) < 1e-9, f"shares must be 0..1 and sum to 1: {tuple(p0)}")
    mean = _tilted_mean(scores, p0, 0.0)
    wanted = mean + shift
    _demand(shift != 0 and min(known) < wanted < max(known), f"the mean {mean:.3f} cannot move by {shift}")
    span = 1 / (max(known) - min(known))
    while (_tilted_mean(scores, p0, -span) > wanted) or (_tilted_mean(scores, p0, span) < wanted):
        span *= 2
    low, high = -span, span
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if _tilted_mean(scores, p0, middle) < wanted else (low, middle)
    tilt = (low + high) / 2
    most = max(tilt * score for score in known)
    total = sum(p * exp(tilt * score - most) for score, p in zip(scores, p0, strict=True) if p > 0)
    return Tilted(tuple(scores), tuple(p0), tilt, most + log(total))


def _tilted_mean(scores: Sequence[float], p0: Sequence[float], tilt: float) -> float:
    most = max(tilt * score for score, p in zip(scores, p0, strict=True) if p > 0)
    parts = [(p * exp(tilt * score - most), score) for score, p in zip(scores, p0, strict=True) if p > 0]
    return sum(part * score for part, score in parts) / sum(part for part, _ in parts)


@dataclass(frozen=True, slots=True)
class Counts:
    """Counts that rise (factor > 1) or fall (factor < 1) against their expectation, with variance / mean = dispersion.

    Negative binomial with mean mu and size mu / (dispersion - 1); after the change the same size and factor * mu;
    dispersion 1 is Poisson. Rise: the null is any mean up to mu with any dispersion up to the stated one. Fall: any mean
    from mu on, dispersion as stated or less. mu is the rate times the exposure, wherever the exposure comes from.

    Source: negative binomial likelihood ratio of Hoehle and Paul 2008, "Count data regression charts".
    """

    factor: float
    dispersion: float = 1.0

    def __post_init__(self) -> None:
        _demand(self.factor > 0 and self.factor != 1, f"no change by the factor {self.factor}")
        _demand(self.dispersion >= 1, f"counts cannot have the dispersion {self.dispersion} < 1 here")

    def _slopes(self, factor: float) -> tuple[float, float]:
        """Return (log ratio of one count, what one expected count takes away)."""
        over = self.dispersion - 1
        extra = log1p((factor - 1) * over / self.dispersion)
        return log(factor) - extra, extra / over if over > 1e-9 else (factor - 1)

    def log_ratio(self, seen: int, expected: float) -> float:
        """Return the log likelihood ratio of `seen` counts where `expected` were."""
        up, down = self._slopes(self.factor)
        return seen * up - expected * down

    def log_ratio_after(self, seen: int, expected: float, t: float) -> float:
        """Return the log ratio if the change holds in the share t of the pane: the mean is mu * (1 + t (factor - 1))."""
        up, down = self._slopes(1 + t * (self.factor - 1))
        return seen * up - expected * down


def order_averaged(kinds: Sequence[tuple[float, int]]) -> Ratio:
    """Return the ratio of a pane's answers, of all strata, with the budget spread between them; at least one answer.

    Below 8 answers it is the plain form: both keep the promise, the delay differs by less than 0.1 answers.
    """
    whole = sum([log_ratio * count for log_ratio, count in kinds])
    few = sum([count for _, count in kinds]) < _FEW
    return Ratio(whole) if few else Ratio(whole, log_order_average(kinds))


def mixture(shares: Sequence[float], logs: Sequence[float]) -> float:
    """Return log sum(pi_j * LR_j): one ratio for all changes together, with mean <= 1 like its parts."""
    most = max(logs)
    return most + log(sum([share * exp(one - most) for share, one in zip(shares, logs, strict=True)]))
