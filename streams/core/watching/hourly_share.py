"""Drop, recovery and rise of a share that has a profile of weekday and hour: each hour against its own bound.

An answer is compared with others of the hour (UTC) in which it was given, so evenings that are worse than days are no
news. An hour of the week is to a stratum what a stratum is to a key: the ratios multiply. `hour_levels` says what an
hour learns.

With day effects, what a day has said counts in the currency of the hour that speaks: so many answers of this hour as have
the same number of bad ones on average. The currency is the learned shape of the week (`weights`) and not its bounds: the
room between bound and truth is not the same in all hours, and would look like a good day before the narrow ones.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from schemas.windows import HOUR_MS
from streams.core.baseline import Stretch
from streams.core.detectors.beta_binomial import spread_of
from streams.core.detectors.evidence import Evidence
from streams.core.watching import hour_levels
from streams.core.watching.bad_share import BadShare, Share
from streams.core.watching.hour_levels import Hours, Taught
from streams.core.watching.hours import parted
from streams.core.watching.kind import Baseline, Facts, Learned, Member, Seen, Today
from streams.core.watching.listening import Ear

_NOTHING = (0.0, 0.0)


class HourlyLevel(Share, frozen=True, array_like=True):
    """The share of one stratum by hour."""

    levels: tuple[float, ...] = ()
    """p0 by hour of the week since the epoch, or by hour of the day; none where all hours have that of the stratum."""
    weights: tuple[float, ...] = ()
    """How many times the share of the stratum each of them has on average."""
    found: Taught | None = None
    """What the hours taught, until the day effect is known as well; no part of a state."""

    def weight(self, hour: int) -> float:
        """Return how many times the share of the stratum an hour has on average."""
        return self.weights[hour % len(self.weights)] if self.weights else 1.0


class HourlyShare(BadShare):
    """A share that rises or falls against the profile of its week."""

    taught = HourlyLevel
    hourly = True

    # --- what the hours teach --------------------------------------------------------------------------------------

    def learn(
        self, ear: Ear, members: Sequence[Member], stretches: Mapping[str, Stretch]
    ) -> tuple[dict[str, Share] | None, str]:
        """Return name -> what each stratum and its hours teach, and why others do not."""
        learned, why = super().learn(ear, members, stretches)
        assert ear.answers is not None
        for member in members:
            one = None if learned is None else learned.get(member.name)
            if learned is not None and one is not None and not one.fixed:
                days = {day: self._bad(hours) for day, hours in ear.answers.days(member.key, member.stratum).items()}
                learned[member.name] = self._with_hours(one, days, stretches[member.name])
        return learned, why

    def _bad(self, hours: Hours) -> Hours:
        """Return (answers, those of the watched share) by hour."""
        return hours if self._of_counted else [(n, n - counted) for n, counted in hours]

    def _with_hours(self, one: Share, days: Mapping[int, Hours], stretch: Stretch) -> HourlyLevel:
        found = hour_levels.taught(hour_levels.full_days(days, stretch))
        weights = hour_levels.weights(found, one.bad / one.n) if 0 < one.bad else ()
        out = HourlyLevel(**msgspec.structs.asdict(one), weights=weights, found=found if weights else None)
        if not self.by_day:
            return self._finished(out)
        if not weights:
            return out
        worth = [
            (sum([n * out.weight(day // HOUR_MS + at) for at, (n, _) in enumerate(hours)]), sum([bad for _, bad in hours]))
            for day, hours in days.items() if stretch.holds(day)
        ]  # fmt: skip
        return msgspec.structs.replace(out, spread=spread_of(worth))

    def _finished(self, one: HourlyLevel) -> HourlyLevel:
        """Return it with the bounds of its hours, now that the day effect is known."""
        if one.found is None:
            return one
        found = one.found if self.rises else one.found.mirrored()
        levels = hour_levels.bounds(found, one.rho, 1 - self.rule.learn_confidence)
        return msgspec.structs.replace(
            one, levels=levels if self.rises else tuple(1 - level for level in levels), found=None
        )

    def completed(self, learned: Mapping[str, Learned], others: Iterable[Baseline]) -> dict[str, Learned]:
        """Return what keys have learned with the day effect of their days, and the bounds of their hours with it."""
        return {
            key: (None if one is None else {name: self._finished(level) for name, level in one.items()}, why)
            for key, (one, why) in super().completed(learned, others).items()
        }

    # --- what answers say ------------------------------------------------------------------------------------------

    def at(self, one: HourlyLevel, hour: int) -> Share | None:
        """Return the level of an hour of the week; None where it leaves no room for the changes sought."""
        if not one.levels:
            return one
        p0 = one.levels[hour % len(one.levels)]
        changes = self.sought(p0)
        return None if isinstance(changes, str) else msgspec.structs.replace(one, p0=p0, p1=changes)

    def seen_after(
        self, baseline: Mapping[str, Share], strata: Mapping[str, int], pane: int, today: Today
    ) -> Seen | None:
        """Return what the answers, named by stratum and hour of the week, say after those of the same day."""
        now, before, running = dict[str, Share](), dict[str, tuple[float, float]](), dict(today)
        for name in sorted(strata):
            stratum, hour = parted(name)
            one = baseline.get(stratum)
            if not isinstance(one, HourlyLevel):
                continue
            level = self.at(one, hour)
            if level is None:
                continue
            now[name] = level
            if one.rho:
                before[name] = _in_currency(one, stratum, hour, running)
                if len(strata) > 1:
                    held, pair = running.get(name, _NOTHING), self.pair(self.bins.counts(strata[name]))
                    running[name] = (held[0] + pair[0], held[1] + pair[1])
        return super().seen_after(now, strata, pane, before)

    def facts(self, baseline: dict[str, Share], evidence: Evidence, change: int) -> Facts:
        """Return counts and levels by stratum, those of its hours weighted by answers, and both over all."""
        held: dict[str, list[float]] = {}
        for name, (n, bad) in sorted(evidence.strata.items()):
            stratum, hour = parted(name)
            one = baseline.get(stratum)
            level = self.at(one, hour) if isinstance(one, HourlyLevel) else None
            if level is not None:
                sums = held.setdefault(stratum, [0.0] * 4)
                for at, value in enumerate((n, bad, n * level.p0, n * level.p1[change])):
                    sums[at] += value
        strata = {}
        for stratum, (n, bad, p0, p1) in held.items():
            strata[stratum] = {"n": n, "bad": bad, "p0": p0 / n, "p1": p1 / n} if n else {"n": n, "bad": bad}
            if baseline[stratum].rho:
                strata[stratum]["rho"] = baseline[stratum].rho
        total, bad, p0, p1 = (sum([one[at] for one in held.values()]) for at in range(4))
        return Facts(
            int(total), int(bad + 0.5), p0 / total if total else None, p1 / total if total else None,
            strata, sum([baseline[stratum].n for stratum in held]),
        )  # fmt: skip

    def contribution(self, baseline: dict[str, Share], name: str, pair: tuple[float, float]) -> float:
        """Return the log ratio of a stratum's answers in an hour of the week for the nearest change."""
        stratum, hour = parted(name)
        one = baseline.get(stratum)
        level = self.at(one, hour) if isinstance(one, HourlyLevel) else None
        return 0.0 if level is None else self.log_ratio(level, self.nearest, pair)


def _in_currency(one: HourlyLevel, stratum: str, hour: int, today: Today) -> tuple[float, float]:
    """Return (answers, bad ones) of a stratum's day so far, as so many answers of this hour as have that many bad ones."""
    many = worse = 0.0
    for name, (n, bad) in sorted(today.items()):
        of, when = parted(name)
        if of == stratum:
            many += n * one.weight(when)
            worse += bad
    return max(many / one.weight(hour), worse), worse
