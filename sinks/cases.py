"""What the weekly report asks of the store: counts, alarms, cases, response times and what customers wrote.

Times are epoch ms, days are calendar days of the touchpoint. No row holds a customer's pseudonym.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

from clickhouse_driver import Client

from sinks.clickhouse import PASSING, unavailable

Row = dict[str, Any]


class Count(NamedTuple):
    """How often a bin was counted and what it adds up to; `metric` is the metric's identity."""

    metric: str
    dimension: str
    key: str
    bin: int
    n: int
    total: int = 0


class Wanted(NamedTuple):
    """Which texts to quote: those of a key, of some events alone, or of all; the unhappy first, or the happy."""

    start_ms: int
    end_ms: int
    dimension: str = "*"
    key: str = "*"
    question: str = ""
    event_ids: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    happy_first: bool = False


def _ask(client: Client, query: str, parameters: dict[str, Any]) -> list[Row]:
    try:
        rows, columns = client.execute(query, parameters, with_column_types=True)
    except PASSING as error:
        raise unavailable(error) from error
    names = [name for name, _ in columns]
    return [{name: _plain(value) for name, value in zip(names, row, strict=True)} for row in rows]


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return round(value.replace(tzinfo=value.tzinfo or UTC).timestamp() * 1000)
    return value


def counts(client: Client, start_ms: int, end_ms: int) -> list[Count]:
    """Return the counts of what occurred in [start, end), whole minutes, by series and bin. Raises UnavailableError."""
    rows = _ask(
        client,
        "SELECT toString(metric) AS metric, toString(dimension) AS dimension, toString(key) AS key, bin, sum(count) AS n, sum(sum) AS total"
        " FROM tallies WHERE dimension IN ('*', 'channel', 'touchpoint')"
        " AND minute >= toDateTime(%(start)s, 'UTC') AND minute < toDateTime(%(end)s, 'UTC')"
        " GROUP BY metric, dimension, key, bin HAVING n != 0 OR total != 0 ORDER BY ALL",
        {"start": start_ms // 1000, "end": end_ms // 1000},
    )
    return [Count(**row) for row in rows]


def known_until(client: Client) -> int:
    """Return the arrived time up to which anything is known; 0 for an empty store."""
    rows = _ask(
        client,
        "SELECT max(reached) AS known_until FROM (SELECT max(arrived_at) AS reached FROM feedback_events"
        " UNION ALL SELECT max(arrived_at) FROM tallies)",
        {},
    )
    return int(rows[0]["known_until"])


def alarms(client: Client, start_ms: int, end_ms: int) -> list[Row]:
    """Return the transitions, in order, of the alarms that were not over at `start` and had begun before `end`."""
    return _ask(
        client,
        "SELECT * FROM v_alarm_history WHERE alarm_id IN (SELECT alarm_id FROM v_alarm_history"
        " WHERE first_pane < fromUnixTimestamp64Milli(%(end)s, 'UTC') GROUP BY alarm_id"
        " HAVING argMax(state, sequence) != 'resolved' OR max(pane) >= fromUnixTimestamp64Milli(%(start)s, 'UTC'))"
        " AND pane < fromUnixTimestamp64Milli(%(end)s, 'UTC') ORDER BY first_pane, alarm_id, sequence",
        {"start": start_ms, "end": end_ms},
    )


def escalations(client: Client, start_ms: int, end_ms: int) -> list[Row]:
    """Return the escalation cases under way in [start, end): highest rung first, then the newest."""
    return _ask(
        client,
        "SELECT * FROM v_escalation WHERE last_at >= fromUnixTimestamp64Milli(%(start)s, 'UTC')"
        " AND first_at < fromUnixTimestamp64Milli(%(end)s, 'UTC')"
        " ORDER BY indexOf(['remark', 'complaint', 'dispute'], last_rung) DESC, last_at DESC, topic, touchpoint",
        {"start": start_ms, "end": end_ms},
    )


def steps(client: Client) -> list[Row]:
    """Return from_rung, days and cause of every step on the ladder so far."""
    return _ask(client, "SELECT from_rung, days, cause FROM v_escalation_steps ORDER BY ALL", {})


def responses(client: Client, monday: date, sunday: date) -> list[Row]:
    """Return by touchpoint and channel how many messages of these days were answered in time."""
    return _ask(
        client,
        "SELECT touchpoint, channel, sum(n) AS n, sum(within) AS within, sum(waiting) AS waiting, sum(overdue) AS overdue,"
        " any(target_s) AS target_s FROM v_response_daily WHERE day BETWEEN %(monday)s AND %(sunday)s"
        " GROUP BY touchpoint, channel ORDER BY touchpoint, channel",
        {"monday": monday, "sunday": sunday},
    )


def repeats(client: Client, monday: date, sunday: date) -> list[Row]:
    """Return by touchpoint and channel how many contacts of these days came back within 7 days."""
    return _ask(
        client,
        "SELECT touchpoint, channel, sum(n) AS n, sum(repeats) AS repeats FROM v_repeat_contacts"
        " WHERE day BETWEEN %(monday)s AND %(sunday)s GROUP BY touchpoint, channel ORDER BY touchpoint, channel",
        {"monday": monday, "sunday": sunday},
    )


def buyers(client: Client, monday: date, sunday: date) -> list[Row]:
    """Return answers and satisfied of these days by customer class."""
    return _ask(
        client,
        "SELECT toString(customer_class) AS customer_class, sum(n) AS n, sum(satisfied) AS satisfied FROM v_buyers"
        " WHERE day BETWEEN %(monday)s AND %(sunday)s GROUP BY customer_class ORDER BY customer_class",
        {"monday": monday, "sunday": sunday},
    )


def first_answers(client: Client, monday: date) -> list[Row]:
    """Return answers, counted, satisfied among the counted, and repeats of the ISO week of this Monday; one row or none."""
    return _ask(
        client,
        "SELECT sum(answers) AS answers, sum(counted) AS counted, sum(satisfied) AS satisfied, sum(repeats) AS repeats"
        " FROM v_first_answers WHERE week = %(monday)s HAVING answers > 0",
        {"monday": monday},
    )


_BAD_FIRST = "['dispute', 'letter', 'complaint', 'remark', 'comment', 'suggestion', 'question', 'idea', 'rating']"


def verbatims(client: Client, wanted: Wanted, *, limit: int = 5) -> list[Row]:
    """Return what customers wrote: at most one text of each, and each text once; at_ms, touchpoint, channel, kind, score, text."""
    where = {"*": "1", "channel": "channel = %(key)s", "touchpoint": "touchpoint = %(key)s"}[wanted.dimension]
    direction = "DESC" if wanted.happy_first else "ASC"
    kind = f"indexOf({_BAD_FIRST}, kind)"
    return _ask(
        client,
        f"SELECT at_ms, touchpoint, channel, kind, score, text FROM (SELECT * FROM ("
        f" SELECT toUnixTimestamp64Milli(occurred_at) AS at_ms, toString(touchpoint) AS touchpoint, toString(channel) AS channel,"
        f" toString(kind) AS kind, text, if(subject = '', event_id, subject) AS person, event_id,"
        f" indexOf(answer_question, %(question)s) AS found, if(found = 0, NULL, answer_score[found]) AS score,"
        f" if({kind} = 0, 99, {kind}) AS place FROM feedback_events"
        f" WHERE {where} AND text != '' AND direction = 'in' AND NOT non_human"
        f" AND occurred_at >= fromUnixTimestamp64Milli(%(start)s, 'UTC') AND occurred_at < fromUnixTimestamp64Milli(%(end)s, 'UTC')"
        f" AND (empty(%(ids)s) OR has(%(ids)s, event_id)) AND (empty(%(kinds)s) OR has(%(kinds)s, toString(kind)))"
        f" AND event_id IN (SELECT event_id FROM v_standing_as_known_at(T = toDateTime64('2299-01-01 00:00:00', 3, 'UTC'))"
        f"  WHERE occurred_at >= fromUnixTimestamp64Milli(%(start)s, 'UTC') AND occurred_at < fromUnixTimestamp64Milli(%(end)s, 'UTC')))"
        f" ORDER BY score {direction} NULLS LAST, place {direction}, at_ms DESC, event_id LIMIT 1 BY person)"
        f" ORDER BY score {direction} NULLS LAST, place {direction}, at_ms DESC, event_id LIMIT 1 BY text LIMIT %(limit)s",
        {
            "start": wanted.start_ms, "end": wanted.end_ms, "key": wanted.key, "question": wanted.question,
            "ids": _array(wanted.event_ids), "kinds": _array(wanted.kinds), "limit": limit,
        },
    )  # fmt: skip


def _array(values: Sequence[str]) -> list[str]:
    return list(values)
