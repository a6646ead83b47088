"""The command `audit`."""

import json
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from deploy.audit import Audit, Entry
from deploy.audit import audit as audited
from deploy.cli_options import DataDir, Json, located
from deploy.progress import Told
from schemas.clock import system_clock

NAMED = 20
"""Ids that are printed of each stretch; --json has all."""
WIDE = 160


def audit(
    *,
    hours: Annotated[
        int, Parameter(help="closed hours to look back on, 1 to 144; the hour under way is always included")
    ] = 24,
    deep: Annotated[
        bool, Parameter(negative="", help="read the log of all of them again, not only where something is wrong")
    ] = False,
    json_: Json = False,
    data_dir: DataDir = None,
) -> int:
    """Prove that every offset of every topic is a row, a repeat, a rejection, a tick or a marker; name the ids that are missing.

    Exit code 1 if anything is missing, stands twice or was skipped.

    Example: `barometer audit --hours 24`
    """
    told = Told(Console(stderr=True))
    result = audited(located(data_dir), hours=hours, now_ms=system_clock(), deep=deep, tell=told.say)
    if json_:
        print(json.dumps(_plain(result)))
    else:
        _show(result)
    return 0 if result.holds else 1


def _plain(result: Audit) -> dict[str, Any]:
    return {
        "holds": result.holds, "since_ms": result.since_ms, "conflicts": result.conflicts, "waiting": result.waiting,
        "edge": msgspec.to_builtins(result.edge), "stretches": [_entry(one) for one in result.entries],
    }  # fmt: skip


def _entry(one: Entry) -> dict[str, Any]:
    stretch, line = one.stretch, one.stretch.line
    return {
        "topic": line.source_topic, "partition": line.source_partition, "hour": _hour(line.hour), "closed": stretch.closed,
        "first_offset": line.first_offset, "next_offset": line.next_offset, "offsets": stretch.offsets, "rows": stretch.rows,
        "rejected": stretch.rejected, "repeats": line.repeats, "ticks": line.ticks, "markers": stretch.markers,
        "residue": stretch.residue, "faults": one.faults,
        "missing": [] if one.found is None else [{"offset": at.offset, "id": at.id} for at in one.found.missing],
        "doubled": [] if one.found is None else [at._asdict() for at in one.found.doubled],
        "strange": [] if one.found is None else [at._asdict() for at in one.found.strange],
    }  # fmt: skip


def _hour(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:00Z")


def _show(result: Audit) -> None:
    console = Console(width=None if Console().is_terminal else WIDE)
    table = Table(title=f"Offsets since {_hour(result.since_ms)}, by topic", title_justify="left")
    for name in (
        "topic",
        "offsets",
        "= rows",
        "+ repeats",
        "+ rejected",
        "+ ticks",
        "+ markers",
        "residue",
        "hours",
        "acknowledged",
    ):
        table.add_column(name, justify="left" if name == "topic" else "right")
    acked: Counter[str] = Counter()
    for edge in result.edge:
        acked[edge.topic] += edge.acknowledged
    for topic in sorted({one.stretch.line.source_topic for one in result.entries}):
        some = [one.stretch for one in result.entries if one.stretch.line.source_topic == topic]
        numbers = (
            sum(one.offsets for one in some), sum(one.rows for one in some), sum(one.line.repeats for one in some),
            sum(one.rejected for one in some), sum(one.line.ticks for one in some), sum(one.markers for one in some),
            sum(one.residue for one in some), len({one.line.hour for one in some if one.closed}),
        )  # fmt: skip
        table.add_row(topic, *map(str, numbers), str(acked[topic]) if topic in acked else "")
    console.print(table)
    for entry in result.entries:
        if not entry.holds:
            console.print("\n".join(_words(entry)), markup=False, highlight=False, soft_wrap=True)
    for one in result.edge:
        for fault in one.faults:
            console.print(f"{one.topic}-{one.partition}: {fault}", markup=False, highlight=False, soft_wrap=True)
    console.print("\n".join(_summary(result)), markup=False, highlight=False, soft_wrap=True)


def _words(entry: Entry) -> Iterable[str]:
    line = entry.stretch.line
    where = f"{line.source_topic}-{line.source_partition}, {_hour(line.hour)}, offsets {line.first_offset} to {line.next_offset - 1}"
    yield f"{where}: {'; '.join(entry.faults)}"
    if entry.found is None:
        yield "  the topic of that time is gone: nothing can be named"
        return
    found = entry.found
    if found.read_from > line.first_offset:
        yield f"  the log begins at {found.read_from} now: what stood before cannot be named"
    for what, some in (("missing", found.missing), ("more than once", found.doubled), ("no such event", found.strange)):
        for at in some[:NAMED]:
            yield f"  {what}: offset {at.offset}, {at.id or 'a record that cannot be read'}"
        if len(some) > NAMED:
            yield f"  {what}: {len(some) - NAMED} more, see --json"


def _summary(result: Audit) -> Iterable[str]:
    bad = sum(not one.holds for one in result.entries) + sum(bool(one.faults) for one in result.edge)
    closed = sum(one.stretch.closed for one in result.entries)
    if result.waiting:
        yield f"the sink has not come to this hour, or stage 1 appends no ticks: {', '.join(result.waiting)}"
    if result.conflicts:
        yield f"{result.conflicts} ids stand with more than one body (another customer, another text): see deploy/docs/audit.md"
    if not result.entries:
        yield "nothing was counted in this time: nothing is proved"
    elif bad:
        yield f"DOES NOT HOLD: {bad} of {len(result.entries)} stretches"
    else:
        yield f"holds: {closed} closed stretches of one hour and partition, {len(result.entries) - closed} under way"
