"""Null worlds whose hours are good or bad in themselves, for rules that learn a profile of weekday and hour, and that do not.

Baselines, profiles and day effects are those that the product learns: its days and hours, its teaching, its detector.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import msgspec
import numpy as np

from deploy.simulation import answer_worlds as worlds
from deploy.simulation.answer_worlds import BAD, DAY, PER_DAY, Answers
from deploy.simulation.covered import Counts, Floats
from deploy.simulation.null_answers import EVERY, P1, Work, packaged, told
from deploy.simulation.promised import Cell, rng_of
from deploy.simulation.twin import PANE_MS, Flags, Heard, Spoken, Twin, exponentials, play
from schemas.errors import ContractError
from schemas.windows import DAY_MS, HOUR_MS
from streams.core.detectors.beta_binomial import log_ratio
from streams.core.detectors.likelihood import Bernoulli
from streams.core.detectors.weighted import ALARM_AT, Weighted
from streams.core.watching.bad_share import BadShare
from streams.core.watching.hour_levels import FULL_WEEKS, WEEKDAYS
from streams.core.watching.hourly_share import HourlyLevel, HourlyShare
from streams.core.watching.hours import HOURS, WEEK_HOURS, in_hour
from streams.core.watching.kind import Learned, Member
from streams.core.watching.registry import ear_of, kind_of
from streams.core.watching.teaching import Teaching
from streams.core.watching.watch import Day

KEYS = 120
STRATUM = "card"
GOOD_SCORE, BAD_SCORE = 5, 1
_LEARNED_AT = 20_006 * DAY_MS
"""A midnight with which a week since the epoch begins, as simulated ones do."""
_TAUGHT_DAYS = 36
"""Days that the state reaches back."""
_QUIET_DAYS, _SOUGHT_DAYS = 2, 12
_ALL, _BY_DAY = 0.30, 0.15


class World(NamedTuple):
    """How many answers come by hour of the week, in proportion, and which of them are bad."""

    name: str
    weights: Floats
    shares: Floats
    """[168] bad share"""
    rho: float = 0.0
    """Correlation of two answers of a day; the share of an hour is multiplied by that of the day."""
    per_day: int = PER_DAY


def detector(profiled: bool, **changes: object) -> HourlyShare | BadShare:  # noqa: FBT001 - the one thing that differs
    """Return the detector of the packaged rule, with or without a profile."""
    rule, metric, bins = packaged()
    profile = "weekday_hour" if profiled else "none"
    kind = kind_of(msgspec.structs.replace(rule, p1=(P1,), profile=profile, **changes), metric, bins, PANE_MS)
    assert isinstance(kind, BadShare)
    return kind


def drawn(rng: np.random.Generator, world: World, blank: Answers, days: int, shares: Floats) -> Answers:
    """Return the answers, each bad with the chance of its hour and day; shares: [168]."""
    hour = ((blank.pane - 1) // 360) % WEEK_HOURS
    whole = worlds.day_shares(rng, rho=world.rho, keys=KEYS, days=days) / BAD
    factor = whole[np.minimum((blank.pane - 1) // DAY, days - 1), blank.key]
    return worlds.judged(rng, blank, np.minimum(1.0, shares[hour] * factor))


def taught_by(kind: BadShare, rng: np.random.Generator, world: World, days: int) -> list[HourlyLevel]:
    """Return what each key learns from so many days."""
    blank = worlds.at_times(rng, world.weights, per_day=world.per_day, keys=KEYS, days=_TAUGHT_DAYS)
    answers = drawn(rng, world, blank, _TAUGHT_DAYS, world.shares)
    hour = (answers.pane - 1) // 360
    n, bad = np.zeros((2, KEYS, _TAUGHT_DAYS * HOURS), np.int64)
    np.add.at(n, (answers.key, hour), 1)
    np.add.at(bad, (answers.key, hour), answers.bad)
    ear = ear_of([kind.rule], kind.metric, kind.bins)
    teaching, learned = Teaching(kind.rule, kind, ear), dict[str, Learned]()
    begin = (_LEARNED_AT - kind.rule.learn_lag_ms) // HOUR_MS  # a week of lag: hours of the week stay in place
    for key in range(KEYS):
        name = f"{key:05}"
        for back in range(1, days * HOURS + 1):
            occurred = begin - back
            at = occurred % WEEK_HOURS + (back - 1) // WEEK_HOURS * WEEK_HOURS
            many, of = int(n[key, at]), int(bad[key, at])
            packed = kind.bins.packed({GOOD_SCORE: many - of, BAD_SCORE: of})
            ear.cells.add(name, STRATUM, occurred * HOUR_MS // DAY_MS * DAY_MS, packed, _LEARNED_AT)
            if ear.answers is not None:
                ear.answers.add(name, STRATUM, occurred * HOUR_MS, (many, many - of), _LEARNED_AT)
        members = [Member(name, STRATUM, STRATUM)]
        learned[name] = teaching.learned(name, members, _LEARNED_AT, {}, lambda _: ())
    out = []
    for name, (one, why) in kind.completed(learned, ()).items():
        if one is None:
            raise ContractError("not_learned", f"{name}: {why}")
        level = one[STRATUM]
        out.append(level if isinstance(level, HourlyLevel) else HourlyLevel(**msgspec.structs.asdict(level)))
    return out


def spoken(kind: BadShare, heard: Heard, shares: Sequence[HourlyLevel]) -> Spoken:
    """Return the ratios of all panes, each against the level of its hour and after what its day has said."""
    hour, logs = ((heard.at - 1) // 360) % WEEK_HOURS, np.zeros(heard.at.shape)
    n, bad, day = heard.n[0], heard.bad[0], (heard.at - 1) // DAY
    for key, share in enumerate(shares):
        at = [kind.at(share, one) if isinstance(kind, HourlyShare) else share for one in range(WEEK_HOURS)]
        rows = np.flatnonzero(n[:, key])
        if not share.rho:
            held = [None if one is None else Bernoulli(one.p0, one.p1[0]) for one in at]
            log_bad = np.array([0.0 if one is None else one.log_bad for one in held])[hour[:, key]]
            log_good = np.array([0.0 if one is None else one.log_good for one in held])[hour[:, key]]
            logs[:, key] = bad[:, key] * log_bad + (n[:, key] - bad[:, key]) * log_good
            continue
        today, many, worse = -1, 0.0, 0.0
        for row in rows.tolist():
            when, count, of = int(hour[row, key]), int(n[row, key]), int(bad[row, key])
            if day[row, key] != today:
                today, many, worse = int(day[row, key]), 0.0, 0.0
            level, weight = at[when], share.weight(when)
            if level is not None:
                before = (max(many / weight, worse), worse)
                logs[row, key] = log_ratio(level.p0, level.p1[0], share.rho, before, (count, of))
                many, worse = many + count * weight, worse + of
    return Spoken(logs, exponentials(logs[None]), None, None)


def replayed(
    kind: BadShare, shares: Sequence[HourlyLevel], heard: Heard, w: float, alarms: Flags, panes: int = 1500
) -> int:
    """Play about so many panes through the product's own detector, day by day; return how many gave the same alarms.

    Raises ContractError at the first that differs.
    """
    done, each = 0, max(50, panes // 4)
    for key, share in enumerate(shares):
        if done >= panes:
            break
        held, day, rows = Weighted(kind.weights, 0), Day(), np.flatnonzero(heard.loud[:, key])[:each]
        for row in rows.tolist():
            n, bad, at = int(heard.n[0, row, key]), int(heard.bad[0, row, key]), int(heard.at[row, key])
            pane, hour = at * PANE_MS, (at - 1) // 360 % WEEK_HOURS
            name = in_hour(STRATUM, hour) if kind.hourly else STRATUM
            packed = kind.bins.packed({GOOD_SCORE: n - bad, BAD_SCORE: bad})
            seen = kind.seen_after({STRATUM: share}, {name: packed}, pane, day.before(pane))
            alarm = False
            if seen is not None:
                day.add(seen.strata)
                alarm = held.update(pane, PANE_MS, w, seen.ratios) >= ALARM_AT and seen.log_lr > 0
            if alarm != bool(alarms[row, key]):
                raise ContractError("twin_differs", f"pane {pane} of key {key}: the detector says {alarm}")
            if alarm:
                held.restart(pane)
        done += len(rows)
    return done


def found_after(seed: int, kind: BadShare, shares: Sequence[HourlyLevel], world: World, worse: Floats, w: float) -> str:
    """Say after how many answers a change to these bad shares is found on average, and at how many of the keys."""
    rng, sought = rng_of(seed, f"hours found {world.name}"), max(2, _SOUGHT_DAYS * PER_DAY // world.per_day)
    days = _QUIET_DAYS + sought
    changed = _QUIET_DAYS * DAY + DAY // 3
    blank = worlds.at_times(rng, world.weights, per_day=world.per_day, keys=KEYS, days=days)
    before, after = (drawn(rng, world, blank, days, one) for one in (world.shares, worse))
    heard = worlds.heard(before._replace(bad=np.where(blank.pane > changed, after.bad, before.bad)), KEYS, days * DAY)
    alarms = play(heard, spoken(kind, heard, shares), Twin(KEYS, w)) & (heard.at > changed)
    since: Counts = np.cumsum(np.where(heard.at > changed, heard.n[0], 0), axis=0)
    found = alarms.any(axis=0)
    answers = np.where(found, since[alarms.argmax(axis=0), np.arange(KEYS)], since[-1])
    part = "" if found.all() else f" (at {found.mean():.0%} of the keys within {sought} days)"
    return f"{answers.mean():.0f} answers{part}"


def hours(world: World, taught_days: int, seed: int, size: float) -> list[Cell]:
    """Return a world with and without the profile, learned from so many days."""
    name = f"{world.name}, {world.per_day:,} answers a day, learned from {taught_days} days"
    days = round(126 * PER_DAY / world.per_day * size) // 7 * 7 or 7
    rng = rng_of(seed, f"hours {name}")
    blank = worlds.at_times(rng, world.weights, per_day=world.per_day, keys=KEYS, days=days)
    heard = worlds.heard(drawn(rng, world, blank, days, world.shares), KEYS, days * DAY)
    w, out = world.per_day / DAY / EVERY, []
    every_day = bool((world.shares.reshape(-1, HOURS) == world.shares[:HOURS]).all())
    learnable, flat = every_day or taught_days > WEEKDAYS * FULL_WEEKS, bool(np.ptp(world.shares) == 0)
    everywhere, by_day = (
        np.full(WEEK_HOURS, _ALL),
        np.where(worlds.evening(np.arange(WEEK_HOURS)), world.shares, _BY_DAY),
    )
    for profiled in (False, True):
        kind = detector(profiled)
        shares = taught_by(kind, rng_of(seed, f"hours taught {name}"), world, taught_days)
        alarms = play(heard, spoken(kind, heard, shares), Twin(KEYS, w))
        note = f".30 at all hours is found after {found_after(seed, kind, shares, world, everywhere, w)}"
        note += f", .15 by day after {found_after(seed, kind, shares, world, by_day, w)}"
        setting = 'learned, profile = "weekday_hour"' if profiled else 'learned, profile = "none"'
        checked = replayed(kind, shares, heard, w, alarms)
        assumed = flat or (profiled and learnable)
        out.append(told(name, setting, heard, alarms, w * days * DAY * KEYS, checked, assumed=assumed, note=note))
    return out


def _worlds() -> list[tuple[World, int]]:
    weights = worlds.week(worlds.OPEN, worlds.WEEKEND)
    hour = np.arange(WEEK_HOURS)
    four = worlds.profile_shares(weights, 4.0)
    weekend = np.where(worlds.evening(hour) & (hour >= 5 * HOURS), 4.0, 1.0)
    weekend = weekend * BAD / ((weekend * weights).sum() / weights.sum())
    return [
        (World("no hour worse than another", weights, np.full(WEEK_HOURS, BAD)), 29),
        (World("evenings twice as bad as days", weights, worlds.profile_shares(weights, 2.0)), 29),
        (World("evenings four times as bad as days", weights, four), 29),
        (World("evenings four times as bad as days", weights, four, per_day=1000), 29),
        (World("evenings four times as bad as days", weights, four), 21),
        (World("evenings of the weekend four times as bad", weights, weekend), 29),
        (World("evenings of the weekend four times as bad", weights, weekend), 21),
        (World("evenings four times as bad as days, rho = .02", weights, four, rho=0.02), 29),
    ]


def work() -> dict[str, Work]:
    """Return these worlds by name, in the order of the report."""
    return {
        f"hours {world.name}, {world.per_day} a day, {days} days": partial(hours, world, days)
        for world, days in _worlds()
    }
