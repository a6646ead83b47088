"""Commands about what could not become an event: rejected list, show, reinject, expire."""

import getpass
import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import cyclopts
import msgspec
from cyclopts import Parameter

from deploy import wiring
from deploy.cli_options import DataDir, Json, located
from deploy.cli_rows import show_rows
from schemas.clock import system_clock
from schemas.errors import UsageError
from schemas.settings import Settings
from sinks import rejected as store

SHOWN = 50
rejected = cyclopts.App(
    name="rejected",
    help="What could not become an event, and why; mend it and feed it again.\n\n"
    "Example: `barometer rejected reinject --reason unknown_channel --map mend.toml --dry-run`",
)
Reason = Annotated[str, Parameter(help="only of this reason")]
Source = Annotated[str, Parameter(help="only of this source")]
Stage = Annotated[Literal["", "gateway", "import", "gate", "sink"], Parameter(help="only what this stage rejected")]


@rejected.command(name="list")
def list_rejected(
    *,
    reason: Reason = "",
    source: Source = "",
    stage: Stage = "",
    all_: Annotated[bool, Parameter(name="--all", negative="", help="also what was reinjected or has expired")] = False,
    summary: Annotated[bool, Parameter(negative="", help="counts by stage, source and reason")] = False,
    limit: int = 50,
    json_: Json = False,
    data_dir: DataDir = None,
) -> int:
    """List what was rejected and is still open, newest first.

    Example: `barometer rejected list --summary`
    """
    chosen = store.Chosen(reason=reason, source=source, stage=stage, fates=() if all_ else (store.OPEN,))
    client = wiring.clickhouse(located(data_dir))
    rows = store.summary(client, chosen) if summary else store.listed(client, chosen, limit=limit)
    show_rows(rows, "rejected" if all_ else "rejected, open", as_json=json_)
    return 0


@rejected.command(name="show")
def show_rejected(rejected_id: str, /, *, json_: Json = False, data_dir: DataDir = None) -> int:
    """Show one rejected input with its raw bytes and what became of it.

    Example: `barometer rejected show 0a1b...`
    """
    settings = located(data_dir)
    row = store.one(wiring.clickhouse(settings), rejected_id)
    if row is None:
        raise _unknown([rejected_id])
    row |= wiring.opened_raw(settings, row)
    if json_:
        print(json.dumps(row, default=str, ensure_ascii=False))
    else:
        for name, value in row.items():
            print(f"{name}: {value}")
    return 0


@rejected.command
def reinject(
    *ids: str,
    reason: Reason = "",
    source: Source = "",
    stage: Stage = "",
    mapping: Annotated[
        Path | None, Parameter(name="--map", help="TOML file: fields of native JSON to rename, drop and set first")
    ] = None,
    dry_run: Annotated[bool, Parameter(negative="", help="say what would become of each, send nothing")] = False,
    json_: Json = False,
    data_dir: DataDir = None,
) -> int:
    """Make events of rejected inputs by today's rules and send them as history, each once however often this is done.

    Ids name inputs whatever became of them; --reason, --source and --stage choose among the open ones. What is still bad is said and stays:
    then the exit code is 1.

    Example: `barometer rejected reinject --reason unknown_channel --map mend.toml`
    """
    chosen = store.Chosen(ids=ids, reason=reason, source=source, stage=stage, fates=() if ids else (store.OPEN,))
    if not (ids or reason or source or stage):
        raise UsageError("nothing_named", "nothing is named", "give ids, --reason, --source or --stage")
    settings = located(data_dir)
    _check_known(settings, chosen)
    found = list(wiring.reinject(settings, chosen, mapping=mapping, by=_who(), dry_run=dry_run))
    counts = Counter(one.outcome for one in found)
    if json_:
        print(json.dumps([msgspec.to_builtins(one) for one in found], ensure_ascii=False))
    else:
        for one in found[:SHOWN]:
            what = f"event {one.event_id}" if one.event_id else f"{one.reason}: {one.field or 'whole'}: {one.detail}"
            print(f"{one.rejected_id} {one.outcome}: {what}" + (f" -> {one.remedy}" if one.remedy else ""))
        if len(found) > SHOWN:
            print(f"... and {len(found) - SHOWN} more, see --json")
        print(", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "nothing to reinject")
        if counts[store.REINJECTED]:
            print("the gate admits them; `barometer doctor --settled` waits for it")
    return 1 if counts["stays"] else 0


@rejected.command
def expire(
    *ids: str,
    before: Annotated[
        str, Parameter(help="all that came in before this time, as 2026-11-23 or 2026-11-23T08:00Z")
    ] = "",
    json_: Json = False,
    data_dir: DataDir = None,
) -> int:
    """Empty the raw bytes of rejected inputs for good; their rows stay, and count as expired.

    Example: `barometer rejected expire --before 2026-11-20`
    """
    from deploy.rejected import expire as expired

    if bool(ids) == bool(before):
        raise UsageError("nothing_named", "name either ids or --before", "see `barometer rejected list`")
    chosen = store.Chosen(ids=ids, before_ms=_ms(before) if before else 0)
    settings = located(data_dir)
    _check_known(settings, chosen)
    count = expired(wiring.clickhouse(settings), chosen, clock=system_clock, by=_who())
    print(json.dumps({"expired": count}) if json_ else f"{count} expired")
    return 0


def _check_known(settings: Settings, chosen: store.Chosen) -> None:
    if chosen.ids:
        known = {one.rejected_id for one in store.chosen_rows(wiring.clickhouse(settings), chosen)}
        if unknown := [one for one in chosen.ids if one not in known]:
            raise _unknown(unknown)


def _unknown(ids: list[str]) -> UsageError:
    return UsageError("no_such_id", f"nothing was rejected under {', '.join(ids)}", "see `barometer rejected list`")


def _ms(given: str) -> int:
    try:
        at = datetime.fromisoformat(given)
    except ValueError as error:
        raise UsageError("bad_time", f"{given!r} is no time", "write 2026-11-23 or 2026-11-23T08:00Z") from error
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
