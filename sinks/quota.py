"""How much a sink may set aside before it stops: past a share, or so many in a row, the fault is no record's but a source's.

The share is that of a topic over the last thousand or two of each partition, or the batch if that is more; records in a row are those
of a partition, or those that the store refused of one batch with none taken between; ticks do not count. The counts stand in the commit beside the position: a restart goes on counting, and cannot drain a
topic a little at a time.
"""

from collections.abc import Iterable, Mapping, Sequence

from schemas.arrival import TICK_KEY
from schemas.errors import ContractError
from sinks.making import Take
from sinks.ranges import NONE_YET, Counts

LEAST_RECORDS = 1_000
"""Fewer records of a topic have no share that says anything; then only those in a row count."""

PartitionId = tuple[str, int]
"""Topic id and partition."""


class TooManyRejectedError(ContractError):
    """More was to be set aside than the settings allow; nothing is committed past it."""


class Quota:
    """The records of one batch, and what of it is set aside; `add` raises when that is too much."""

    def __init__(
        self, table: str, takes: Sequence[Take], before: Mapping[PartitionId, Counts], *, ratio: float, run: int
    ) -> None:
        """`before`: what the commits say of every partition. `ratio`: 1 means no limit. `run`: as many in a row are too many."""
        self._table, self._before, self._ratio, self._longest = table, before, ratio, run
        self._takes = {(take.topic_id, take.partition): take for take in takes}
        self._topics: dict[str, list[PartitionId]] = {}
        for place, take in self._takes.items():
            self._topics.setdefault(take.topic.name, []).append(place)
        self._records = {
            place: sum(one.value is not None or one.key != TICK_KEY for one in take.records)
            for place, take in self._takes.items()
        }
        self._aside: dict[PartitionId, set[int]] = {}
        self._order: dict[PartitionId, dict[int, int]] = {}
        self._refused = 0

    def refused(self, place: tuple[str, int, int]) -> None:
        """Take note that the store refused a record for what it holds. Raises TooManyRejectedError."""
        self._refused += 1
        if self._ratio < 1 and self._refused >= self._longest:
            raise self._stopped(f"{self._refused} records in a row, which the store refuses,")
        self.add([place])

    def taken(self) -> None:
        """Take note that the store took records of the batch."""
        self._refused = 0

    def add(self, places: Iterable[tuple[str, int, int]]) -> None:
        """Take note that the records at (topic id, partition, offset) are set aside. Raises TooManyRejectedError."""
        touched = set()
        for topic_id, partition, offset in places:
            at = (topic_id, partition)
            number = self._numbers(at)[offset]
            self._aside.setdefault(at, set()).add(number)
            touched.add(self._takes[at].topic.name)
            if self._ratio >= 1:
                continue
            run = self._run_around(at, number)
            if run >= self._longest:
                name = self._takes[at].topic.name
                raise self._stopped(f"{run} records of {name}-{partition} in a row, up to offset {offset},")
        for name in touched:
            self._check_share(name)

    def after(self, place: PartitionId) -> Counts:
        """Return the counts of a partition with this batch."""
        before = self._before.get(place, NONE_YET)
        new = self._records.get(place, 0)
        if not new:
            return before
        aside = self._aside.get(place, ())
        records, bad = before.records + new, before.aside + len(aside)
        while records > 2 * LEAST_RECORDS:
            records, bad = records // 2, bad // 2
        if not aside:
            return Counts(records, bad, 0)
        last = len(self._numbers(place)) - 1
        return Counts(records, bad, self._run_around(place, last) if last in aside else 0)

    def _check_share(self, name: str) -> None:
        """Raise TooManyRejectedError if too much of a topic is set aside."""
        own = set(self._topics[name])
        records = sum(self._records[place] for place in own) + sum(
            self._before.get(place, NONE_YET).records for place in own
        )
        aside = sum(len(self._aside.get(place, ())) + self._before.get(place, NONE_YET).aside for place in own)
        if records >= LEAST_RECORDS and aside > self._ratio * records:
            raise self._stopped(f"{aside} of the last {records} records of {name}")

    def _stopped(self, what: str) -> TooManyRejectedError:
        return TooManyRejectedError(
            "too_many_rejected",
            f"{what} would be set aside by the sink of {self._table}, the limit is {self._ratio:.0%} or"
            f" {self._longest} in a row: nothing is committed past them",
            "look at `barometer rejected list` and at what changed in source or table, and mend it; to set them aside"
            " all the same, start once with BAROMETER_SINK_MAX_REJECTED_RATIO=1",
        )

    def _numbers(self, place: PartitionId) -> dict[int, int]:
        """Return offset -> number among the records that are no ticks."""
        if place not in self._order:
            wanted = [one.offset for one in self._takes[place].records if one.value is not None or one.key != TICK_KEY]
            self._order[place] = {offset: number for number, offset in enumerate(wanted)}
        return self._order[place]

    def _run_around(self, place: PartitionId, number: int) -> int:
        """Return how many in a row are set aside around a record, with those before the batch."""
        aside = self._aside[place]
        first = last = number
        while first - 1 in aside:
            first -= 1
        while last + 1 in aside:
            last += 1
        return last - first + 1 + (self._before.get(place, NONE_YET).run if first == 0 else 0)
