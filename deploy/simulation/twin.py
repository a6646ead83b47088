"""The weighted Shiryaev-Roberts statistic of many keys side by side, equal to the bit to weighted.py, for speed.

Only additions, products and comparisons are done on arrays; every exponential and logarithm is the product's own or that
of `math`, one by one. `replayed` plays keys through the product's detector itself and says in how many panes; every cell
of the report does so with a part of its panes.
"""

from collections.abc import Sequence
from math import exp
from typing import Any, NamedTuple

import numpy as np

from deploy.simulation.covered import Counts, Floats
from schemas.errors import ContractError
from schemas.windows import DAY_MS
from streams.core.detectors import beta_binomial
from streams.core.detectors.likelihood import Bernoulli, order_averaged
from streams.core.detectors.weighted import ALARM_AT, Ratio, Weighted

Flags = np.ndarray[Any, np.dtype[np.bool_]]
PANE_MS = 10_000
PANES_A_DAY = DAY_MS // PANE_MS
_MOST_LOG = 700.0
_MOST = 1e300


class Heard(NamedTuple):
    """What keys said: rows are panes of a key in order, columns are keys; a row without answers is no pane of that key."""

    at: Counts
    """[rows, keys] pane number, above 0."""
    n: Counts
    """[strata, rows, keys] answers."""
    bad: Counts
    """[strata, rows, keys] bad answers among them."""

    @property
    def loud(self) -> Flags:
        """Return where a pane has answers."""
        return np.asarray(self.n.sum(axis=0) > 0)


class Levels(NamedTuple):
    """The baseline of each stratum and key, and the changes sought."""

    p0: Floats
    """[strata, keys]"""
    p1: Floats
    """[changes, strata, keys]"""
    rho: Floats | None = None
    """[strata, keys] correlation of two answers of a day; None: days are alike"""


def known(p0: Sequence[float] | float, p1: Sequence[float] | float, keys: int) -> Levels:
    """Return the same baselines (by stratum) and changes (a single one, for all strata) for all keys."""
    p0s = np.atleast_1d(np.asarray(p0, float))
    p1s = np.broadcast_to(np.asarray(p1, float), p0s.shape)
    return Levels(np.repeat(p0s[:, None], keys, axis=1), np.repeat(p1s[None, :, None], keys, axis=2))


class Twin:
    """The statistic of all keys; `w`: what a pane adds, one for all or by key."""

    def __init__(self, keys: int, w: Floats | float, shares: Sequence[float] = (1.0,)) -> None:
        self._shares = np.asarray(shares, float)[:, None]
        self.r = np.zeros((len(shares), keys))
        self.settled = np.zeros(keys, np.int64)
        self.w = np.broadcast_to(np.asarray(w, float), keys)

    def renew(self, pane: int, w: Floats, *, fresh: Flags) -> None:
        """Take the panes up to `pane` with the old weights; those that are `fresh` begin at 0."""
        added = self.w * (pane - self.settled)
        self.r = np.minimum(_MOST, self.r + self._shares * added)
        self.r[:, fresh] = 0.0
        self.settled[:] = pane
        self.w = w

    def hear(self, at: Counts, loud: Flags, whole: Floats, inside: Floats | None, split: Flags | None) -> Floats:
        """Take one pane of each loud key and return all totals. whole, inside: exponentials, [changes, keys]."""
        panes = at - self.settled
        added = self.w * panes
        new = (self.r + self._shares * added) * whole
        if inside is not None and split is not None:
            quiet = self.w * (panes - 1)
            averaged = (self.r + self._shares * quiet) * whole + self._shares * self.w * inside
            new = np.where(split, averaged, new)
        self.r = np.where(loud, np.minimum(_MOST, new), self.r)
        self.settled = np.where(loud, at, self.settled)
        total: Floats = self.r[0]
        for more in self.r[1:]:
            total = total + more
        return total

    def restart(self, which: Flags) -> None:
        """Begin again at 0 after an alarm."""
        self.r[:, which] = 0.0


class Spoken(NamedTuple):
    """Heard panes as ratios."""

    nearest: Floats
    """[rows, keys] log likelihood ratio of the nearest change."""
    whole: Floats
    """[changes, rows, keys] exponentials."""
    inside: Floats | None
    split: Flags | None


def exponentials(logs: Floats) -> Floats:
    """Return exp of each by `math`, cut to finite ones as the detector cuts them."""
    flat = np.minimum(_MOST_LOG, logs).ravel().tolist()
    return np.fromiter(map(exp, flat), float, len(flat)).reshape(logs.shape)


def spoken(heard: Heard, levels: Levels, *, averaged: bool = False, midnight: int = 0) -> Spoken:
    """Return the ratios of all panes; `averaged`: the order-averaged form, for one stratum; `midnight`: a pane that ends a day."""
    days = _Days(heard, midnight) if levels.rho is not None and levels.rho.any() else None
    logs = np.stack([_logs(heard, levels, change, days) for change in range(len(levels.p1))])
    whole = exponentials(logs)
    if not averaged:
        return Spoken(logs[0], whole, None, None)
    inside, split = zip(*(_inside(heard, levels, change) for change in range(len(levels.p1))), strict=True)
    return Spoken(logs[0], whole, exponentials(np.stack(inside)), split[0])


class _Days:
    """What each day has said before a pane."""

    def __init__(self, heard: Heard, midnight: int) -> None:
        day = (heard.at - 1 - midnight) // PANES_A_DAY
        self._first = np.diff(day, axis=0, prepend=-2) != 0
        self.n = np.stack([self._before(one) for one in heard.n])
        self.bad = np.stack([self._before(one) for one in heard.bad])

    def _before(self, counts: Counts) -> Counts:
        """Return what came in the rows before, since the day began."""
        before = np.cumsum(counts, axis=0) - counts
        return np.asarray(before - np.maximum.accumulate(np.where(self._first, before, 0), axis=0))


def _logs(heard: Heard, levels: Levels, change: int, days: _Days | None) -> Floats:
    out = np.zeros(heard.at.shape)
    for stratum, (n, bad, p0, p1) in enumerate(zip(heard.n, heard.bad, levels.p0, levels.p1[change], strict=True)):
        ratios = [Bernoulli(one, other) for one, other in zip(p0.tolist(), p1.tolist(), strict=True)]
        log_bad, log_good = np.array([one.log_bad for one in ratios]), np.array([one.log_good for one in ratios])
        logs = bad * log_bad + (n - bad) * log_good
        if days is not None and levels.rho is not None:
            for key in np.flatnonzero(levels.rho[stratum]).tolist():
                rows = np.flatnonzero(n[:, key])
                before = zip(days.n[stratum, rows, key].tolist(), days.bad[stratum, rows, key].tolist(), strict=True)
                pairs = zip(n[rows, key].tolist(), bad[rows, key].tolist(), strict=True)
                rho, low, high = float(levels.rho[stratum, key]), float(p0[key]), float(p1[key])
                logs[rows, key] = [
                    beta_binomial.log_ratio(low, high, rho, had, pair) for had, pair in zip(before, pairs, strict=True)
                ]
        out = out + logs
    return out


def _inside(heard: Heard, levels: Levels, change: int) -> tuple[Floats, Flags]:
    """Return the log of the mean over the orders of each pane, and where the detector uses it."""
    if len(heard.n) != 1:
        raise ContractError("twin_strata", "the order average of this twin knows one stratum")
    n, bad = heard.n[0], heard.bad[0]
    columns: dict[tuple[float, float], list[int]] = {}
    for key, pair in enumerate(zip(levels.p0[0].tolist(), levels.p1[change][0].tolist(), strict=True)):
        columns.setdefault(pair, []).append(key)
    out, split = np.zeros(n.shape), np.zeros(n.shape, bool)
    for pair, keys in columns.items():
        ratio = Bernoulli(*pair)
        code = n[:, keys] * (1 << 20) + bad[:, keys]
        kinds, where = np.unique(code, return_inverse=True)
        found = [_averaged(ratio, one >> 20, one & ((1 << 20) - 1)) for one in kinds.tolist()]
        values = np.array([0.0 if one is None else one for one in found])
        out[:, keys] = values[where].reshape(code.shape)
        split[:, keys] = np.array([one is not None for one in found])[where].reshape(code.shape)
    return out, split


def _averaged(ratio: Bernoulli, n: int, bad: int) -> float | None:
    return order_averaged(ratio.kinds(n, bad)).inside if n else None


def play(heard: Heard, said: Spoken, twin: Twin) -> Flags:
    """Return where alarms came, [rows, keys]; each alarm begins anew, as after a resolution in the same pane."""
    loud, out = heard.loud, np.zeros(heard.at.shape, bool)
    for row in range(len(heard.at)):
        inside = None if said.inside is None else said.inside[:, row]
        split = None if said.split is None else said.split[row]
        total = twin.hear(heard.at[row], loud[row], said.whole[:, row], inside, split)
        alarm = loud[row] & (total >= ALARM_AT) & (said.nearest[row] > 0)
        if alarm.any():
            twin.restart(alarm)
            out[row] = alarm
    return out


def replayed(
    heard: Heard, levels: Levels, w: Floats | float, alarms: Flags, *, averaged: bool = False, panes: int = 1500
) -> int:
    """Play about so many panes through the product's detector, key by key; return how many gave the same alarms.

    Raises ContractError at the first that differs.
    """
    ws = np.broadcast_to(np.asarray(w, float), heard.at.shape[1]).tolist()
    shares = (1 / len(levels.p1),) * len(levels.p1)
    done, each = 0, max(50, panes // 4)
    for key in range(heard.at.shape[1]):
        if done >= panes:
            break
        rows = np.flatnonzero(heard.loud[:, key])[:each]
        changes = [
            [Bernoulli(p0, p1) for p0, p1 in zip(levels.p0[:, key].tolist(), change[:, key].tolist(), strict=True)]
            for change in levels.p1
        ]
        held = Weighted(shares, 0)
        for row in rows.tolist():
            n, bad, at = heard.n[:, row, key].tolist(), heard.bad[:, row, key].tolist(), int(heard.at[row, key])
            ratios = [_ratio(change, n, bad, averaged=averaged) for change in changes]
            total = held.update(at * PANE_MS, PANE_MS, ws[key], ratios)
            alarm = total >= ALARM_AT and ratios[0].whole > 0
            if alarm != bool(alarms[row, key]):
                raise ContractError("twin_differs", f"pane {at} of key {key}: the detector says {alarm}")
            if alarm:
                held.restart(at * PANE_MS)
        done += len(rows)
    return done


def _ratio(change: Sequence[Bernoulli], n: Sequence[int], bad: Sequence[int], *, averaged: bool) -> Ratio:
    heard = [(one, many, of) for one, many, of in zip(change, n, bad, strict=True) if many]
    if averaged:
        return order_averaged([kind for one, many, of in heard for kind in one.kinds(many, of)])
    return Ratio(sum([one.log_ratio(many, of) for one, many, of in heard]))
