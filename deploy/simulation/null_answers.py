"""Null worlds of answers: nothing gets worse, so every alarm is a false one. Their number is held against the budget."""

from collections.abc import Callable, Sequence
from functools import partial

import msgspec
import numpy as np

from deploy.simulation import answer_worlds as worlds
from deploy.simulation.answer_worlds import BAD, DAY, PER_DAY, Answers
from deploy.simulation.covered import Floats
from deploy.simulation.promised import Cell, rng_of
from deploy.simulation.twin import Flags, Heard, Levels, Twin, known, play, replayed, spoken
from schemas.catalogue import load
from schemas.metrics import Metric
from schemas.rules import Rule
from streams.core.bins import Bins
from streams.core.detectors.weighted import ALARM_AT
from streams.core.readings import Settlement
from streams.core.watching.bad_share import BadShare, Share

EVERY = 2000
"""Answers for which one false alarm is promised: a busy key with a short budget."""
P1 = 0.25
LEARNED_DAYS = 29
"""Days within reach of a baseline: 36, less the lag of 7."""
RIVAL = "not the product: for comparison"
Work = Callable[[int, float], list[Cell]]
"""(seed, size: 1 for the whole report) -> cells."""


def packaged() -> tuple[Rule, Metric, Bins]:
    """Return the rule satisfaction_drop of the packaged catalogue, its metric and the metric's bins."""
    catalogue = load()
    rule = next(one for one in catalogue.alarm if one.name == "satisfaction_drop")
    metric = catalogue.named(rule.metric)
    plans = Settlement(catalogue, pane_ms=10_000, provisional_step_ms=60_000).plans
    return rule, metric, plans[metric.identity].bins


def cell(
    world: str, setting: str, heard: Heard, levels: Levels, w: Floats | float, lived: Floats | float, *,
    averaged: bool = False, assumed: bool = True, note: str = "",
) -> Cell:  # fmt: skip
    """Play a world and return its cell; lived: panes by key (or of each), which with w make the promise."""
    keys = heard.at.shape[1]
    alarms = play(heard, spoken(heard, levels, averaged=averaged), Twin(keys, w, shares_of(levels)))
    checked = replayed(heard, levels, w, alarms, averaged=averaged)
    promised = float(np.sum(np.broadcast_to(w * lived, keys)))
    return told(world, setting, heard, alarms, promised, checked, assumed=assumed, note=note)


def shares_of(levels: Levels) -> tuple[float, ...]:
    """Return equal weights of the changes."""
    return (1 / len(levels.p1),) * len(levels.p1)


def told(
    world: str, setting: str, heard: Heard, alarms: Flags, promised: float, checked: int = 0, *, assumed: bool = True,
    note: str = "",
) -> Cell:  # fmt: skip
    """Return the cell of a world that was played."""
    return Cell(
        world=world, setting=setting, promised=promised, alarms=int(alarms.sum()), panes=int(heard.loud.sum()),
        answers=int(heard.n.sum()), checked=checked, assumed=assumed, note=note,
    )  # fmt: skip


RATES = (
    ("1 answer a day", 1 / DAY), ("10 a day", 10 / DAY), ("100 a day", 100 / DAY), ("1 a minute", 1 / 6),
    ("10 a minute", 10 / 6), ("100 a minute", 100 / 6), ("1,000 a minute", 1000 / 6),
)  # fmt: skip


def independent(name: str, rate: float, seed: int, size: float) -> list[Cell]:
    """Independent answers with a bad share of .10, which the rule knows."""
    rng, keys = rng_of(seed, f"independent {name}"), 500
    w = min(rate / EVERY, 1 / 100)
    each = max(1.0, rate / -np.expm1(-rate))  # answers in a pane that has any
    rows = round(size * max(300_000, 1_500_000 / each) / keys)
    heard, _ = worlds.steady(rng, rate=rate, bad=BAD, keys=keys, rows=rows)
    levels, lived = known(BAD, P1, keys), heard.at[-1].astype(float)
    world = f"independent answers, {name}"
    out = [cell(world, "grouped", heard, levels, w, lived)]
    if rate > 1:
        out.append(cell(world, "order-averaged", heard, levels, w, lived, averaged=True))
    return out


def changes_together(seed: int, size: float) -> list[Cell]:
    """Return a rule that looks for three changes at once: they share the budget."""
    rng, keys = rng_of(seed, "three changes"), 500
    heard, _ = worlds.steady(rng, rate=100 / DAY, bad=BAD, keys=keys, rows=round(3000 * size))
    p1 = np.repeat(np.array([0.15, 0.25, 0.45])[:, None, None], keys, axis=2)
    levels = Levels(np.full((1, keys), BAD), p1)
    w = 100 / DAY / EVERY
    return [cell("independent answers, 100 a day", "three changes: .15, .25, .45", heard, levels, w, heard.at[-1])]


def key_counts(count: int, per_day: float, seed: int, size: float) -> list[Cell]:
    """Return one rule over 1, 20 or 500 keys, the rates of which lie up to tenfold apart: one alarm a day over all."""
    rng = rng_of(seed, f"keys {count}")
    days = round(500 * size)
    spans = max(1, min(days // 60, 100 // count))  # one key for long is played as several stretches
    long = max(1, days // spans)
    rates = np.tile(np.geomspace(0.3, 3.0, count) if count > 1 else np.ones(1), spans)
    rates = rates / rates.mean() * per_day
    keys = count * spans
    many = rng.poisson(rates * long)
    key = np.repeat(np.arange(keys), many)
    pane = rng.integers(1, long * DAY + 1, len(key))
    answers = worlds.judged(rng, Answers(key, pane, np.zeros(len(key), np.int64)), np.full(len(key), BAD))
    heard, levels = worlds.heard(answers, keys, long * DAY), known(BAD, P1, keys)
    world = f"{count} key{'s' if count > 1 else ''}, {per_day:g} answers a day each, 1 false alarm a day over all"
    out = [cell(world, "equal shares", heard, levels, 1 / DAY / count, long * DAY)]
    if count > 1:
        by_rate = rates / rates.mean() / count / DAY
        out.append(cell(world, "shares by rate", heard, levels, by_rate, long * DAY))
    return out


def campaign(seed: int, size: float) -> list[Cell]:
    """Return one week in four with ten times the answers."""
    rng, keys, days = rng_of(seed, "campaign"), 60, max(28, round(84 * size) // 28 * 28)
    weights = np.concatenate((np.ones(21 * 24), np.full(7 * 24, 10.0)))
    mean = float(weights.mean()) * PER_DAY
    blank = worlds.at_times(rng, weights, per_day=mean, keys=keys, days=days)
    heard = worlds.heard(worlds.judged(rng, blank, np.full(len(blank.key), BAD)), keys, days * DAY)
    levels, lived, world = known(BAD, P1, keys), days * DAY, "a campaign: one week in four with 10 times the answers"
    w = PER_DAY / DAY / EVERY * 2
    counted = heard._replace(at=np.where(heard.loud, np.cumsum(heard.n.sum(axis=0), axis=0), 0))
    by_answer = 1 / EVERY * 2
    alarms = play(counted, spoken(counted, levels), Twin(keys, by_answer))
    return [
        cell(world, "budget by time", heard, levels, w, lived),
        told(world, "budget by answer, set in usual weeks", heard, alarms, w * lived * keys,
             note=RIVAL),
    ]  # fmt: skip


def appearing(seed: int, size: float) -> list[Cell]:
    """Return keys that come and go: they grow from 10 to about 90 and live for 30 days on average."""
    rng, days = rng_of(seed, "appearing"), round(500 * size) or 30
    born = np.concatenate((np.zeros(10), np.sort(rng.random(rng.poisson(days * 3.0)) * days)))
    died = np.minimum(born + rng.exponential(30.0, len(born)), days)
    keys, lived = len(born), days * DAY
    many = rng.poisson(20.0 * (died - born))
    key = np.repeat(np.arange(keys), many)
    pane = ((born[key] + rng.random(len(key)) * (died - born)[key]) * DAY).astype(np.int64) + 1
    answers = worlds.judged(rng, Answers(key, pane, np.zeros(len(key), np.int64)), np.full(len(key), BAD))
    heard, levels = worlds.heard(answers, keys, lived), known(BAD, P1, keys)
    midnight = np.arange(days)[:, None]
    alive = (born <= midnight) & (died > midnight)
    many_alive = np.maximum(1, alive.sum(axis=1, keepdims=True))
    shared = renewed_daily(heard, levels, alive, alive / DAY / many_alive)
    fixed = renewed_daily(heard, levels, alive, alive / DAY / 10)
    world = "keys appear and vanish: 10 grow to about 90, 30 days each; 20 answers a day, 1 false alarm a day over all"
    return [
        told(world, "shares fixed at each renewal", heard, shared, days, note="checked through the engine, below"),
        told(world, "a tenth of the budget for every key, as on the first day", heard, fixed, days, note=RIVAL),
    ]


def renewed_daily(heard: Heard, levels: Levels, watched: Flags, weights: Floats) -> Flags:
    """Play keys that are watched, with these weights, from each midnight to the next; [days, keys] both.

    A key that was not watched the day before begins at 0.
    """
    said, loud, alarms = spoken(heard, levels), heard.loud, np.zeros(heard.at.shape, bool)
    keys, last = heard.at.shape[1], len(heard.at) - 1
    r, row, everyone = np.zeros(keys), np.zeros(keys, np.int64), np.arange(keys)
    for day in range(len(watched)):
        r[~watched[day] | ~watched[max(0, day - 1)]] = 0.0
        at = np.minimum(row, last)
        speaks = (row <= last) & loud[at, everyone] & (heard.at[at, everyone] <= (day + 1) * DAY)
        here = np.flatnonzero(watched[day] | speaks)
        twin = Twin(len(here), weights[day, here])
        twin.r[0], twin.settled[:] = r[here], day * DAY
        while True:
            at = np.minimum(row[here], last)
            due = (row[here] <= last) & loud[at, here] & (heard.at[at, here] <= (day + 1) * DAY)
            if not due.any():
                break
            hears = due & watched[day, here]
            total = twin.hear(heard.at[at, here], hears, said.whole[:, at, here], None, None)
            alarm = hears & (total >= ALARM_AT) & (said.nearest[at, here] > 0)
            twin.restart(alarm)
            alarms[at[alarm], here[alarm]] = True
            row[here] += due
        twin.renew((day + 1) * DAY, twin.w, fresh=np.zeros(len(here), bool))
        r[here] = twin.r[0]
    return alarms


def learned(answers_to_learn: int, seed: int, size: float) -> list[Cell]:
    """Return baselines learned from so many answers, as the product's bound and as the plain share."""
    rng, keys = rng_of(seed, f"learned {answers_to_learn}"), 1000
    heard, _ = worlds.steady(rng, rate=PER_DAY / DAY, bad=BAD, keys=keys, rows=round(2400 * size))
    taught = rng.binomial(answers_to_learn, BAD, keys).tolist()
    w, lived = PER_DAY / DAY / EVERY, heard.at[-1].astype(float)
    world = f"baselines learned from {answers_to_learn:,} answers"
    out = []
    for confidence, name in (
        (0.999, "learn_confidence .999"),
        (0.95, "learn_confidence .95"),
        (0.5, "the plain share"),
    ):
        levels = learned_levels([answers_to_learn] * keys, taught, P1, confidence)
        note = RIVAL if confidence == 0.5 else ""
        out.append(cell(world, name, heard, levels, w, lived, note=note))
    return out


def learned_levels(answers: Sequence[int], bad: Sequence[int], p1: float, confidence: float) -> Levels:
    """Return what the product's detector learns from so many answers, bad ones among them, by key."""
    rule, metric, bins = packaged()
    kind = BadShare(msgspec.structs.replace(rule, learn_confidence=confidence, p1=(p1,)), metric, bins)
    found = [kind.teach({1: of, 5: n - of}, n) for n, of in zip(answers, bad, strict=True)]
    shares = [one for one in found if isinstance(one, Share)]
    p0, p1s = np.array([one.p0 for one in shares]), np.array([one.p1[0] for one in shares])
    return Levels(p0[None], p1s[None, None])


def work() -> dict[str, Work]:
    """Return the null worlds of answers by name, in the order of the report."""
    out: dict[str, Work] = {}
    for name, rate in RATES:
        out[f"independent, {name}"] = partial(independent, name, rate)
    out["three changes"] = changes_together
    for count, per_day in ((1, 100.0), (20, 100.0), (500, 5.0)):
        out[f"{count} keys"] = partial(key_counts, count, per_day)
    out |= {"campaign": campaign, "appearing": appearing}
    for many in (200, 1000, 5000):
        out[f"learned from {many}"] = partial(learned, many)
    return out
