"""What learning a baseline costs, beside a CUSUM that learned from the same number of answers."""

from functools import partial
from math import log

import msgspec
import numpy as np
from scipy.stats import binom

from deploy.simulation.delays import (
    LEARNED,
    MOST,
    MOST_LEARNED,
    PATHS,
    SPEEDS,
    WARM,
    WITHIN,
    coin,
    false_alarms,
    ours,
)  # fmt: skip
from deploy.simulation.null_answers import learned_levels
from deploy.simulation.promised import rng_of
from deploy.simulation.rivals import Cusum, Threshold, delay
from deploy.simulation.twin import Levels, known
from streams.core.detectors.cusum import BernoulliCusum, reference_value


class Knowledge(msgspec.Struct, frozen=True, kw_only=True):
    """One change at 100 answers a day with a baseline that was learned: ours and a CUSUM that learned from the same."""

    change: str
    learned_from: int
    confidence: float
    ratio: float
    """False alarms by promised ones."""
    alarms: int
    ours: float | None
    known: float
    """Ours with the true baseline, at the same budget."""
    cusum: float

    @property
    def within(self) -> bool:
        """Tell whether ours is within 15 % and one pane of the CUSUM."""
        return self.ours is not None and self.ours <= WITHIN * min(self.cusum, self.ours) + 1


def of_knowledge(p0: float, p1: float, seed: int, size: float) -> list[Knowledge]:
    """Return rows for baselines learned from 200, 1,000 and 5,000 answers, with several confidences of the bound."""
    rng, speed, keys, out = rng_of(seed, f"knowledge {p0} {p1}"), SPEEDS[0], 1000, []
    exact = ours(rng, speed, p0, p1, known(p0, p1, PATHS), averaged=False, most=MOST).mean
    for many in LEARNED:
        bad = np.maximum(1, rng.binomial(many, p0, keys))
        for confidence in (0.999, 0.95, 0.8):
            levels = learned_levels([many] * keys, bad.tolist(), p1, confidence)
            alarms, answers = false_alarms(rng, speed, p0, levels, round(3_000_000 * size), averaged=False)
            few = Levels(levels.p0[:, :300], levels.p1[:, :, :300])
            found = ours(rng, speed, p0, p1, few, averaged=False, most=MOST_LEARNED).mean
            limit = _limit(p0, p1, many, max(1, alarms) / answers)
            out.append(Knowledge(
                change=f"{p0:.2f} -> {p1:.2f}", learned_from=many, confidence=confidence,
                ratio=alarms * speed.every / answers, alarms=alarms, ours=found, known=exact or MOST,
                cusum=_plug_in(rng, p0, p1, many, limit),
            ))  # fmt: skip
    return out


def _sought(share: float, p1: float) -> float:
    return max(p1, share + 0.03)


def _limit(p0: float, p1: float, many: int, rate: float) -> float:
    """Return the limit at which CUSUMs with the plain share of `many` answers alarm at `rate` on average, exactly."""
    counts = np.arange(1, many + 1)
    chances = binom.pmf(counts, many, p0)
    kept = np.flatnonzero(chances > 1e-6)
    kept = kept[:: max(1, len(kept) // 60)]
    shares, chances = counts[kept] / many, chances[kept] / chances[kept].sum()

    def realised(limit: float) -> float:
        return float(sum(
            chance / _exact_arl(float(share), _sought(float(share), p1), limit, p0)
            for share, chance in zip(shares, chances, strict=True)
        ))  # fmt: skip

    low, high = 0.5, 60.0
    while high - low > 0.01:
        middle = (low + high) / 2
        low, high = (middle, high) if realised(middle) > rate else (low, middle)
    return high


def _exact_arl(p0: float, p1: float, limit: float, truth: float) -> float:
    per_step = log(p1 / p0) - log((1 - p1) / (1 - p0))
    m = max(2, round(1 / reference_value(p0, p1)))
    return min(1e12, BernoulliCusum(m, True, max(1, round(limit * m / per_step))).arl(truth))  # noqa: FBT003 - worse


def _plug_in(rng: np.random.Generator, p0: float, p1: float, many: int, limit: float) -> float:
    share = np.maximum(1, rng.binomial(many, p0, PATHS)) / many
    sought = np.maximum(p1, share + 0.03)
    base = np.log((1 - sought) / (1 - share))
    make = partial(Cusum, PATHS, np.log(sought / share) - base, base)
    return delay(make, Threshold(limit, limit, 1.0), coin(rng, p0), coin(rng, p1), WARM, 4 * MOST)
