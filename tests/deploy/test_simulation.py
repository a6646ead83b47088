"""What the report says of false alarms and delays, on its quick slice: the seed is fixed, so no chance is left."""

import pytest

from deploy.simulation import report
from deploy.simulation.delays import Delay
from deploy.simulation.null_answers import RIVAL
from deploy.simulation.promised import Cell
from deploy.simulation.through_engine import Compared
from deploy.simulation.written import Results, written

pytestmark = pytest.mark.long

SEED = 1


@pytest.fixture(scope="module")
def results() -> Results:
    return report.run(SEED, quick=True, processes=1)


@pytest.fixture(scope="module")
def cells(results: Results) -> list[Cell]:
    return [row for rows in results.values() for row in rows if isinstance(row, Cell)]


def test_every_cell_promises_two_hundred_false_alarms(cells: list[Cell]) -> None:
    assert min(cell.promised for cell in cells) >= 200


def test_the_promise_is_kept_wherever_its_assumptions_hold(cells: list[Cell]) -> None:
    sound = [cell for cell in cells if cell.assumed and cell.note != RIVAL]
    assert len(sound) >= 15
    for cell in sound:
        assert cell.kept, cell
        assert cell.upper <= 1.1, cell


def test_each_broken_assumption_costs_false_alarms_and_has_a_cure_in_its_own_world(cells: list[Cell]) -> None:
    worlds = {cell.world for cell in cells if not cell.assumed}
    assert (
        len(worlds) == 5
    )  # repeated answers, day effects, too small a dispersion, a flat profile of counts, of a share
    for world in worlds:
        inside = [cell for cell in cells if cell.world == world]
        assert any(not cell.kept for cell in inside), world
        assert any(cell.kept for cell in inside), world


def test_what_others_do_breaks_where_ours_holds(cells: list[Cell]) -> None:
    rivals = [
        cell for cell in cells if cell.note == RIVAL and ("pooled" in cell.setting or "by answer" in cell.setting)
    ]
    assert len(rivals) == 3
    assert not any(cell.kept for cell in rivals)


def test_ours_is_within_15_percent_and_one_pane_of_the_best(results: Results) -> None:
    rows = [row for rows in results.values() for row in rows if isinstance(row, Delay)]
    assert len(rows) == 4
    for row in rows:
        assert row.alarms >= 12, row
        assert row.within, row
        assert row.best <= min(one for one in row.rivals.values() if one is not None)


def test_the_engine_raises_the_alarms_of_the_statistic(results: Results) -> None:
    rows = [row for rows in results.values() for row in rows if isinstance(row, Compared)]
    assert len(rows) == 3
    for row in rows:
        assert row.same, row
        assert row.engine == row.statistic > 0, row
    null, days, found = rows
    assert null.engine <= null.promised
    assert days.engine <= days.promised
    assert found.delay is not None
    assert 30 < found.delay < 100


def test_most_panes_of_every_kind_went_through_the_detector_itself(cells: list[Cell]) -> None:
    assert all(cell.checked >= 300 for cell in cells if cell.note != RIVAL)


def test_a_task_gives_the_same_rows_whatever_ran_before_it(results: Results) -> None:
    for name in ("engine delay grouped", "independent, 100 a day"):
        assert report.tasks()[name](SEED, report.QUICK[name]) == results[name]
    other = report.tasks()["independent, 100 a day"](SEED + 1, report.QUICK["independent, 100 a day"])
    assert other != results["independent, 100 a day"]


def test_the_report_has_a_table_line_for_every_row_and_names_its_command(results: Results) -> None:
    text = written(results, SEED, quick=True)
    assert "`barometer simulate --report deploy/docs/alarms.md --seed 1 --quick`" in text
    lines = [line for line in text.splitlines() if line.startswith("|") and not line.startswith("| ---")]
    heads = sum(line.startswith("| ---") for line in text.splitlines())
    assert len(lines) == heads + sum(len(rows) for rows in results.values())
    assert text.count("**no**") == sum(
        not row.kept for rows in results.values() for row in rows if isinstance(row, Cell) and row.note != RIVAL
    )
    assert "**Where it says no.**" in text
    assert "not armed: use the parent" in text
    assert text.endswith("\n")


def test_every_task_stands_in_the_report() -> None:
    from deploy.simulation.sections import SECTIONS

    told = {name for section in SECTIONS for name in section.works}
    rest = {
        name
        for name in report.tasks()
        if name.split(" ")[0] not in {"delay", "knowledge", "engine", "found", "coverage"}
    }
    assert told == rest
    assert set(report.QUICK) <= set(report.tasks())
    assert report.count() == len(report.tasks()) > report.count(quick=True) == len(report.QUICK)
