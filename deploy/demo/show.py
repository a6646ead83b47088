"""Print the outcome of the demonstration for people."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table

from deploy.demo.outcome import Outcome
from deploy.demo.scenario import Month

FACES = (("1h", "live hour"), ("28d", "28 days"))


def show(outcome: Outcome, month: Month, console: Console) -> None:
    """Print conservation, readings, alarms, and whether every check held."""
    console.print()
    _conservation(outcome, console)
    console.print(_satisfaction(outcome.readings, month))
    console.print(_others(outcome.readings))
    console.print(_alarms(outcome.alarms, month))
    for problem in outcome.problems:
        console.print(f"[bold red]failed[/] {problem}", highlight=False, soft_wrap=True)
    if not outcome.problems:
        console.print(
            "[bold green]all checks hold[/]: nothing lost, nothing twice, the drop found, nothing else alarmed"
        )


def _conservation(outcome: Outcome, console: Console) -> None:
    fits = outcome.sent == outcome.rows + outcome.repeats + outcome.rejected
    console.print(
        f"[bold]{'=' if fits else '!'}[/] sent [bold]{outcome.sent}[/] = rows in feedback_events [bold]{outcome.rows}[/]"
        f" + repeats [bold]{outcome.repeats}[/] + rejected [bold]{outcome.rejected}[/]",
        highlight=False,
        soft_wrap=True,
    )


def _satisfaction(readings: Sequence[Mapping[str, Any]], month: Month) -> Table:
    table = Table(title="Satisfaction: share of answers 4 or 5, with its 95 % interval", title_justify="left")
    table.add_column("shop")
    for _, title in FACES:
        for column in (title, "95 %", "n"):
            table.add_column(column, justify="right", no_wrap=True)
    found = {(one["key"], one["window"]): one for one in readings if one["metric"] == "csat"}
    shops = sorted({key for key, _ in found}, key=lambda key: (key == "*", key))
    for shop in shops:
        cells = [cell for window, _ in FACES for cell in _share(found.get((shop, window)))]
        hit = shop == month.injected_shop
        table.add_row(
            "all" if shop == "*" else shop, *cells, style="bold red" if hit else "bold" if shop == "*" else ""
        )
    return table


def _share(reading: Mapping[str, Any] | None) -> tuple[str, str, str]:
    if reading is None or reading["value"] is None:
        return "no data", "", "0"
    return f"{reading['value']:.1%}", f"{reading['lo']:.1%}-{reading['hi']:.1%}", str(reading["n"])


def _others(readings: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(title="All shops over 28 days", title_justify="left")
    for title in ("metric", "value", "95 %", "n"):
        table.add_column(title, justify="left" if title == "metric" else "right")
    wanted = {"nps": "{:+.1f}", "ces": "{:.2f}", "complaint_rate": "{:.1%}", "volume": "{:.0f}"}
    for one in readings:
        if one["key"] == "*" and one["window"] == "28d" and one["metric"] in wanted and one["value"] is not None:
            form = wanted[one["metric"]]
            interval = f"{form.format(one['lo'])} to {form.format(one['hi'])}"
            table.add_row(one["metric"], form.format(one["value"]), interval, str(one["n"]))
    return table


def _alarms(alarms: Sequence[Mapping[str, Any]], month: Month) -> Table:
    table = Table(title=f"Alarms (the bad share rose at {month.injected_shop})", title_justify="left")
    for title in ("rule", "shop", "opened at", "after the first bad answer"):
        table.add_column(title)
    for alarm in alarms:
        opened = datetime.fromtimestamp(alarm["opened_at"] / 1000, UTC).strftime("%H:%M:%S UTC")
        delay = "at once, without statistics" if alarm["rule"] == "dispute" else ""
        if alarm["delay_answers"] is not None:
            delay = f"{alarm['delay_answers']} answers, {alarm['delay_s']:.1f} s"
        table.add_row(alarm["rule"], alarm["key"], opened, delay)
    return table
