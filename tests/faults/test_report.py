"""The report says of each fault what its runs gave, and does not count what proves nothing."""

from pathlib import Path
from random import Random

import msgspec
import pytest

from tests.faults import matrix, report
from tests.faults.killing import APPLIED, spread
from tests.faults.running import Run

matrix.load()


def run(name: str, number: int, **given: object) -> Run:
    base = {"number": number, "fault": name, "title": name, "seed": 1, "ok": True, "hits": {"hit": 1}, "accepted": 100}
    return msgspec.convert({**base, **given}, Run)


def line_of(page: str, title: str) -> list[str]:
    return next(
        [cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if f"| {title} |" in line
    )


def test_runs_add_up_and_the_worst_count_stands() -> None:
    found = report.page([run("x", 1), run("x", 1, seed=2, lost=3, ok=False, problems=["I1"]), run("y", 2)])
    cells = line_of(found, "x")
    assert cells[2] == "2" and cells[5] == "200" and cells[7] == "3" and cells[-1] == "1 of 2"
    assert "1 of 3 runs were not exact: x" in found


def test_idle_and_skipped_runs_do_not_count() -> None:
    found = report.page([run("x", 1, idle=True, ok=False), run("y", 2, skipped="needs root", ok=False), run("z", 3)])
    assert line_of(found, "x")[-1] == "never hit its moment"
    assert line_of(found, "y")[-1] == "needs root"
    assert "0 of 1 runs" in found


def test_no_failure_in_n_runs_bounds_the_rate_by_three_in_n() -> None:
    found = report.page([run("x", 1, seed=seed, kills={"sink@random": 2}) for seed in range(150)])
    assert "0 of 150 runs" in found and "at most 2 %" in found
    assert "0 of 300: at most 1 %" in found


def test_only_what_stands_between_the_marks_is_written_again(tmp_path: Path) -> None:
    document = tmp_path / "page.md"
    document.write_text(f"before\n{report.BEGIN}\nformer figures\n{report.END}\nafter\n")
    (tmp_path / "one.jsonl").write_bytes(msgspec.json.encode(run("x", 1)) + b"\n")
    report.write(tmp_path, document)
    text = document.read_text()
    assert text.startswith("before\n") and text.endswith("after\n") and "former figures" not in text and "| x |" in text


@pytest.mark.parametrize("kills", [60, 300])
def test_a_campaign_gives_each_point_its_kills_and_the_rest_to_random_moments(kills: int) -> None:
    points = {
        "gateway": ["gateway.before_ack"],
        "recount": ["recount.before_commit", APPLIED],
        "sink": ["sink.a", "sink.b"],
    }
    found = spread(points, kills, Random(1))
    assert sum(map(len, found.values())) == kills
    least = 10 if kills >= 100 else 6
    assert all(found[name].count(point) >= least for name, mine in points.items() for point in mine)
    assert found["recount"][: found["recount"].count(APPLIED)] == [APPLIED] * found["recount"].count(APPLIED)
