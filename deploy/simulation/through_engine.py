"""The same worlds through the real engine and through the statistic alone: the same alarms, pane by pane.

Every alarm is resolved by command in its own pane, so that the next one is looked for at once, as in the other cells.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from deploy.simulation import answer_worlds as worlds
from deploy.simulation.answer_worlds import BAD, DAY
from deploy.simulation.answer_worlds import Answers as Given
from deploy.simulation.answer_worlds import heard as panes_of
from deploy.simulation.days import kind_of, learned_of, levels_of
from deploy.simulation.null_answers import P1, learned_levels, renewed_daily
from deploy.simulation.promised import rng_of
from deploy.simulation.twin import PANE_MS, Flags, Heard, Twin, known, play, spoken
from schemas.blocks import EMPTY, Row, Series, cells_of
from schemas.catalogue import Catalogue, load
from schemas.outputs import AlarmState, AlarmTransition, Decision, DecisionKind
from schemas.rules import BaselineKind
from schemas.windows import DAY_MS, WEEK_MS
from streams.core.baseline import REACH_MS
from streams.core.engine import Engine

START = 20_000 * DAY_MS
CHANNELS = ("call", "card")
GOOD_SCORE, BAD_SCORE = 5, 1
RULE = "satisfaction_drop"


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """What the engine and the statistic said of one world; `same`: the same alarms at the same keys and panes."""

    world: str
    panes: int
    answers: int
    promised: float
    engine: int
    statistic: int
    same: bool
    delay: float | None = None
    """Mean answers from the change to the engine's alarm."""


class Seen(NamedTuple):
    """What the engine said."""

    alarms: set[tuple[int, str]]
    """(pane number since START, key)"""
    spent: float


def catalogue_of(**changes: object) -> Catalogue:
    """Return the packaged catalogue with a changed satisfaction_drop and no other rule; no cool-down, no flapping."""
    packaged = load()
    rule = next(one for one in packaged.alarm if one.name == RULE)
    rule = msgspec.structs.replace(rule, cooldown_ms=0, flap_transitions=1 << 30, **changes)
    return msgspec.structs.replace(packaged, alarm=[rule])


def _rows(identity: str, key: str, at_ms: int, n: Sequence[int], bad: Sequence[int], *, fresh: int) -> Iterable[Row]:
    for channel, many, of in zip(CHANNELS, n, bad, strict=False):
        series = Series(identity, "touchpoint", key, channel)
        for score, count in ((GOOD_SCORE, many - of), (BAD_SCORE, of)):
            yield Row(series, at_ms // 60_000, score, fresh, count, score * count)


def _decision(kind: DecisionKind, **body: object) -> Decision:
    return Decision(decision_id="simulated", kind=kind, author="simulation", made_at=0, body=body)


RENEW = _decision(DecisionKind.RENEW)


def names(keys: int) -> list[str]:
    """Return names whose order is that of the numbers."""
    return [f"shop{key:05}" for key in range(keys)]


def engine_says(catalogue: Catalogue, heard: Heard, renewals: Iterable[int], history: Iterable[Row] = ()) -> Seen:
    """Feed the panes of all keys to an engine; renew after the panes `renewals`; resolve every alarm at once."""
    engine = Engine(catalogue, pane_ms=PANE_MS, provisional_step_ms=60_000, alarms_only=True, armed=True)
    identity = next(one for one in catalogue.metric if one.name == "csat").identity
    key_names, alarms = names(heard.at.shape[1]), set[tuple[int, str]]()
    engine.advance(START - PANE_MS, cells_of(history))
    row, key = np.nonzero(heard.loud)
    order = np.lexsort((key, heard.at[row, key]))
    row, key = row[order], key[order]
    at = heard.at[row, key]
    edges = np.flatnonzero(np.diff(at, prepend=-1, append=-1))
    due = sorted(renewals, reverse=True)
    for first, last in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        pane = int(at[first])
        _renew(engine, due, pane)
        rows: list[Row] = []
        for one in range(first, last):
            n, bad = heard.n[:, row[one], key[one]].tolist(), heard.bad[:, row[one], key[one]].tolist()
            rows += _rows(identity, key_names[key[one]], START + (pane - 1) * PANE_MS - 1, n, bad, fresh=1)
        # panes are numbered from 1 in the world: pane 1 is the first after START - PANE_MS
        for said in engine.advance(START + (pane - 1) * PANE_MS, cells_of(rows)):
            if isinstance(said, AlarmTransition) and said.state is AlarmState.OPEN:
                alarms.add((pane, said.key))
                engine.decide(_decision(DecisionKind.RESOLVE, alarm_id=said.alarm_id))
    return Seen(alarms, engine.spent[RULE])


def _renew(engine: Engine, due: list[int], before: int) -> None:
    """Renew after each pane that is due before the pane `before`."""
    while due and due[-1] < before:
        pane = START + (due.pop() - 1) * PANE_MS
        if engine.pane is None or engine.pane < pane:
            engine.advance(pane, EMPTY)
        engine.decide(RENEW)


def _named(heard: Heard, flags: Flags) -> set[tuple[int, str]]:
    key_names = names(heard.at.shape[1])
    return {(int(heard.at[row, key]), key_names[key]) for row, key in zip(*np.nonzero(flags), strict=True)}


def null_world(seed: int, size: float) -> list[Compared]:
    """Return keys of two channels that come and go, renewed at every midnight: a key keeps its share for 36 days."""
    rng, days, per_week = rng_of(seed, "engine null"), round(60 * size) or 1, 28.0
    born = np.concatenate((np.zeros(6), rng.random(18) * days))
    died = np.minimum(born + rng.exponential(30.0, len(born)), days)
    many = rng.poisson(40.0 * (died - born))
    key = np.repeat(np.arange(len(born)), many)
    pane = ((born[key] + rng.random(len(key)) * (died - born)[key]) * DAY).astype(np.int64) + 1
    bad = (rng.random(len(key)) < BAD).astype(np.int64)
    heard = panes_of(Given(key, pane, bad, rng.integers(0, 2, len(key))), len(born), days * DAY, 2)
    watched = _within_reach(heard, days)
    weights = watched * (per_week * PANE_MS / WEEK_MS / np.maximum(1, watched.sum(axis=1, keepdims=True)))
    flags = renewed_daily(heard, known([BAD, BAD], P1, len(born)), watched, weights)
    catalogue = catalogue_of(baseline=BaselineKind.FIXED, p0=BAD, p1=(P1,), budget_per_week=per_week)
    said = engine_says(catalogue, heard, [day * DAY for day in range(days)])
    return [Compared(
        world=f"null: {len(born)} keys of two channels come and go in {days} days, shares renewed daily",
        panes=int(heard.loud.sum()), answers=int(heard.n.sum()), promised=said.spent, engine=len(said.alarms),
        statistic=int(flags.sum()), same=said.alarms == _named(heard, flags),
    )]  # fmt: skip


def _within_reach(heard: Heard, days: int) -> Flags:
    """Return, [days, keys], which keys have had an answer by midnight on a day that baselines still reach."""
    loud, out = heard.loud, np.zeros((days, heard.at.shape[1]), bool)
    on = (heard.at - 2) // DAY  # pane p is fed with feedback of the time just before its end
    reach = REACH_MS // DAY_MS
    for day in range(days):
        out[day] = (loud & (heard.at <= day * DAY) & (on >= day - reach)).any(axis=0)
    return out


def delay_world(grouping: str, seed: int, size: float) -> list[Compared]:
    """Return learned baselines and a change from .10 to .30, ten answers a pane."""
    rng, keys, each, per_week = rng_of(seed, f"engine delay {grouping}"), round(60 * size) or 1, 10, 5000.0
    quiet, rows = 60, 260
    history: list[Row] = []
    taught = rng.binomial(50, BAD, (29, keys))
    catalogue = catalogue_of(grouping=grouping, p1=(0.30,), budget_per_week=per_week, day_effect=0.0)
    identity = next(one for one in catalogue.metric if one.name == "csat").identity
    for day in range(29):
        for key, name in enumerate(names(keys)):
            history += _rows(identity, name, START - (8 + day) * DAY_MS, [50], [int(taught[day, key])], fresh=0)
    bad = rng.binomial(each, BAD, (rows, keys))
    bad[quiet:] = rng.binomial(each, 0.30, (rows - quiet, keys))
    at = np.repeat(np.arange(1, rows + 1)[:, None], keys, axis=1)
    # channels are strata: all answers of this world come by the first
    heard = Heard(at, np.full((1, rows, keys), each), bad[None])
    levels = learned_levels([50 * 29] * keys, taught.sum(axis=0).tolist(), 0.30, 0.999)
    averaged = grouping == "averaged"
    flags = play(heard, spoken(heard, levels, averaged=averaged), Twin(keys, per_week * PANE_MS / WEEK_MS / keys))
    said = engine_says(catalogue, heard, [0], history)
    first = {name: min((pane for pane, key in said.alarms if key == name and pane > quiet), default=rows)
             for name in names(keys)}  # fmt: skip
    return [Compared(
        world=f"change .10 -> .30 at {keys} keys, baselines learned from 1,450 answers, {grouping}",
        panes=rows * keys, answers=rows * keys * each, promised=said.spent, engine=len(said.alarms),
        statistic=int(flags.sum()), same=said.alarms == _named(heard, flags),
        delay=each * float(np.mean([pane - quiet for pane in first.values()])),
    )]  # fmt: skip


def day_world(seed: int, size: float) -> list[Compared]:
    """Return good and bad days, 100 answers each, with baselines and day effects learned from 29 of them."""
    rng, keys, days, per_day, rho = rng_of(seed, "engine days"), 20, round(12 * size) or 1, 100, 0.02
    per_week = 7.0 * keys / 2
    n = np.full((29, keys), per_day)
    taught = rng.binomial(n, worlds.day_shares(rng, rho=rho, keys=keys, days=29))
    catalogue = catalogue_of(p1=(P1,), budget_per_week=per_week)
    identity = next(one for one in catalogue.metric if one.name == "csat").identity
    history: list[Row] = []
    for back in range(29):
        for key, name in enumerate(names(keys)):
            of = int(taught[back, key])
            history += _rows(identity, name, START - (8 + back) * DAY_MS, [per_day], [of], fresh=0)
    blank = worlds.at_times(rng, np.ones(24), per_day=per_day, keys=keys, days=days)
    heard = panes_of(worlds.day_effects(rng, blank, rho=rho, keys=keys, days=days), keys, days * DAY)
    levels = levels_of(learned_of(kind_of(p1=(P1,)), n, taught))
    w = per_week * PANE_MS / WEEK_MS / keys
    flags = play(heard, spoken(heard, levels, midnight=1), Twin(keys, w))  # pane 1 ends the day before
    said = engine_says(catalogue, heard, [0], history)
    return [Compared(
        world=f"null: {keys} keys with good and bad days, rho = {rho}, baselines and day effects learned from 29",
        panes=int(heard.loud.sum()), answers=int(heard.n.sum()), promised=said.spent, engine=len(said.alarms),
        statistic=int(flags.sum()), same=said.alarms == _named(heard, flags),
    )]  # fmt: skip
