"""The counts of a metric as cells (dimension, key, stratum, minute, bin, count, sum), from `tallies` or straight from `feedback_events`.

A retraction counts -1 in every cell of what it takes back. Both sources hold every key: only the judge bounds keys.
"""

from collections.abc import Mapping

from schemas.catalogue import Catalogue
from schemas.event import Channel
from schemas.metrics import ALL, ATTRIBUTE, PAIR, Metric
from sinks.compiled import KINDS
from sinks.compiled.literals import text, texts
from sinks.compiled.selections import ORIGINAL, STORED, Rows

PROBE = "(probe OR kind = 'probe')"
_PLAIN = {
    ALL: text(ALL),
    "channel": "toString(channel)",
    "touchpoint": "nullIf(toString(touchpoint), '')",
    "product": "nullIf(toString(product), '')",
}


def tally_cells(metric: Metric) -> str:
    """Return the SELECT of the cells that stage 1 counted under the identity of this definition."""
    return (
        "SELECT toString(dimension) AS dimension, toString(key) AS key, toString(stratum) AS stratum, minute, "
        "toInt64(bin) AS bin, count, sum "
        f"FROM tallies WHERE metric = {text(metric.identity)}"
    )


def event_cells(metric: Metric, catalogue: Catalogue, rows: Rows = STORED) -> str:
    """Return the SELECT of the cells that events make: a recount without the streams."""
    selection = KINDS[metric.kind].select(metric)
    values = "".join(f"{expression} AS {name}, " for name, expression in selection.values.items())
    conditions = [PROBE if metric.probes else f"NOT {PROBE}", f"({selection.where})"]
    if set(metric.channels) != set(Channel):
        conditions.append(f"channel IN ({texts(metric.channels)})")
    once = ""
    if metric.one_per is not None:
        who = {"subject": "subject", "conversation": "conversation_ref"}[metric.one_per]
        period = f"intDiv(toUnixTimestamp64Milli(arrived_at), {metric.one_per_period_ms})"
        conditions.append(ORIGINAL)
        values += f"({who} = '' OR offset = min(offset) OVER (PARTITION BY topic_id, partition, channel, {who}, {period})) AS counts, "
        once = " AND counts"
    parents = {one.name: one.parent for one in catalogue.touchpoint if one.parent is not None}
    places = ", ".join(f"({text(one)}, {key(one, parents)})" for one in metric.dimensions)
    return (
        "SELECT place.1 AS dimension, assumeNotNull(place.2) AS key, stratum, minute, bin, sign AS count, sign * worth AS sum FROM ("
        f"SELECT {values}if(retract, -1, 1) AS sign, toString(channel) AS stratum, toStartOfMinute(toDateTime(occurred_at, 'UTC')) AS minute, "
        f"toInt64({selection.bin}) AS bin, {'bin' if selection.sum is None else f'toInt64({selection.sum})'} AS worth, "
        f"arrayJoin([{places}]) AS place FROM {selection.rows(rows)} WHERE {' AND '.join(conditions)}"
        f") WHERE isNotNull(place.2){once}"
    )


def key(dimension: str, parents: Mapping[str, str]) -> str:
    """Return the key of an event in a dimension, as Nullable(String); NULL where it has none."""
    parts = [_simple(one, parents) for one in dimension.split(PAIR, 1)]
    if len(parts) == 1:
        return f"toNullable({parts[0]})"
    first, second = parts
    array = f"replaceAll(toJSONString([assumeNotNull({first}), assumeNotNull({second})]), '\\\\/', '/')"
    return f"if(isNull({first}) OR isNull({second}), NULL, {array})"


def _simple(dimension: str, parents: Mapping[str, str]) -> str:
    if dimension in _PLAIN:
        return _PLAIN[dimension]
    if dimension.startswith(ATTRIBUTE):
        name = text(dimension.removeprefix(ATTRIBUTE))
        return f"if(mapContains(attributes, {name}), attributes[{name}], NULL)"
    below, above = ", ".join(map(text, parents)), ", ".join(map(text, parents.values()))
    return (
        f"nullIf(transform(toString(touchpoint), [{below}], [{above}], ''), '')"
        if parents
        else "CAST(NULL, 'Nullable(String)')"
    )
