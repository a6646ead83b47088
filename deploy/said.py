"""What a judge has said, as far as it must be the same however often it is asked: last readings by window end, and transitions."""

from collections.abc import Iterator, Mapping
from typing import Any

from aiokafka import TopicPartition
from clickhouse_driver.errors import Error as DriverError

from schemas.codec import Kind, decode
from schemas.outputs import AlarmTransition, Output, Reading, Status, output_to_record
from schemas.settings import Settings
from schemas.topics import ALARMS, READINGS
from sinks import clickhouse
from streams.ranges import open_partition
from streams.topic_ids import find_topics

Record = dict[str, Any]
ReadingKey = tuple[str, str, str, str, int]
"""Metric identity, dimension, key, window, window end."""
_TIMES = ("window_end", "as_of", "pane", "first_pane", "change_pane", "occurred_first", "occurred_last")


class Said:
    """The outputs of a judge: the last revision that is not provisional by window end, transitions by id, and their numbers."""

    def __init__(self) -> None:
        self.readings: dict[ReadingKey, Record] = {}
        self.transitions: dict[str, Record] = {}
        self.seqs: set[int] = set()
        self.doubled = 0

    def add(self, record: Record) -> None:
        """Take one output as a plain record."""
        if not record["seq"]:
            return  # a revision by the recount, which is no output of the judge
        if record["seq"] in self.seqs:
            self.doubled += 1
        self.seqs.add(record["seq"])
        if "transition_id" in record:
            self.transitions[record["transition_id"]] = record
        elif record["status"] != Status.PROVISIONAL:
            at = (record["metric_version"], record["dimension"], record["key"], record["window"], record["window_end"])
            held = self.readings.get(at)
            if held is None or record["revision"] > held["revision"]:
                self.readings[at] = record

    def add_output(self, output: Output) -> None:
        """Take one output."""
        if isinstance(output, AlarmTransition) or output.status is not Status.PROVISIONAL:
            self.add(output_to_record(output))
        else:
            self.seqs.add(output.seq)


def differences(clean: Said, stored: Said, where: str) -> Iterator[str]:
    """Yield in what `stored` is not what a clean pass says."""
    missing, foreign = len(clean.seqs - stored.seqs), len(stored.seqs - clean.seqs)
    if missing:
        yield f"{where}: {missing} outputs are missing, the first is number {min(clean.seqs - stored.seqs)}"
    if foreign:
        yield f"{where}: {foreign} outputs have numbers that nobody gave"
    if stored.doubled:
        yield f"{where}: {stored.doubled} outputs stand there twice"
    for name in ("readings", "transitions"):
        ours: Mapping[Any, Record] = getattr(clean, name)
        theirs: Mapping[Any, Record] = getattr(stored, name)
        for at in sorted(ours.keys() | theirs.keys()):
            one, other = ours.get(at), theirs.get(at)
            if one is None or other is None:
                yield f"{name} {at}: only in {where if one is None else 'the clean pass'}"
            elif one != other:
                fields = sorted(name for name in one if one[name] != other.get(name))
                detail = ", ".join(f"{name} {one[name]!r} != {other.get(name)!r}" for name in fields)
                yield f"{name} {at}: {detail}"


async def in_kafka(settings: Settings, last_seq: int) -> Said:
    """Return what stands committed in the topics, up to a number."""
    out = Said()
    for topic in (READINGS, ALARMS):
        for number in range(topic.partitions):
            partition = TopicPartition(settings.topic_prefix + topic.name, number)
            async with open_partition(settings.kafka_bootstrap, partition) as reader:
                async for records in reader.read(reader.first, reader.end):
                    for one in records:
                        kind, record = decode(one.value)
                        if kind in {Kind.READING, Kind.TRANSITION} and record["seq"] <= last_seq:
                            out.add(record)
    return out


def in_clickhouse(settings: Settings, last_seq: int) -> Said:
    """Return what stands in the tables, up to a number. Raises UnavailableError."""
    out = Said()
    names = [settings.topic_prefix + topic.name for topic in (READINGS, ALARMS)]
    ids = find_topics(settings.kafka_bootstrap, names)
    client = clickhouse.connect(settings)
    try:
        for name, table, kind in ((names[0], "readings", Reading), (names[1], "alarm_transitions", AlarmTransition)):
            columns = kind.__struct_fields__
            chosen = ", ".join(f"toUnixTimestamp64Milli({c})" if c in _TIMES else c for c in columns)
            rows = client.execute_iter(
                f"SELECT {chosen} FROM {table} WHERE topic_id = %(id)s AND seq <= %(seq)s",
                {"id": ids[name].topic_id, "seq": last_seq},
            )
            for row in rows:
                record = dict(zip(columns, row, strict=True))
                if "event_id" in record:
                    record["event_id"] = record["event_id"] or None
                out.add(record)
    except (*clickhouse.PASSING, DriverError) as error:
        raise clickhouse.unavailable(error) from error
    finally:
        client.disconnect()
    return out
