"""The simulation report in words and tables."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from deploy.simulation import coverage, sections
from deploy.simulation.delays import LEARNED, Delay
from deploy.simulation.found import Reach
from deploy.simulation.knowledge import Knowledge
from deploy.simulation.null_answers import RIVAL
from deploy.simulation.promised import Cell
from deploy.simulation.through_engine import Compared
from streams.core.detectors.found_within import HORIZONS_DAYS, LAST_DAYS

Results = dict[str, list[Any]]


def written(results: Mapping[str, Sequence[Any]], seed: int, *, quick: bool) -> str:
    """Return the report as Markdown."""
    command = f"barometer simulate --report deploy/docs/alarms.md --seed {seed}" + (" --quick" if quick else "")
    parts = [sections.INTRODUCTION.format(command=command, summary=_summary(results))]
    parts.append(sections.NULL_WORLDS)
    for section in sections.SECTIONS:
        cells = [cell for name in section.works for cell in results.get(name, ())]
        if cells:
            parts.append(f"### {section.title}\n\n{section.text}\n")
            parts.append(_cells(cells))
            if section.broken and not all(cell.kept for cell in cells):
                parts.append(f"**Where it says no.** {section.broken}\n")
    parts.append(sections.ENGINE + "\n" + _engine(_named(results, "engine")))
    parts.append(sections.DELAYS)
    shares, counts = (
        [row for row in _named(results, "delay") if (row.unit == "answers") is answers] for answers in (True, False)
    )
    parts.append(sections.SHARE_DELAYS + "\n" + _delays(shares))
    parts.append(sections.COUNT_DELAYS + "\n" + _delays(counts))
    late = [row for row in (*shares, *counts) if not row.within]
    if late:
        parts.append("**Where it says no.** " + sections.LATE + "\n")
    knowledge = _named(results, "knowledge")
    if knowledge:
        parts.append(sections.LEARNING + "\n" + _knowledge(knowledge))
    parts.append(sections.FOUND + "\n" + _found(_named(results, "found")))
    parts.append(sections.COVERAGE + "\n" + coverage.markdown(results["coverage"]))
    parts.append(sections.UNCOVERED)
    return "\n".join(parts).rstrip() + "\n"


def _named(results: Mapping[str, Sequence[Any]], first: str) -> list[Any]:
    return [row for name, rows in results.items() if name.split(" ")[0] == first for row in rows]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)]) + "\n"


def yes(holds: bool) -> str:  # noqa: FBT001 - a condition is all there is
    """Return it as a word."""
    return "yes" if holds else "**no**"


def _kept(cell: Cell) -> str:
    if cell.note == RIVAL:
        return "yes (not ours)" if cell.kept else "no (not ours)"
    return yes(cell.kept)


def _cells(cells: Sequence[Cell]) -> str:
    head = (
        "world",
        "setting",
        "answers",
        "promised",
        "came",
        "came / promised",
        "at most (95 %)",
        "kept",
        "replayed",
        "note",
    )
    rows, before = [], ""
    for cell in cells:
        world = cell.world if cell.world != before else "″"
        before = cell.world
        rows.append((
            world, cell.setting, f"{cell.answers:,}", f"{cell.promised:,.0f}", f"{cell.alarms:,}", f"{cell.ratio:.3f}",
            f"{cell.upper:.3f}", _kept(cell), f"{cell.checked:,}" if cell.checked else "-", cell.note,
        ))  # fmt: skip
    return table(head, rows)


def _engine(rows: Sequence[Compared]) -> str:
    head = ("world", "panes with answers", "promised", "alarms of the engine", "alarms of the statistic", "same keys and panes",
            "mean delay, answers")  # fmt: skip
    return table(head, (
        (one.world, f"{one.panes:,}", f"{one.promised:,.0f}", f"{one.engine:,}", f"{one.statistic:,}", yes(one.same),
         "-" if one.delay is None else f"{one.delay:.0f}")
        for one in rows
    ))  # fmt: skip


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _delays(rows: Sequence[Delay]) -> str:
    if not rows:
        return "Not in this slice.\n"
    rivals = list(rows[0].rivals)
    learned = [f"cost of learning from {many:,}" for many in LEARNED]
    head = ("change", "speed", "form", "one false alarm promised / came in", "ours", "ours, hours", *rivals, "within 15 % + 1 pane",
            *learned)  # fmt: skip
    return table(head, (
        (row.change, row.speed, row.form, f"{row.promised:,.0f} / {row.realised:,.0f} {row.unit}", _number(row.ours),
         "-" if row.ours is None else f"{row.ours / row.per_hour:.3g}",
         *(_number(one) for one in row.rivals.values()), yes(row.within),
         *(_cost(row.ours, row.learned.get(many)) for many in LEARNED))
        for row in rows
    ))  # fmt: skip


def _cost(known: float | None, learned: float | None) -> str:
    if known is None or learned is None:
        return "not found"
    return f"{learned / known:.1f} times"


def _knowledge(rows: Sequence[Knowledge]) -> str:
    head = ("change", "learned from", "learn_confidence", "came / promised", "ours", "ours, baseline known", "cost of learning",
            "CUSUM with the plain share", "within 15 % + 1 pane")  # fmt: skip
    return table(head, (
        (one.change, f"{one.learned_from:,}", f"{one.confidence:g}", f"{one.ratio:.3f} ({one.alarms:,})", _number(one.ours),
         _number(one.known), _cost(one.known, one.ours), _number(one.cusum), yes(one.within))
        for one in rows
    ))  # fmt: skip


def _found(rows: Sequence[Reach]) -> str:
    head = ("answers a day", "keys that share the budget", "baseline",
            *(f"within {'a day' if days == 1 else 'a week' if days == 7 else 'a month'}" for days in HORIZONS_DAYS),
            f"within {LAST_DAYS} days")  # fmt: skip
    out = []
    for one in rows:
        last = f"{one.within_last:.2f}" if one.within_last is not None else "cannot be found: use the parent"
        if not one.armed:
            last = "not armed: use the parent"
        by_days = [f"{share:.2f}" if (share := one.by_days[days]) is not None else "-" for days in HORIZONS_DAYS]
        out.append((f"{one.per_day:,}", f"{one.keys}", one.baseline, *by_days, last))
    return table(head, out)


def _summary(results: Mapping[str, Sequence[Any]]) -> str:
    cells = [row for rows in results.values() for row in rows if isinstance(row, Cell)]
    ours = [cell for cell in cells if cell.note != RIVAL]
    sound, broken = ([cell for cell in ours if cell.assumed is holds] for holds in (True, False))
    delays = [row for rows in results.values() for row in rows if isinstance(row, Delay)]
    taught = [row for rows in results.values() for row in rows if isinstance(row, Knowledge)]
    return (
        f"- **False alarms, where the assumptions hold**: {_of(sound)} settings keep the promise. The largest upper bound of"
        f" came / promised is {max(cell.upper for cell in sound):.2f}.\n"
        f"- **Where an assumption fails on purpose**: {_of(broken)} settings keep it. The others show what the failure costs;"
        " what cures it stands beside them.\n"
        f"- **Delay, baseline known**: {sum(row.within for row in delays)} of {len(delays)} rows are within 15 % and one pane of"
        " the best detector.\n"
        + (
            f"- **Delay, baseline learned**: {sum(row.within for row in taught)} of {len(taught)} rows are within 15 % and one"
            " answer of a detector that learned from as many answers.\n"
            if taught
            else ""
        )
        + f"- Every cell promises at least {min(cell.promised for cell in cells):,.0f} false alarms."
    )


def _of(cells: Sequence[Cell]) -> str:
    return f"{sum(cell.kept for cell in cells)} of {len(cells)}"
