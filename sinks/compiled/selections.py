"""Which rows of feedback_events count for a metric, in which bin, and what each adds to the sum: one function a kind.

The same rules as streams/core/kinds, said in SQL; tests/sinks/compiled proves that both count alike.
"""

from collections.abc import Callable
from operator import attrgetter
from typing import NamedTuple

from schemas.event import NO_CONTACT, UNDIRECTED
from schemas.metrics import Metric, whole_weights
from sinks.compiled.literals import text, texts

DIRECT = "NOT second_hand AND NOT non_human"
BEST = 100
"""The best score of an observation grid."""
LARGEST = 10**12
"""The largest amount that is summed."""
SHORTEST_MS = 60_000
"""Shorter waiting times are not told apart."""
CLASS_EDGES = tuple(101**bucket // 99**bucket for bucket in range(3, 1_250, 4))
"""Class of amounts -> the largest amount in it: every fourth edge of the sketch, in exact arithmetic."""


class Rows(NamedTuple):
    """What is counted, as SQL: the events, and up to where panes are closed (topic_id, partition, reached: ms, not included)."""

    events: str
    closed: str


STORED = Rows(
    "feedback_events",
    "(SELECT source_topic_id AS topic_id, source_partition AS partition, toUnixTimestamp64Milli(max(to_pane)) AS reached "
    "FROM tallies GROUP BY topic_id, partition)",
)
"""Everything that is stored."""


class Selection(NamedTuple):
    """SQL over one row of events: named values, the condition, the bin and what the row adds to the sum."""

    values: dict[str, str]
    where: str
    bin: str
    sum: str | None = None
    """None: its bin."""
    rows: Callable[[Rows], str] = attrgetter("events")
    """What the row is one of: the events, or a subquery that joins to each what is remembered with it."""


def asked(metric: Metric) -> Selection:
    """Select the answers to one question; a bin is a point of the scale."""
    return Selection({"score": _score(metric.question, metric.question_version, metric.scale)}, f"{_given('score')} AND {DIRECT}",
                     "assumeNotNull(score)")  # fmt: skip


def gap(metric: Metric) -> Selection:
    """Select who answered both questions; a bin is perceived minus expected."""
    values = {
        "perceived": _score(metric.question, metric.question_version, metric.scale),
        "expected": _score(metric.expected_question, None, metric.scale),
    }
    return Selection(values, f"{_given('perceived', 'expected')} AND {DIRECT}", "assumeNotNull(perceived - expected)")


def driver(metric: Metric) -> Selection:
    """Select who answered both questions; a bin is the pair of points, the overall one running faster."""
    assert metric.scale is not None
    assert metric.overall_scale is not None
    low, overall_low = metric.scale[0], metric.overall_scale[0]
    values = {
        "score": _score(metric.question, metric.question_version, metric.scale),
        "overall": _score(metric.overall_question, None, metric.overall_scale),
    }
    bin_ = f"assumeNotNull((score - ({low})) * {overall_points(metric)} + overall - ({overall_low}))"
    return Selection(values, f"{_given('score', 'overall')} AND {DIRECT}", bin_)


def overall_points(metric: Metric) -> int:
    """Return how many points the overall scale of a driver has."""
    assert metric.overall_scale is not None
    return metric.overall_scale[1] - metric.overall_scale[0] + 1


def grid(metric: Metric) -> Selection:
    """Select observation grids; a bin is the weighted mean of what was observed, in whole percent, rounded half up."""
    assert metric.scale is not None
    low, high = metric.scale
    weights = whole_weights(metric.grid)
    values = {
        f"seen_{i}": _score(question, metric.question_version, metric.scale) for i, question in enumerate(weights)
    }
    points = " + ".join(f"ifNull({w} * (seen_{i} - ({low})), 0)" for i, w in enumerate(weights.values()))
    seen = " + ".join(f"if(isNull(seen_{i}), 0, {w})" for i, w in enumerate(weights.values()))
    values |= {"points": points, "most": f"({seen}) * {high - low}"}
    return Selection(values, f"most > 0 AND {DIRECT}", f"intDiv({2 * BEST} * points + most, greatest(2 * most, 1))")


def event_share(metric: Metric) -> Selection:
    """Select the whole, `events` in bin 1; without `among` the whole is every contact of a customer."""
    if metric.among:
        return two_sided(metric)
    where = f"{DIRECT} AND direction = 'in' AND kind NOT IN ({texts(NO_CONTACT)})"
    return Selection({}, where, f"toInt64(kind IN ({texts(metric.events)}))")


def two_sided(metric: Metric) -> Selection:
    """Select `events` in bin 1 and the other kinds of `among` in bin 0."""
    kinds = {*metric.events, *metric.among}
    where = f"{DIRECT} AND kind IN ({texts(kinds)}) AND (direction = 'in' OR kind IN ({texts(UNDIRECTED)}))"
    return Selection({}, where, f"toInt64(kind IN ({texts(metric.events)}))")


def count(metric: Metric) -> Selection:
    """Select events, of some kinds or of all; second-hand notes and machines too."""
    return Selection({}, f"kind IN ({texts(metric.events)})" if metric.events else "1", "toInt64(1)")


def amount(metric: Metric) -> Selection:
    """Select orders by their amounts in one currency; a bin is a class of amounts, the sum is exact."""
    assert metric.currency is not None
    where = (
        f"kind IN ({texts(metric.events)}) AND order_currency = {text(metric.currency)} "
        f"AND ifNull(order_amount_minor BETWEEN 0 AND {LARGEST}, 0)"
    )
    edges = ", ".join(map(str, CLASS_EDGES))
    paid = "assumeNotNull(order_amount_minor)"
    return Selection({}, where, f"toInt64(arrayCount(edge -> edge < {paid}, [{edges}]))", paid)


def _score(question: str | None, version: str | None, scale: tuple[int, int] | None) -> str:
    """Return the first answer to a question on its scale, if it is a whole number on it; NULL otherwise."""
    assert question is not None
    assert scale is not None
    low, high = scale
    names, arrays = "s, q, a, b", "answer_score, answer_question, answer_scale_min, answer_scale_max"
    right = f"q = {text(question)} AND a = {low} AND b = {high}"
    if version is not None:
        names, arrays, right = f"{names}, v", f"{arrays}, answer_question_version", f"{right} AND v = {text(version)}"
    first = f"arrayFirstOrNull(({names}) -> {right}, {arrays})"
    return f"arrayMap(s -> if(s BETWEEN {low} AND {high} AND s = floor(s), toInt64(s), NULL), [{first}])[1]"


def _given(*names: str) -> str:
    return " AND ".join(f"isNotNull({name})" for name in names)


FIRST_HAND = f"NOT (probe OR kind = 'probe') AND {DIRECT}"
ORIGINAL = "NOT retract AND corrects = ''"
ARRIVED = "toUnixTimestamp64Milli(arrived_at)"
OCCURRED = "toUnixTimestamp64Milli(occurred_at)"
THREAD = "topic_id, partition, channel, subject, conversation_ref"


def repeat(metric: Metric) -> Selection:
    """Select contacts of known customers; bin 1: the same customer, channel and topic had one at most so long before."""

    def contacts(rows: Rows) -> str:
        return (
            f"(SELECT *, lagInFrame(toNullable({ARRIVED})) OVER (PARTITION BY topic_id, partition, channel, subject, attributes['topic'] "
            "ORDER BY offset ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS before "
            f"FROM {rows.events} WHERE {_asks(metric)} AND subject != '')"
        )

    return Selection({}, "1", f"ifNull({ARRIVED} - before <= {metric.within_ms}, 0)", rows=contacts)


def response(metric: Metric) -> Selection:
    """Select messages that were answered or are late; bin 1: answered within the target."""
    return _threads(metric, f"toInt64(ifNull(waited <= {metric.target_ms}, 0))")


def response_quantile(metric: Metric) -> Selection:
    """Select messages that were answered or are late; a bin is a class of waiting times, the last one of those still open."""
    edges = ", ".join(map(str, waiting_edges(metric)))
    return _threads(
        metric,
        f"if(isNull(waited), {len(waiting_edges(metric)) + 1}, arrayCount(edge -> edge < assumeNotNull(waited), [{edges}]))",
    )


def waiting_edges(metric: Metric) -> list[int]:
    """Return the longest waiting time of each class but the last, in ms: every fourth edge of the sketch."""
    sketch = [101**bucket // 99**bucket for bucket in range(1_251)]
    first, last = (
        next(i for i, edge in enumerate(sketch) if ms <= edge) // 4 for ms in (SHORTEST_MS, metric.memory_ms)
    )
    return [sketch[4 * number + 3] for number in range(first, max(first, last) + 1)]


def _asks(metric: Metric) -> str:
    return f"{FIRST_HAND} AND {ORIGINAL} AND direction = 'in' AND kind IN ({texts(metric.events)})"


def _threads(metric: Metric, bin_: str) -> Selection:
    """Select by what was known of messages at the end of the last pane that their partition has closed."""
    waits = (
        f"arrayMap(one -> one.1 - {OCCURRED}, arrayFilter(one -> one.1 >= {OCCURRED} AND one.2 < reached "
        f"AND abs(one.2 - {ARRIVED}) <= {metric.memory_ms}, replies))"
    )
    late = f"greatest(least({OCCURRED}, {ARRIVED}) + {metric.target_ms}, {ARRIVED}) < reached"
    values = {"waits": waits, "waited": "if(empty(waits), NULL, arrayMin(waits))"}
    return Selection(values, f"{ARRIVED} < reached AND (notEmpty(waits) OR {late})", bin_, rows=_messages(metric))


def _messages(metric: Metric) -> Callable[[Rows], str]:
    """Return messages, each with the replies of its conversation and the time up to which its partition has closed panes."""
    said = "subject != '' AND conversation_ref != ''"
    answers = f"NOT (probe OR kind = 'probe') AND NOT non_human AND {ORIGINAL} AND direction = 'out' AND kind = 'reply'"

    def joined(rows: Rows) -> str:
        replies = (
            f"SELECT {THREAD}, groupArray(({OCCURRED}, {ARRIVED})) AS replies FROM {rows.events} "
            f"WHERE {answers} AND {said} GROUP BY {THREAD}"
        )
        return (
            f"(SELECT * FROM (SELECT * FROM {rows.events} WHERE {_asks(metric)} AND {said}) AS m "
            f"LEFT JOIN ({replies}) AS r USING ({THREAD}) LEFT JOIN {rows.closed} AS c USING (topic_id, partition))"
        )

    return joined
