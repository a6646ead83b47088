"""Null worlds that strain the assumptions: hours and customers of their own kind, and a mix that moves."""

import numpy as np

from deploy.simulation import answer_worlds as worlds
from deploy.simulation.answer_worlds import BAD, DAY, PER_DAY
from deploy.simulation.null_answers import EVERY, P1, RIVAL, Work, cell
from deploy.simulation.promised import Cell, rng_of
from deploy.simulation.twin import known
from streams.core.detectors.delay import Answers as Delay
from streams.core.detectors.likelihood import Bernoulli

LEVELS_KNOWN = "what a profile would be if it knew the levels"


def costs(p0: float, p1: float) -> str:
    """Say how long a rule with this baseline takes to find a bad share of .30."""
    return f"a bad share of .30 is found after {Delay(Bernoulli(p0, p1), 1 / EVERY).mean_delay(0.30):.0f} answers"


def profiled(seed: int, size: float) -> list[Cell]:
    """Return worlds whose volume, and then whose bad share too, follow a weekday and hour profile."""
    rng, keys, days = rng_of(seed, "profile"), 120, round(126 * size) // 7 * 7 or 7
    weights = worlds.week(worlds.OPEN, worlds.WEEKEND)
    flat = worlds.at_times(rng, weights, per_day=PER_DAY, keys=keys, days=days)
    w, lived = PER_DAY / DAY / EVERY, days * DAY
    even = worlds.judged(rng, flat, np.full(len(flat.key), BAD))
    out = [
        cell(
            "volume follows weekday and hour",
            "grouped",
            worlds.heard(even, keys, lived),
            known(BAD, P1, keys),
            w,
            lived,
        )
    ]
    hour = ((flat.pane - 1) // 360) % len(weights)
    for times in (2.0, 4.0):
        shares = worlds.profile_shares(weights, times)
        answers = worlds.judged(rng, flat, shares[hour])
        heard, least, most = worlds.heard(answers, keys, lived), float(shares.min()), float(shares.max())
        world = f"bad share {least:.3f} by day, {most:.3f} from 17 h on, as volume follows weekday and hour"
        out += [
            cell(world, "p0 = .10, the mean; p1 = .25", heard, known(BAD, P1, keys), w, lived, assumed=False,
                 note=costs(BAD, P1)),
            cell(world, "larger p1_margin: p1 = .40", heard, known(BAD, 0.40, keys), w, lived, assumed=False,
                 note=costs(BAD, 0.40)),
            cell(world, f"p0 = {most:.3f}, that of the evening", heard, known(most, P1, keys), w, lived,
                 note=costs(most, P1)),
        ]  # fmt: skip
        parts = answers._replace(stratum=worlds.evening(hour).astype(np.int64))
        out.append(cell(world, "the evening as a stratum of its own", worlds.heard(parts, keys, lived, 2),
                        known([least, most], [P1, P1], keys), w, lived, note=LEVELS_KNOWN))  # fmt: skip
    return out


def mix_shift(seed: int, size: float) -> list[Cell]:
    """Return strata with levels of their own whose share of the answers moves every other week."""
    out = []
    weeks = round(18 * size) // 2 * 2 or 2
    for what, levels, before, after in (
        ("two channels, .06 and .20", [0.06, 0.20], [0.8, 0.2], [0.2, 0.8]),
        ("ten children of one parent, .03 .. .25", np.linspace(0.03, 0.25, 10).tolist(),
         (np.geomspace(8, 1, 10) / np.geomspace(8, 1, 10).sum()).tolist(),
         (np.geomspace(1, 8, 10) / np.geomspace(1, 8, 10).sum()).tolist()),
    ):  # fmt: skip
        rng, keys, lived = rng_of(seed, f"mix {what}"), 120, weeks * 7 * DAY
        blank = worlds.at_times(rng, np.ones(24), per_day=PER_DAY, keys=keys, days=weeks * 7)
        answers = worlds.mixed(rng, blank, levels, np.array(before), np.array(after))
        pooled = float(np.dot(levels, before))
        sought = [max(P1, one + 0.03) for one in levels]
        w, world = PER_DAY / DAY / EVERY, f"the mix moves every other week: {what}"
        out += [
            cell(world, "strata, each against its own baseline", worlds.heard(answers, keys, lived, len(levels)),
                 known(levels, sought, keys), w, lived),
            cell(world, f"pooled, baseline {pooled:.3f} of the even weeks", worlds.heard(answers._replace(stratum=None),
                 keys, lived), known(pooled, P1, keys), w, lived, note=RIVAL),
        ]  # fmt: skip
    return out


def returning(seed: int, size: float) -> list[Cell]:
    """Return customers who answer 1 to 30 times, always of one opinion, with and without `one_per`."""
    rng, keys, days = rng_of(seed, "returning"), 120, round(126 * size) or 1
    everything, first = worlds.returning(rng, keys=keys, days=days, per_day=PER_DAY, spread_days=7.0)
    lived, world = days * DAY, "customers answer 1 to 30 times within a week, always of one opinion"
    levels, w = known(BAD, P1, keys), PER_DAY / DAY / EVERY
    return [
        cell(world, "every answer counts", worlds.heard(everything, keys, lived), levels, w, lived, assumed=False),
        cell(world, "one_per subject and week", worlds.heard(first, keys, lived), levels, w, lived),
    ]


def work() -> dict[str, Work]:
    """Return these worlds by name, in the order of the report."""
    return {"profile": profiled, "mix": mix_shift, "returning": returning}
