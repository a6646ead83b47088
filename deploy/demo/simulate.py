"""`barometer simulate`: what the drop alarm finds and what its false alarms cost, over many months instead of one.

Every seed is played twice. Once with the injection and learned baselines: is the drop found within the day, how late, and
did anything alarm that had no reason to? Once without injection and with the true bad share as fixed baseline: then the
false alarms can be compared with the budget. They must not exceed it, and far fewer would mean that the detector sleeps.
"""

import json
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from statistics import median, quantiles

import msgspec
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy.stats import chi2

from deploy.backtest import alarms_of
from deploy.demo.answers import BAD_SHARE
from deploy.demo.generate import ANCHOR_MS, LIVE_FROM_DAY, RealTime, real_time
from deploy.demo.shops import shops_of
from schemas import catalogue as catalogues
from schemas.catalogue import Catalogue
from schemas.outputs import AlarmState, AlarmTransition
from schemas.rules import BaselineKind, Rule, RuleKind
from schemas.windows import HOUR_MS, WEEK_MS

PANE_MS = 10_000
WORKERS = 2
FOUND_AT_LEAST = 0.90
RATIO_WITHIN = (0.3, 1.0)
LEVEL = 0.95
NOT_COUNTED = frozenset({"customer", "text", "lang", "attributes", "order"})
"""Fields that take time to check and cannot matter for an alarm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """One seed: the delay of the alarm on the hit shop (None: not found within the day), and the alarms without a reason."""

    seed: int
    delay_answers: int | None
    delay_h: float | None
    false_alarms: int
    null_alarms: int
    null_budget: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """All seeds together; `ratio` is false alarms of the null months by their budget, with its exact Poisson interval."""

    seeds: int
    found: int
    delay_answers_median: float | None
    delay_answers_p90: float | None
    delay_h_median: float | None
    false_alarms: int
    false_budget: float
    null_alarms: int
    null_budget: float
    ratio: float
    ratio_lo: float
    ratio_hi: float

    @property
    def passed(self) -> bool:
        """Return whether enough is found and the false alarms fit the budget, on both sides."""
        low, high = RATIO_WITHIN
        return self.found >= FOUND_AT_LEAST * self.seeds and low <= self.ratio <= high


def pool() -> ProcessPoolExecutor:
    """Return worker processes; started anew, since a fork of a process with threads (polars has some) can hang."""
    return ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn"))


def play(seed: int, *, null_budget_per_week: float | None = None) -> Played:
    """Play one seed with and without injection; a larger budget for the null month gives more alarms to count."""
    packaged = catalogues.load()
    shops = shops_of(packaged)
    month = real_time(shops, seed)
    opened = _opened(month, packaged)
    hits = [alarm for alarm in opened if alarm.key == month.injected_shop and alarm.pane > month.injected_at]
    found = min(hits, key=lambda alarm: alarm.pane, default=None)
    null_month = real_time(shops, seed, inject=False)
    null_catalogue = fixed(packaged, null_budget_per_week)
    watched_weeks = (null_month.end - ANCHOR_MS - LIVE_FROM_DAY * 24 * HOUR_MS) / WEEK_MS
    return Played(
        seed=seed,
        delay_answers=None if found is None else _answers_until(month, found.pane),
        delay_h=None if found is None else (found.pane - month.injected_at) / HOUR_MS,
        false_alarms=len(opened) - len(hits),
        null_alarms=len(_opened(null_month, null_catalogue)),
        null_budget=sum(rule.budget_per_week for rule in _drops(null_catalogue)) * watched_weeks,
    )


def fixed(packaged: Catalogue, budget_per_week: float | None) -> Catalogue:
    """Return the catalogue with the true bad share as fixed baseline of every drop rule."""
    return msgspec.structs.replace(
        packaged,
        alarm=[
            msgspec.structs.replace(
                rule, baseline=BaselineKind.FIXED, p0=BAD_SHARE, budget_per_week=budget_per_week or rule.budget_per_week
            )
            if rule.kind is RuleKind.DROP
            else rule
            for rule in packaged.alarm
        ],
    )


def _drops(catalogue: Catalogue) -> list[Rule]:
    return [rule for rule in catalogue.alarm if rule.kind is RuleKind.DROP]


def _opened(month: RealTime, catalogue: Catalogue) -> list[AlarmTransition]:
    names = {rule.name for rule in _drops(catalogue)}
    events = ({name: value for name, value in event.items() if name not in NOT_COUNTED} for event in month.events)
    said = alarms_of(events, catalogue, decisions=[month.renewal], pane_ms=PANE_MS, until=month.end)
    return [one for one in said if one.state is AlarmState.OPEN and one.rule in names]


def _answers_until(month: RealTime, pane: int) -> int:
    """Return how many CSAT answers after the injection had arrived from the hit shop when `pane` ended."""
    return len(
        {
            event["id"]
            for event in month.events
            if event["touchpoint"] == month.injected_shop
            and event["occurred_at"] >= month.injected_at
            and event["arrived_at"] < pane
            and any(given["question"] == "csat" for given in event.get("answers", ()))
        }
    )


def summarise(played: Sequence[Played]) -> Summary:
    """Return the figures of all seeds."""
    delays = sorted(one.delay_answers for one in played if one.delay_answers is not None)
    hours = [one.delay_h for one in played if one.delay_h is not None]
    alarms, budget = sum(one.null_alarms for one in played), sum(one.null_budget for one in played)
    tail = (1 - LEVEL) / 2
    lo = float(chi2.ppf(tail, 2 * alarms)) / 2 if alarms else 0.0
    hi = float(chi2.ppf(1 - tail, 2 * alarms + 2)) / 2
    weeks = sum(rule.budget_per_week for rule in _drops(catalogues.load())) * (28 - LIVE_FROM_DAY) / 7
    return Summary(
        seeds=len(played),
        found=len(delays),
        delay_answers_median=median(delays) if delays else None,
        delay_answers_p90=quantiles(delays, n=10)[-1] if len(delays) > 1 else None,
        delay_h_median=median(hours) if hours else None,
        false_alarms=sum(one.false_alarms for one in played),
        false_budget=weeks * len(played),
        null_alarms=alarms,
        null_budget=budget,
        ratio=alarms / budget,
        ratio_lo=lo / budget,
        ratio_hi=hi / budget,
    )


def run(*, seeds: int = 100, first_seed: int = 1, json_: bool = False) -> int:
    """Play `seeds` months, print what came out, and return 0 if the promises held, else 1."""
    wanted = range(first_seed, first_seed + seeds)
    progress = Console(stderr=True)
    with pool() as workers:
        coming = workers.map(play, wanted)
        if progress.is_terminal:
            played = list(track(coming, "playing months", total=seeds, console=progress))
        else:
            played = [_told(one, index, seeds, progress.print) for index, one in enumerate(coming, 1)]
    summary = summarise(played)
    if json_:
        json.dump({**asdict(summary), "passed": summary.passed, "months": [asdict(one) for one in played]}, sys.stdout)
        print()
    else:
        show(summary, Console())
    return 0 if summary.passed else 1


def _told(one: Played, index: int, seeds: int, tell: Callable[[str], None]) -> Played:
    if index % 10 == 0 or index == seeds:
        tell(f"{index} of {seeds} months played")
    return one


def show(summary: Summary, console: Console) -> None:
    """Print the figures of all seeds."""
    table = Table(title=f"Drop alarm over {summary.seeds} simulated months", title_justify="left")
    table.add_column("what")
    table.add_column("seen", justify="right")
    table.add_column("promised", justify="right")
    table.add_row(
        "drop .10 to .45 found within the day", f"{summary.found}/{summary.seeds}", f">= {FOUND_AT_LEAST:.0%}"
    )
    if summary.delay_answers_median is not None and summary.delay_h_median is not None:
        table.add_row("  delay in answers, median", f"{summary.delay_answers_median:.0f}", "")
        table.add_row("  delay in hours, median (shops are closed at night)", f"{summary.delay_h_median:.1f}", "")
    if summary.delay_answers_p90 is not None:
        table.add_row("  delay in answers, 90 % below", f"{summary.delay_answers_p90:.0f}", "")
    table.add_row(
        "false alarms, learned baselines", str(summary.false_alarms), f"<= {summary.false_budget:.1f} expected"
    )
    table.add_row(
        "false alarms, nothing changed, true share as baseline",
        str(summary.null_alarms),
        f"budget {summary.null_budget:.1f}",
    )
    table.add_row(
        "  by budget, with 95 % interval",
        f"{summary.ratio:.2f} ({summary.ratio_lo:.2f} to {summary.ratio_hi:.2f})",
        f"{RATIO_WITHIN[0]} to {RATIO_WITHIN[1]}",
    )
    console.print(table)
    console.print("[green]passed[/]" if summary.passed else "[bold red]failed[/]")
