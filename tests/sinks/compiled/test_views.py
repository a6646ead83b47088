"""The compiled views: calendar days, smoothed values, retractions, and which of them exist."""

import re
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec
import pytest
from clickhouse_driver import Client

from schemas.catalogue import Catalogue
from schemas.event import Answer, Channel, FeedbackEvent
from sinks.compiled.making import compiled, make_views
from streams.core.smoothing import decayed, smoothed_mean, smoothed_share
from tests.sinks.compiled.conftest import EVERY_KIND, stored

HOUR_MS = 3_600_000
Migrated = Callable[[str], Client]


@pytest.fixture(scope="module")
def whole(migrated: Migrated) -> Client:
    return migrated(str(EVERY_KIND))


@pytest.fixture
def client(whole: Client, every_kind: Catalogue) -> Client:
    """An empty database with the views of every kind."""
    for table in ("feedback_events", "tallies"):
        whole.execute(f"TRUNCATE TABLE {table}")
    return whole


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def rated(number: int, occurred_at: int, score: float = 5.0, **more: object) -> FeedbackEvent:
    fields: dict[str, object] = {
        "event_id": f"00000000-0000-0000-0000-{number:012}", "channel": Channel.CARD, "kind": "rating", "source": "test/1",
        "touchpoint": "paris", "occurred_at": occurred_at, "received_at": occurred_at,
        "answers": [Answer(question="csat", question_version="2", score=score, scale_min=1, scale_max=5)],
    }  # fmt: skip
    return FeedbackEvent(**{**fields, **more})


def taken_back(old: FeedbackEvent, number: int) -> FeedbackEvent:
    event_id = f"00000000-0000-0000-0001-{number:012}"
    return msgspec.structs.replace(old, event_id=event_id, corrects=old.event_id, retract=True)


def hours(first: str, size: int) -> list[FeedbackEvent]:
    start = at(first)
    return [rated(hour, start + hour * HOUR_MS) for hour in range(size)]


@pytest.mark.parametrize(
    ("first", "day", "long"),
    [
        ("2026-03-27T23:00", "2026-03-29", 23),
        ("2026-10-23T22:00", "2026-10-25", 25),
        ("2026-06-01T22:00", "2026-06-03", 24),
    ],
)
def test_a_calendar_day_of_a_place_has_as_many_hours_as_its_clocks_show(
    client: Client, every_kind: Catalogue, first: str, day: str, long: int
) -> None:
    stored(client, every_kind, hours(first, 96))
    days = client.execute(
        "SELECT dimension, key, time_zone, n FROM v_metric_csat WHERE toString(day) = %(day)s ORDER BY ALL",
        {"day": day},
    )
    assert days == [
        ("*", "*", "UTC", 24),
        ("channel", "card", "UTC", 24),
        ("channel+touchpoint", '["card","paris"]', "Europe/Paris", long),
        ("parent", "france", "Europe/Paris", long),
        ("touchpoint", "paris", "Europe/Paris", long),
    ]


def test_what_is_taken_back_counts_nowhere(client: Client, every_kind: Catalogue) -> None:
    said = [rated(i, at("2026-05-04T12:00"), 1.0 if i == 0 else 5.0) for i in range(4)]
    stored(client, every_kind, [*said, taken_back(said[0], 1)])
    assert client.execute("SELECT n, value, bins FROM v_metric_csat WHERE dimension = '*'") == [(3, 1.0, {"5": 3})]
    assert client.execute("SELECT n, satisfied FROM v_csat_daily") == [(3, 3)]
    assert client.execute("SELECT events, live, history FROM v_channel_volume") == [(3, 0, 3)]
    assert client.execute("SELECT count(), uniqExact(event_id) FROM v_events") == [(3, 3)]


def test_the_last_correction_stands_in_the_list_of_events(client: Client, every_kind: Catalogue) -> None:
    old = rated(1, at("2026-05-04T12:00"), 1.0)
    minus = taken_back(old, 1)
    plus = rated(2, old.occurred_at, 4.0, corrects=old.event_id)
    stored(client, every_kind, [old, minus, plus])
    assert client.execute("SELECT event_id, answer_score FROM v_events") == [(plus.event_id, [4.0])]
    assert client.execute("SELECT bins FROM v_metric_csat WHERE dimension = '*'") == [({"4": 1},)]


def test_smoothed_values_are_those_of_the_engine(client: Client, every_kind: Catalogue) -> None:
    start = at("2026-05-04T00:00")
    scores = [5, 1, 4, 4, 2, 5, 5, 3]
    stored(client, every_kind, [rated(i, start + i * 7 * HOUR_MS, float(score)) for i, score in enumerate(scores)])
    now = start + 60 * HOUR_MS
    decay = decayed({start + i * 7 * HOUR_MS + 30_000: {score: 1} for i, score in enumerate(scores)}, now, 24 * HOUR_MS)
    expected = smoothed_share(decay, (4, 5), 0.95)
    parameters = "half_life_h = 24, T = fromUnixTimestamp64Milli({}, 'UTC')"
    asked = "SELECT value, lo, hi, n_eff FROM v_metric_csat_smoothed({}) WHERE dimension = '*'"
    assert client.execute(asked.format(parameters.format(now))) == [pytest.approx(tuple(expected), rel=1e-9)]
    mean = smoothed_mean(decay, 0.95, (1, 5))
    assert expected.n_eff == mean.n_eff < len(scores)
    before = client.execute(asked.format(parameters.format(start + 10 * HOUR_MS)))
    assert before[0][3] < 2.0, "answers given after T are left out"


def test_views_of_a_metric_that_is_gone_are_dropped_and_no_others(client: Client, every_kind: Catalogue) -> None:
    less = msgspec.structs.replace(every_kind, metric=every_kind.metric[:1])
    client.execute("CREATE VIEW v_mine AS SELECT 1 AS a")
    assert make_views(client, less) == [f"v_metric_csat{more}" for more in ("", "_windows", "_recount", "_smoothed")]
    names = [name for (name,) in client.execute("SHOW TABLES LIKE 'v\\_m%'")]
    assert names == [
        "v_metric_csat",
        "v_metric_csat_recount",
        "v_metric_csat_smoothed",
        "v_metric_csat_windows",
        "v_mine",
    ]


def test_every_view_has_a_comment_on_every_column(client: Client) -> None:
    bare = client.execute(
        "SELECT table, name FROM system.columns WHERE database = currentDatabase() AND comment = '' AND startsWith(table, 'v_metric')"
    )
    assert bare == []
    shown = client.execute("SHOW CREATE VIEW v_metric_csat_smoothed")[0][0]
    assert shown.count("COMMENT") == 7


def test_text_of_the_catalogue_cannot_leave_its_literal(every_kind: Catalogue) -> None:
    nasty = "it's \\' ') ; DROP"
    metric = msgspec.structs.replace(every_kind.metric[0], question=nasty, title=nasty)
    for view in compiled(msgspec.structs.replace(every_kind, metric=[metric])):
        plain = re.sub(r"'(?:\\.|[^'\\])*'", "", view.statement)
        assert "DROP" not in plain and "'" not in plain
