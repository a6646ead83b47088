"""A change of the catalogue in words: what it does, what is left to do, how far it has come."""

from pathlib import Path

from rich.console import Console

from deploy.applying import Plan, Written, show_in_store
from deploy.catalogue_diff import Change
from deploy.catalogue_wait import Done, wait
from deploy.declarations import moment_of
from schemas import catalogue as catalogues
from schemas.errors import UnavailableError
from schemas.settings import Settings


def line_of(one: Change) -> str:
    """Return one difference of two catalogues as a line."""
    return f"{one.what} {one.name}: {one.change}" + (f" ({one.fields})" if one.fields else "")


def told(plan: Plan, verb: str) -> list[str]:
    """Return what a change does; `verb`: replaces, or would replace."""
    assert plan.before is not None
    at = f"from {moment_of(plan.from_pane)} on (pane {plan.from_pane})"
    lines = [f"catalogue {plan.wanted.hash} {verb} {plan.before.catalogue.hash} {at}"]
    lines += [f"  {line_of(one)}" for one in plan.changes]
    if plan.waits:
        lines.append("  new series and rules begin with their past, as soon as `barometer recount` has counted it")
    return lines


def left_to_do(plan: Plan, settings: Settings, file: Path | None, *, in_force: bool) -> list[str]:
    """Return what people have to do themselves; before a change is `in_force` a rule would be armed as it was."""
    when, after = ("now", "") if in_force else ("from then on", f" after {moment_of(plan.from_pane)}")
    lines = [
        f"rule {rule} is unarmed {when}: backtest it, then `barometer alarms arm {rule}`{after}"
        for rule in plan.unarmed
    ]
    if plan.gateway_reads:
        lines.append("questions or touchpoints change: the gateway reads them from its file when it starts")
    if file is not None and catalogues.load(settings.catalogue, pane_ms=settings.pane_ms) != plan.wanted:
        lines.append(f"set BAROMETER_CATALOGUE={file} for the next start: titles and targets are read from there")
    return lines


def make_views(settings: Settings, plan: Plan) -> str:
    """Make the views of the new metrics in the store and say so. Raises UnavailableError that says what stands all the same."""
    try:
        return f"{show_in_store(settings, plan.wanted)} views of its metrics stand in the store"
    except UnavailableError as error:
        raise UnavailableError(
            error.reason, f"the catalogue is declared, its views are not made: {error.detail}",
            "run `barometer migrate` when ClickHouse answers; do not apply the catalogue again",
        ) from error  # fmt: skip


def waited(settings: Settings, written: Written, timeout_s: float, console: Console) -> Done:
    """Wait until a change is done: one line that changes on a terminal, plain lines elsewhere. Raises UnavailableError."""
    if console.is_terminal:
        with console.status("declared") as status:
            return wait(settings, written, timeout_s=timeout_s, tell=status.update)
    return wait(
        settings, written, timeout_s=timeout_s, tell=lambda line: console.print(line, highlight=False, soft_wrap=True)
    )
