"""The demonstration against a running stack: import a month, arm the rules, live through a day, check what came out."""

import asyncio
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console

from deploy import alarms as decisions
from deploy import wiring
from deploy.alarms import By
from deploy.arming import refusal, tried
from deploy.backtesting import Source
from deploy.demo import outcome as outcomes
from deploy.demo.files import HistoryFile, write_history
from deploy.demo.live import Sent, send_day
from deploy.demo.outcome import Given, Outcome
from deploy.demo.scenario import HISTORY_EVENTS, LIVE_EVENTS, LIVE_S, Month, month
from deploy.demo.shops import shops_of
from deploy.demo.show import show
from deploy.progress import Told
from deploy.settle import settle
from schemas.clock import Clock, system_clock
from schemas.errors import BarometerError, UnavailableError
from schemas.rules import IMMEDIATE
from schemas.settings import Settings
from schemas.windows import DAY_MS
from sinks import clickhouse
from sinks.accounting import recount_repeats

SETTLE_TIMEOUT_S = 180.0
ARM_TIMEOUT_S = 30.0
ARMED_TIMEOUT_S = 30.0
POLL_S = 0.2
ARMED = 'barometer_detector_armed_keys{rule="satisfaction_drop"} '


def run_demo(
    endpoints: Mapping[str, Any],
    settings: Settings,
    *,
    seed: int,
    json_: bool,
    history_events: int = HISTORY_EVENTS,
    live_events: int = LIVE_EVENTS,
    live_s: float = LIVE_S,
    clock: Clock = system_clock,
) -> int:
    """Play the month of a seed on the stack that `endpoints` names; return 0 only if every check held.

    With `json_` standard output gets exactly one object; what happens is told on standard error then.
    """
    console = Console(stderr=json_)
    outcome, played = play(
        endpoints,
        settings,
        seed=seed,
        told=Told(console),
        history_events=history_events,
        live_events=live_events,
        live_s=live_s,
        clock=clock,
    )
    if json_:
        json.dump(outcome.as_json(), sys.stdout, ensure_ascii=False)
        print(flush=True)
    else:
        show(outcome, played, console)
    return 1 if outcome.problems else 0


def play(
    endpoints: Mapping[str, Any],
    settings: Settings,
    *,
    seed: int,
    told: Told,
    history_events: int,
    live_events: int,
    live_s: float,
    clock: Clock,
) -> tuple[Outcome, Month]:
    """Play the month and return what came out, and what it was."""
    catalogue = wiring.catalogue(settings)
    shops = shops_of(catalogue)
    anchor_ms = clock() // DAY_MS * DAY_MS
    played = month(shops, seed, anchor_ms, history_events=history_events, live_events=live_events, live_s=live_s)
    told.say(
        f"seed {seed}: {len(shops)} shops, {len(played.history)} past events in files, {len(played.live)} live sends;"
        f" from second {live_s / 4:.0f} on the bad share at {played.injected_shop} is .45 instead of .10"
    )
    imported = _import(settings, write_history(played, Path(settings.data_dir) / "files"), told)
    _settled(settings, told, "the history is counted, judged and stored")
    _armed(endpoints, settings, told, len(shops))
    sent = _live_day(endpoints, played, seed, clock, told)
    pane = _settled(settings, told, "the live day is counted, judged and stored")
    _judged(settings, pane + 2 * settings.provisional_step_ms, told)
    return _outcome(settings, played, sent, imported), played


def _import(settings: Settings, files: list[HistoryFile], told: Told) -> int:
    rows = 0
    for file in files:
        result = wiring.import_file(settings, file.path, mapping=file.mapping, source=file.source)
        told.say(f"  {file.path.name}: {result.rows} rows, {result.published} published, {result.rejected} rejected")
        rows += result.rows
    return rows


def _settled(settings: Settings, told: Told, what: str) -> int:
    began = time.monotonic()
    pane = settle(settings.kafka_bootstrap, settings.topic_prefix, timeout_s=SETTLE_TIMEOUT_S)
    told.say(f"{what} ({time.monotonic() - began:.1f} s)")
    return pane


def _judged(settings: Settings, pane: int, told: Told) -> None:
    """Wait until a later pane is judged and stored: provisional rows come at most once a provisional step."""
    while (reached := settle(settings.kafka_bootstrap, settings.topic_prefix, timeout_s=SETTLE_TIMEOUT_S)) < pane:
        time.sleep(min(1.0, (pane - reached) / 1000))
    told.say("the readings of the last answers stand")


def _armed(endpoints: Mapping[str, Any], settings: Settings, told: Told, shops: int) -> None:
    """Arm every rule with statistics as an operator would: backtest over the imported month, then the command.

    The month was imported at once, so its events count as if they had come live. Returns when every shop is watched.
    """
    catalogue = wiring.catalogue(settings)
    for rule in catalogue.alarm:
        if rule.kind in IMMEDIATE:
            continue
        report = tried(rule, Source(until=system_clock(), as_live=True), catalogue, settings)
        why = refusal(report, force=False, note="")
        if why:
            raise BarometerError("not_armed", why, "the generator or the detector has changed: see make simulate")
        decisions.arm(settings, rule, report.summary(), By("demo", "after its backtest"), timeout_s=ARM_TIMEOUT_S)
        told.say(
            f"{rule.name}: {report.alarms} alarms in {report.weeks:.1f} weeks of the imported month"
            f" (budget {rule.budget_per_week:g} a week): armed"
        )
    deadline = time.monotonic() + ARMED_TIMEOUT_S
    url, armed = endpoints["metrics"]["judge"], 0.0
    while armed < shops:
        if time.monotonic() > deadline:
            raise UnavailableError("not_armed", f"{armed:.0f} of {shops} shops are watched", "see the judge's log")
        lines = httpx.get(url).raise_for_status().text.splitlines()
        armed = next((float(line.removeprefix(ARMED)) for line in lines if line.startswith(ARMED)), 0.0)
        time.sleep(POLL_S)
    told.say(f"the drop alarm watches {shops} shops")


def _live_day(endpoints: Mapping[str, Any], played: Month, seed: int, clock: Clock, told: Told) -> Sent:
    told.say(f"the live day: {len(played.live)} sends to {endpoints['gateway']}/v1/feedback")
    with told.step("sent", len(played.live)) as step:
        return asyncio.run(
            send_day(
                played.live,
                gateway=endpoints["gateway"],
                write_key=endpoints["write_key"],
                clock=clock,
                seed=seed,
                tell=step,
            )
        )


def _outcome(settings: Settings, played: Month, sent: Sent, imported: int) -> Outcome:
    with clickhouse.connect(settings) as client:

        def query(statement: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
            rows: list[tuple[Any, ...]] = client.execute(statement, dict(parameters))
            return rows

        raised = [send.event["id"] for send in played.live if send.injected]
        first_ms = outcomes.first_arrival(query, raised)
        disputes = [send.event["id"] for send in played.live if send.event.get("kind") == "dispute"]
        dispute_ms = outcomes.first_arrival(query, disputes)
        readings, alarms = outcomes.readings_of(query), outcomes.alarms_of(query, first_ms, dispute_ms)
        rows, rejected = outcomes.count(query, "feedback_events"), outcomes.count(query, "rejected_events")
    repeats = recount_repeats(settings)
    injected_at, dispute_at = (
        min((sent.occurred_at[one] for one in ids if one in sent.occurred_at), default=None)
        for ids in (raised, disputes)
    )
    problems = outcomes.problems_of(
        played,
        sent=sent.items + imported,
        rows=rows,
        repeats=repeats,
        rejected=rejected,
        alarms=alarms,
        injected_at=injected_at,
    )
    given = _given(played, sent)
    problems += outcomes.missing_readings(readings, given) + outcomes.wrong_readings(readings, given)
    return Outcome(
        sent=sent.items + imported,
        rows=rows,
        repeats=repeats,
        rejected=rejected,
        readings=readings,
        alarms=alarms,
        injected=[
            {"metric": "csat", "dimension": "touchpoint", "key": played.injected_shop, "at": injected_at},
            {"metric": "dispute", "dimension": "touchpoint", "key": played.dispute_shop, "at": dispute_at},
        ],
        problems=problems,
    )


def _given(played: Month, sent: Sent) -> list[Given]:
    """Return every CSAT answer that was given, once."""
    asked = [(item.event, item.at_ms // 1000 * 1000) for item in played.history]
    asked += [
        (send.event, sent.occurred_at[send.event["id"]])
        for send in played.live
        if send.repeats is None and not send.broken
    ]  # fmt: skip
    return [
        Given(event_id=event["id"], shop=event["touchpoint"], occurred_at=at)
        for event, at in asked
        if any(one["question"] == "csat" for one in event.get("answers", ()))
    ]
