"""Null worlds whose days are good or bad as a whole, and what it costs that the rule knows it.

Baselines and day effects are those that the product learns: its day cells, its teaching, its detector.
"""

from collections.abc import Sequence
from functools import partial

import msgspec
import numpy as np

from deploy.simulation import answer_worlds as worlds
from deploy.simulation.answer_worlds import BAD, DAY, PER_DAY
from deploy.simulation.covered import Counts
from deploy.simulation.null_answers import EVERY, LEARNED_DAYS, P1, Work, packaged, told
from deploy.simulation.promised import Cell, rng_of
from deploy.simulation.twin import PANE_MS, Flags, Heard, Levels, Twin, play, spoken
from schemas.errors import ContractError
from schemas.rules import BaselineKind
from schemas.windows import DAY_MS
from streams.core.detectors.weighted import ALARM_AT, Weighted
from streams.core.watching.bad_share import BadShare, Share
from streams.core.watching.kind import Learned, Member
from streams.core.watching.listening import Ear
from streams.core.watching.teaching import Teaching
from streams.core.watching.watch import Day

RHOS = (0.0, 0.005, 0.01, 0.02, 0.03)
RATES = (20, 100, 1000)
KEYS = 120
STRATUM = "card"
GOOD_SCORE, BAD_SCORE = 5, 1
_LEARNED_AT = 20_000 * DAY_MS
_FOUND_AT = 0.30
_QUIET_DAYS, _SOUGHT_DAYS = 2, 12


def kind_of(**changes: object) -> BadShare:
    """Return the detector of the packaged rule with these changes."""
    rule, metric, bins = packaged()
    return BadShare(msgspec.structs.replace(rule, **changes), metric, bins)


def learned_of(kind: BadShare, n: Counts, bad: Counts) -> list[Share]:
    """Return what each key learns from its days; n, bad: [days, keys]."""
    ear = Ear(kind.bins, hours=False)
    teaching, learned = Teaching(kind.rule, kind, ear), dict[str, Learned]()
    for at in range(n.shape[1]):
        name = f"{at:05}"
        for back, (many, of) in enumerate(zip(n[:, at].tolist(), bad[:, at].tolist(), strict=True)):
            day = _LEARNED_AT - kind.rule.learn_lag_ms - (1 + back) * DAY_MS
            packed = kind.bins.packed({GOOD_SCORE: many - of, BAD_SCORE: of})
            ear.cells.add(name, STRATUM, day, packed, _LEARNED_AT)
        members = [Member(name, STRATUM, STRATUM)]
        learned[name] = teaching.learned(name, members, _LEARNED_AT, {}, lambda _: ())
    out = []
    for key, (one, why) in kind.completed(learned, ()).items():
        if one is None:
            raise ContractError("not_learned", f"{key}: {why}")
        out.append(one[STRATUM])
    return out


def levels_of(shares: Sequence[Share]) -> Levels:
    """Return what keys have learned, for the twin."""
    p0, p1 = np.array([[one.p0 for one in shares]]), np.array([[[one.p1[0] for one in shares]]])
    return Levels(p0, p1, np.array([[one.rho for one in shares]]))


def replayed(kind: BadShare, shares: Sequence[Share], heard: Heard, w: float, alarms: Flags, panes: int = 1500) -> int:
    """Play about so many panes through the product's own detector, day by day; return how many gave the same alarms.

    Raises ContractError at the first that differs.
    """
    done, each = 0, max(50, panes // 4)
    for key, share in enumerate(shares):
        if done >= panes:
            break
        held, day, rows = Weighted(kind.weights, 0), Day(), np.flatnonzero(heard.loud[:, key])[:each]
        for row in rows.tolist():
            n, bad, pane = int(heard.n[0, row, key]), int(heard.bad[0, row, key]), int(heard.at[row, key]) * PANE_MS
            packed = kind.bins.packed({GOOD_SCORE: n - bad, BAD_SCORE: bad})
            seen = kind.seen_after({STRATUM: share}, {STRATUM: packed}, pane, day.before(pane))
            if seen is None:
                raise ContractError("twin_differs", f"pane {pane} of key {key} says nothing")
            day.add(seen.strata)
            alarm = held.update(pane, PANE_MS, w, seen.ratios) >= ALARM_AT and seen.log_lr > 0
            if alarm != bool(alarms[row, key]):
                raise ContractError("twin_differs", f"pane {pane} of key {key}: the detector says {alarm}")
            if alarm:
                held.restart(pane)
        done += len(rows)
    return done


def world_of(rng: np.random.Generator, *, rho: float, per_day: float, days: int, changed: int | None = None) -> Heard:
    """Return panes of all keys; `changed`: the pane after which a bad share of .30 has taken the place of .10."""
    blank = worlds.at_times(rng, np.ones(24), per_day=per_day, keys=KEYS, days=days)
    answers = worlds.day_effects(rng, blank, rho=rho, keys=KEYS, days=days)
    if changed is not None:
        worse = worlds.day_effects(rng, blank, rho=rho, keys=KEYS, days=days, bad=_FOUND_AT)
        answers = answers._replace(bad=np.where(blank.pane > changed, worse.bad, answers.bad))
    return worlds.heard(answers, KEYS, days * DAY)


def found_after(rng: np.random.Generator, rho: float, per_day: int, levels: Levels, w: float) -> tuple[float, float]:
    """Return after how many answers a bad share of .30 is found on average, and at how many of the keys it is at all."""
    changed = _QUIET_DAYS * DAY + DAY // 3
    heard = world_of(rng, rho=rho, per_day=per_day, days=_QUIET_DAYS + _SOUGHT_DAYS, changed=changed)
    alarms = play(heard, spoken(heard, levels), Twin(KEYS, w)) & (heard.at > changed)
    after = np.cumsum(np.where(heard.at > changed, heard.n[0], 0), axis=0)
    found = alarms.any(axis=0)
    answers = np.where(found, after[alarms.argmax(axis=0), np.arange(KEYS)], after[-1])
    return float(answers.mean()), float(found.mean())


def day_effects(rho: float, per_day: int, seed: int, size: float) -> list[Cell]:
    """Return days that are good or bad as a whole; one false alarm promised in 20 days of a key."""
    rng, days = rng_of(seed, f"days {rho} {per_day}"), round((126 if per_day <= PER_DAY else 42) * size) or 1
    heard = world_of(rng, rho=rho, per_day=per_day, days=days)
    w, spread = PER_DAY / DAY / EVERY, (rho * BAD * (1 - BAD)) ** 0.5
    world = f"rho = {rho} (a day's bad share varies by {spread:.3f}), {per_day:,} answers a day"
    n = rng.poisson(per_day, (LEARNED_DAYS, KEYS))
    taught = rng.binomial(n, worlds.day_shares(rng, rho=rho, keys=KEYS, days=LEARNED_DAYS))
    settings: list[tuple[str, bool, BadShare, list[Share]]] = []
    for name, kept, changes in (
        ("learned, as packaged", True, {}),
        ("learned, day_effect = 0", rho == 0, {"day_effect": 0.0}),
    ):
        kind = kind_of(p1=(P1,), **changes)
        settings.append((name, kept, kind, learned_of(kind, n, taught)))
    if rho:
        kind = kind_of(p1=(P1,), baseline=BaselineKind.FIXED, p0=BAD, day_effect=rho)
        share = kind.declared(BAD, {}, 0)
        if isinstance(share, Share):
            settings.append((f"fixed, p0 = .10, day_effect = {rho}", True, kind, [share] * KEYS))
    out = []
    for name, kept, kind, shares in settings:
        levels = levels_of(shares)
        alarms = play(heard, spoken(heard, levels), Twin(KEYS, w))
        answers, found = found_after(rng_of(seed, f"days found {rho} {per_day}"), rho, per_day, levels, w)
        note = f"rho learned: {np.mean([one.rho for one in shares]):.4f}; " if kind.rule.days == "learned" else ""
        note += f"a bad share of .30 is found after {answers:.0f} answers"
        note += "" if found == 1 else f", at {found:.0%} of the keys within {_SOUGHT_DAYS} days"
        checked = replayed(kind, shares, heard, w, alarms)
        out.append(told(world, name, heard, alarms, w * days * DAY * KEYS, checked, assumed=kept, note=note))
    return out


def work() -> dict[str, Work]:
    """Return these worlds by name, in the order of the report."""
    return {
        f"day effects {rho}, {per_day} a day": partial(day_effects, rho, per_day) for per_day in RATES for rho in RHOS
    }
