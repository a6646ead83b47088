"""Alertmanager: postableAlerts as its OpenAPI file wants them, the same labels and startsAt from open to resolved."""

import asyncio
import json
import re
from datetime import datetime
from typing import Any

import pytest

from schemas.settings import Settings
from schemas.windows import HOUR_MS
from sinks.notifying.alertmanager import HOLD_MS, KEEP_EVERY_S, Alertmanager, alerts
from sinks.notifying.deliveries import Alarm, Notice, Place, Told, next_cut
from sinks.notifying.messages import ENGLISH, FRENCH
from sinks.notifying.outcomes import ACCEPTED
from sinks.notifying.transition import Transition, instant
from tests.sinks.notifying.conftest import T0, HttpReceiver, step
from tests.sinks.notifying.test_deliveries import entries

HERE: Place = ("alarms", 0)
RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


def check_postable(one: dict[str, Any]) -> None:
    """Check the rules of postableAlert in api/v2/openapi.yaml, and those of Alertmanager's own validation."""
    assert set(one) <= {"labels", "annotations", "startsAt", "endsAt", "generatorURL"}
    assert one["labels"]["alertname"]
    for name, value in [*one["labels"].items(), *one["annotations"].items()]:
        assert LABEL_NAME.fullmatch(name), name
        assert isinstance(value, str)
    assert all(one["labels"].values())
    for name in ("startsAt", "endsAt"):
        assert RFC3339.fullmatch(one[name])
    assert datetime.fromisoformat(one["startsAt"]) <= datetime.fromisoformat(one["endsAt"])


def posted(told: Told, now_ms: int, *steps: Transition) -> list[dict[str, Any]]:
    """Tell steps and return what Alertmanager is posted, in order."""
    out: list[dict[str, Any]] = []
    queues = {HERE: entries(*steps)}
    while cut := next_cut(queues, told, now_ms):
        queues = {HERE: [one for one in queues[HERE] if one.offset >= cut.ends[HERE]]}
        if cut.notice is not None:
            found = alerts(cut.notice, now_ms=now_ms, words=ENGLISH, public_url="https://b.example")
            for one in found:
                check_postable(one)
            out += found
            told.tell(cut.notice)
    return out


def test_an_alarm_keeps_labels_and_start_from_open_to_resolved_and_ends_where_it_resolved() -> None:
    told, now = Told(), T0 + 60_000
    opened, seen, over = posted(
        told, now, step(), step(sequence=2, state="acknowledged"), step(sequence=3, state="resolved", pane=T0 + 9_000)
    )
    assert opened["labels"] == seen["labels"] == over["labels"]
    assert opened["labels"] == {
        "alertname": "satisfaction_drop", "source": "barometer", "alarm_id": "a" * 32, "metric": "csat",
        "dimension": "touchpoint", "key": "paris", "direction": "down", "severity": "page",
    }  # fmt: skip
    assert {one["startsAt"] for one in (opened, seen, over)} == {instant(T0)}
    assert [one["annotations"]["state"] for one in (opened, seen, over)] == ["open", "acknowledged", "resolved"]
    assert (opened["endsAt"], over["endsAt"]) == (instant(now + HOLD_MS), instant(T0 + 9_000))
    assert opened["generatorURL"] == f"https://b.example/alarms/{'a' * 32}"


def test_an_alarm_is_sent_again_well_before_it_would_end() -> None:
    assert 1000 * KEEP_EVERY_S * 4 < HOLD_MS
    assert 1000 * KEEP_EVERY_S < 300_000, "resolve_timeout of Alertmanager"


def test_alarms_told_late_call_nobody_and_those_that_came_and_went_stand_in_the_digest_only() -> None:
    told, now = Told(), T0 + 5 * HOUR_MS
    standing, digest = posted(
        told, now, step(), step("b" * 32, key="lyon"), step("b" * 32, 2, "resolved", T0 + 1, key="lyon")
    )
    assert (standing["labels"]["key"], standing["labels"]["severity"]) == ("paris", "info")
    assert standing["annotations"]["severity_of_rule"] == "page"
    assert (digest["labels"]["alertname"], digest["labels"]["severity"]) == ("BarometerDigest", "info")
    assert digest["annotations"]["description"].count("\n- ") == 3
    (over,) = posted(told, now, step(sequence=2, state="resolved", pane=now))
    assert over["labels"] == standing["labels"]


def test_an_alarm_told_in_time_that_ends_during_an_outage_ends_under_its_own_labels() -> None:
    told = Told()
    (opened,) = posted(told, T0, step())
    over, _digest = posted(told, T0 + 5 * HOUR_MS, step(sequence=2, state="resolved", pane=T0 + 1))
    assert (over["labels"], over["endsAt"]) == (opened["labels"], instant(T0 + 1))


def test_a_state_that_nobody_knows_is_information_and_lapses() -> None:
    (one,) = posted(told := Told(), T0, step(state="transcended"))
    assert one["labels"]["severity"] == "info"
    assert told.standing() == []


def test_an_empty_label_is_left_out() -> None:
    (one,) = posted(Told(), T0, step(metric="", direction=""))
    assert not {"metric", "direction"} & one["labels"].keys()


@pytest.mark.parametrize("words", [ENGLISH, FRENCH], ids=["en", "fr"])
def test_both_languages_say_the_counts(words: Any) -> None:
    one = step()
    notice = Notice(id="x", digest=False, level="page", transitions=(one,), changes=(Told().change(one, digest=False),), reply_to=None)  # type: ignore[arg-type]  # fmt: skip
    (alert,) = alerts(notice, now_ms=T0, words=words, public_url="")
    assert "120" in alert["annotations"]["description"]
    assert words.states["open"] in alert["annotations"]["summary"]


def test_what_stands_open_is_posted_in_one_request_and_nothing_where_nothing_stands(
    http_receiver: HttpReceiver,
) -> None:
    async def keep() -> None:
        receiver = Alertmanager(Settings(alertmanager_url=http_receiver.url + "/"), lambda: T0 + 7)
        assert await receiver.keep([]) == ACCEPTED
        on_time, late = step(), step("b" * 32)
        standing = [Alarm(on_time, "", stands=True, late=False), Alarm(late, "", stands=True, late=True)]
        assert await receiver.keep(standing) == ACCEPTED
        await receiver.close()

    asyncio.run(keep())
    (request,) = http_receiver.requests
    assert request.path == "/api/v2/alerts"
    sent = json.loads(request.body)
    for one in sent:
        check_postable(one)
    assert [one["labels"]["severity"] for one in sent] == ["page", "info"]
    assert {one["endsAt"] for one in sent} == {instant(T0 + 7 + HOLD_MS)}
