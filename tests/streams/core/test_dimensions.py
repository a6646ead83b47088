"""Keys of events in every dimension, and what happens to events that have none."""

import random

import pytest

from schemas.metrics import OVERFLOW_KEY
from streams.core.counting import count_events, frame_of
from streams.core.dimensions import dimension_of
from streams.core.keys import Keys
from tests.streams.core.kinds.conftest import catalogue_of, metric_of, rich_event, rich_events
from tests.streams.core.naive_cells import naive_cells

DIMENSIONS = (
    "*", "channel", "touchpoint", "parent", "product", "attr.colour", "attr.size", "attr.none", "channel+touchpoint",
    "parent+product", "attr.colour+attr.size", "product+attr.size",
)  # fmt: skip
VOLUME = metric_of("count", dimensions=DIMENSIONS)
PLAIN = {"backfill": False, "second_hand": False, "probe": False, "non_human": False, "reason": None}


def keys_of(dimension, **fields):
    event = rich_event(random.Random(0), retract=False, traits=PLAIN, **fields)
    cells = count_events(frame_of([event]), catalogue_of(VOLUME), live=True, dimensions={dimension})
    return [series.key for series in cells.series]


@pytest.mark.parametrize("seed", range(6))
def test_every_dimension_counts_like_the_naive_count(seed):
    events = rich_events(seed, 150)
    asked = metric_of("share", name="share", question="csat", scale=(1, 5), box=(5,), dimensions=DIMENSIONS)
    catalogue = catalogue_of(VOLUME, asked)
    found = count_events(frame_of(events), catalogue, live=True)
    assert found == naive_cells(events, catalogue, True)
    assert {series.dimension for series in found.series} == set(DIMENSIONS) - {"attr.none"}


@pytest.mark.parametrize(
    ("dimension", "fields", "keys"),
    [
        ("parent", {"touchpoint": "paris"}, ["france"]),
        ("parent", {"touchpoint": "geneve"}, []),
        ("parent", {"touchpoint": "unheard of"}, []),
        ("parent", {"touchpoint": None}, []),
        ("touchpoint", {"touchpoint": ""}, []),
        ("product", {"product": None}, []),
        ("attr.colour", {"attributes": {"colour": "red"}}, ["red"]),
        ("attr.colour", {"attributes": {"size": "red"}}, []),
        ("channel+touchpoint", {"channel": "card", "touchpoint": "paris"}, ['["card","paris"]']),
        ("channel+touchpoint", {"channel": "card", "touchpoint": None}, []),
        ("parent+product", {"touchpoint": "lyon", "product": 'a "b"/ç'}, ['["france","a \\"b\\"/ç"]']),
    ],
)
def test_the_key_of_an_event(dimension, fields, keys):
    assert keys_of(dimension, **fields) == keys


def test_pairs_of_parents_below_one_parent_are_one_key():
    events = [rich_event(random.Random(0), retract=False, traits=PLAIN, touchpoint=one, product="bag", channel="card") for one in ("paris", "lyon")]  # fmt: skip
    cells = count_events(frame_of(events), catalogue_of(VOLUME), live=True, dimensions={"parent+product"})
    assert [(row.series.key, row.count) for row in cells.rows()] == [('["france","bag"]', 2)]


def test_a_dimension_knows_the_columns_that_it_reads():
    assert dimension_of("parent+attr.x").columns == {"touchpoint", "attr.x"}
    assert dimension_of("*").columns == dimension_of("channel").columns == frozenset()


def test_an_attribute_with_many_values_ends_in_the_overflow_key():
    metric = metric_of("count", dimensions=("attr.id",), max_keys=3)
    events = [
        rich_event(random.Random(0), retract=False, traits=PLAIN, attributes={"id": str(one)}) for one in range(5)
    ]
    keys = Keys(catalogue_of(metric))
    cells = count_events(frame_of(events), catalogue_of(metric), live=True)
    assert [keys.admit(series) for series in cells.series] == ["0", "1", "2", OVERFLOW_KEY, OVERFLOW_KEY]
    assert [keys.admit(series) for series in cells.series[:4]] == ["0", "1", "2", OVERFLOW_KEY]


def test_many_values_in_many_columns_are_still_told_apart():
    """Codes that do not fit one 64-bit number together are renumbered on the way."""
    dice = random.Random(8)
    names = [f"a{number}" for number in range(12)]
    metric = metric_of("count", dimensions=tuple(f"attr.{name}" for name in names))
    events = [
        rich_event(dice, attributes={name: str(dice.randrange(60)) for name in names}, retract=False)
        for _ in range(120)
    ]
    catalogue = catalogue_of(metric)
    assert count_events(frame_of(events), catalogue, live=True) == naive_cells(events, catalogue, True)
