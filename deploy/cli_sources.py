"""The command group `sources`: what the judge waits for, and what it goes on without."""

import json
import sys
from datetime import UTC, datetime
from typing import Annotated, Any

import cyclopts
from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from deploy import sources as known
from deploy.alarms import By
from deploy.cli_alarms_decided import author
from deploy.cli_options import DataDir, Json, located
from deploy.sources import Standing

WIDE = 240

sources = cyclopts.App(
    name="sources",
    help="""What the judge waits for; go on without a source that is silent or spoilt, and wait for it again.

    Example: `barometer sources list`
    """,
)
Name = Annotated[str, Parameter(help="its name as `barometer sources list` shows it, or its channel: card-2")]
Note = Annotated[str, Parameter(help="why; it stays with the decision in the log")]
Timeout = Annotated[float, Parameter(help="seconds to wait until the judge has read it")]


@sources.command(name="list")
def list_sources(*, json_: Json = False, data_dir: DataDir = None) -> int:
    """Show how far each source has come, and which ones the judge goes on without.

    Example: `barometer sources list`
    """
    _show(known.standing(located(data_dir)), as_json=json_)
    return 0


@sources.command
def exclude(
    source: Name, /, *, note: Note = "", timeout_s: Timeout = 30.0, json_: Json = False, data_dir: DataDir = None
) -> int:
    """Let the judge go on without a source until an operator includes it; what it counts comes later, and once.

    Example: `barometer sources exclude card-2 --note "this shop's gateway is being moved"`
    """
    found = known.exclude(located(data_dir), source, By(author(), note), timeout_s=timeout_s)
    _show([found], as_json=json_)
    return 0


@sources.command
def include(
    source: Name, /, *, note: Note = "", timeout_s: Timeout = 30.0, json_: Json = False, data_dir: DataDir = None
) -> int:
    """Let the judge wait for a source again; one that stage 1 has paused goes on, its bad records as they are.

    A source that is behind is waited for once it has caught up: until then it is shown as left out because it is silent.

    Example: `barometer sources include card-2 --note "its mapping is mended"`
    """
    found = known.include(located(data_dir), source, By(author(), note), timeout_s=timeout_s)
    _show([found], as_json=json_)
    return 0


def _show(found: list[Standing], *, as_json: bool) -> None:
    rows = [_row(one) for one in found]
    if as_json:
        print(json.dumps(rows))
        return
    table = Table(title="sources", title_justify="left")
    for name in rows[0]:
        table.add_column(name)
    for row in rows:
        table.add_row(*("" if value is None else str(value) for value in row.values()))
    Console(width=None if sys.stdout.isatty() else WIDE).print(table)


def _row(one: Standing) -> dict[str, Any]:
    to, left_out = one.source.to, one.source.left_out
    return {
        "source": one.name,
        "last_pane": None if to is None else datetime.fromtimestamp(to / 1000, UTC).isoformat(),
        "behind_s": None if one.behind_ms is None else one.behind_ms / 1000,
        "left_out": None if left_out is None else str(left_out.why),
    }
