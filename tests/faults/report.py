"""The table of deploy/docs/reliability.md, made from the lines that runs left; the prose around it is written by hand."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import msgspec

from tests.faults.fault import REGISTRY
from tests.faults.running import Run

BEGIN, END = "<!-- made by `make faults FAULTS=--report`: begin -->", "<!-- end -->"


def read(folder: Path) -> list[Run]:
    """Return every run of every file, oldest file first."""
    out = []
    for file in sorted(folder.glob("*.jsonl")):
        out += [msgspec.json.decode(line, type=Run) for line in file.read_bytes().splitlines()]
    return out


def write(results: Path, document: Path) -> None:
    """Replace what stands between the two marks of the document."""
    text = document.read_text("utf-8")
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    document.write_text(f"{head}{BEGIN}\n{page(read(results))}\n{END}{tail}", "utf-8")


def page(runs: Iterable[Run]) -> str:
    """Return the tables."""
    found = list(runs)
    counted = [one for one in found if not one.skipped and not one.idle]
    return "\n".join([*_matrix(found), "", *_kills(counted), "", *_bound(counted)])


def _matrix(runs: list[Run]) -> list[str]:
    lines = [
        "| # | fault | runs | seeds | hits | events | unknown | lost | twice | foreign | wrong readings | recovery, s | exact |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    names = dict.fromkeys(
        [one.name for one in sorted(REGISTRY.values(), key=lambda one: one.number)] + [one.fault for one in runs]
    )
    for name in sorted(names, key=lambda name: _number(name, runs)):
        mine = [one for one in runs if one.fault == name]
        title = mine[-1].title if mine else REGISTRY[name].title
        number = mine[-1].number if mine else REGISTRY[name].number
        skipped = next((one.skipped for one in reversed(mine) if one.skipped), "")
        tried = [one for one in mine if not one.skipped]
        real = [one for one in tried if not one.idle]
        if not real:
            why = skipped or ("never hit its moment" if tried else "not run")
            lines.append(f"| {number or ''} | {title} | {len(tried)} | | | | | | | | | | {why} |")
            continue
        hits: Counter[str] = Counter()
        for one in real:
            hits.update(one.hits)
        seeds = sorted({one.seed for one in real})
        shown = ", ".join(map(str, seeds[:3])) + (f" and {len(seeds) - 3} more" if len(seeds) > 3 else "")
        times = sorted(one.recovery_s for one in real)
        exact = sum(one.ok for one in real)
        lines.append(
            f"| {number or ''} | {title} | {len(real)} | {shown} | {'; '.join(f'{n} {what}' for what, n in hits.items())} "
            f"| {sum(one.accepted for one in real)} | {sum(one.unknown for one in real)} | {_worst(real, 'lost')} "
            f"| {_worst(real, 'duplicated')} | {_worst(real, 'foreign')} | {_worst(real, 'aggregates')} "
            f"| {times[len(times) // 2]:.0f}, at most {times[-1]:.0f} | {exact} of {len(real)} |"
        )
    return lines


def _number(name: str, runs: list[Run]) -> tuple[int, str]:
    number = next((one.number for one in runs if one.fault == name), None)
    return (REGISTRY[name].number if number is None else number, name)


def _worst(runs: list[Run], field: str) -> int:
    """Return the largest count: it goes over all that the stack had by then, so a sum would count a loss twice."""
    return max(int(getattr(one, field)) for one in runs)


def _kills(runs: list[Run]) -> list[str]:
    total: Counter[str] = Counter()
    for one in runs:
        if one.fault != "schedule":  # its runs stand beside it, each for itself
            total.update(one.kills)
    by_process: dict[str, Counter[str]] = {}
    for moment, count in total.items():
        process, _, at = moment.partition("@")
        by_process.setdefault(process, Counter())[at] += count
    lines = [f"{total.total()} kills in all:", "", "| process | kills | at |", "|---|---|---|"]
    for process, moments in sorted(by_process.items()):
        at = ", ".join(f"{name} {count}" for name, count in sorted(moments.items()))
        lines.append(f"| {process} | {moments.total()} | {at} |")
    return lines


def _bound(runs: list[Run]) -> list[str]:
    own = [one for one in runs if one.fault != "schedule"]
    kills = sum(sum(one.kills.values()) for one in own)
    wrong = [one for one in own if not one.ok]
    if not own:
        return ["No run yet."]
    if wrong:
        return [f"{len(wrong)} of {len(own)} runs were not exact: {', '.join(sorted({one.fault for one in wrong}))}."]
    said = f"0 of {len(own)} runs lost, doubled or changed anything: at 95 % at most {300 / len(own):.2g} % of such runs do (3/n)"
    return [said + (f"; by the kill, 0 of {kills}: at most {300 / kills:.2g} %." if kills else ".")]
