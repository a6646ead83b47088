"""Stage 1 while the catalogue changes, on a real broker: every partition changes at the pane, whoever is killed around it."""

import asyncio
import signal

import msgspec
import pytest

from schemas import blocks
from schemas.catalogue import parse
from schemas.clock import system_clock
from schemas.codec import Kind, decode_as
from schemas.declared import declaration
from schemas.errors import ContractError
from schemas.metrics import Metric, MetricKind
from schemas.topics import IMMEDIATE
from schemas.windows import HOUR_MS
from streams.catalogues import CatalogueLog, InForce
from streams.core.grid import up
from tests.streams.tally.conftest import PANE_MS
from tests.streams.tally.test_worker import Load, _wait_settled

TEXT = """
[[metric]]
name = "csat"
version = 1
owner = "o"
title = "t"
kind = "share"
question = "csat"
scale = [1, 5]
box = [4, 5]

[[metric]]
name = "soon"
version = 1
owner = "o"
title = "t"
kind = "repeat"
events = ["question"]
within_ms = 60000

[[alarm]]
name = "dispute"
owner = "o"
kind = "dispute"
severity = "page"
"""
BEFORE = parse(TEXT)
AGAIN = Metric(
    name="again", version=1, owner="o", title="t", kind=MetricKind.REPEAT, events=("question", "complaint", "rating"),
    within_ms=HOUR_MS, channels=("email", "call"),
)  # fmt: skip
AFTER = msgspec.structs.replace(
    BEFORE,
    metric=[*BEFORE.metric, AGAIN],
    alarm=[msgspec.structs.replace(one, name="dispute_now") for one in BEFORE.alarm],
)


def declared(catalogue, pane, replaces=""):
    return declaration(catalogue, from_pane=pane, replaces=replaces, author="ann", made_at=system_clock())


def told(found):
    """Return the blocks in which anything stands; how many blocks hold a stretch of quiet is free."""
    return [
        blocks.to_record(one)
        for one in found
        if len(one.cells) or one.events or one.repeats or one.ticks or one.undecodable
    ]


@pytest.mark.long
def test_every_partition_changes_at_the_pane_though_the_process_is_killed_there(installation, event_maker, tmp_path):
    file = tmp_path / "catalogue.toml"
    file.write_text(TEXT)
    installation.declare(declared(BEFORE, 0))
    with Load(installation, event_maker, per_s=100):
        first = installation.start(catalogue=str(file))
        installation.wait(lambda: installation.assigned(first), "assigned")
        pane = up(system_clock() + 3_000, PANE_MS)
        installation.declare(declared(AFTER, pane, BEFORE.hash))
        changing = f"changes to catalogue {AFTER.hash}"
        installation.wait(lambda: changing in installation.said(first), "the first change of a partition")
        first.kill()
        assert -signal.SIGKILL == first.wait()
        # The settings still name the first catalogue.
        second = installation.start(catalogue=str(file))
        installation.wait(lambda: installation.assigned(second), "assigned")
    _wait_settled(installation)
    found = {}
    for block in installation.taken():
        found.setdefault(block.source, []).append(block)
    old, new = installation.expected(BEFORE), installation.expected(AFTER)
    assert found.keys() == old.keys()
    assert {24} == {len(found)}
    for source, its in found.items():
        assert all((one.catalogue_hash == AFTER.hash) == (one.to_pane >= pane) for one in its), source
        clean = [one for one in old[source] if one.to_pane < pane] + [one for one in new[source] if one.to_pane >= pane]
        assert told(clean)[: len(told(its))] == told(its), source
        assert its[-1].to_pane > pane + 3 * PANE_MS
    again = [
        row for its in found.values() for one in its for row in one.cells.rows() if row.series.metric == AGAIN.identity
    ]
    assert {0, 1} == {row.bin for row in again}
    alarms = [decode_as(Kind.TRANSITION, record.value) for record in installation.records(IMMEDIATE.name)]
    assert all(one["rule"] == ("dispute", "dispute_now")[one["pane"] >= pane] for one in alarms)
    assert {"dispute", "dispute_now"} == {one["rule"] for one in alarms}


def test_what_is_declared_is_seen_once_and_a_first_catalogue_that_is_another_stops_who_counts(installation):
    async def follow():
        one = await CatalogueLog.open(installation.settings.kafka_bootstrap, installation.settings.topic_prefix)
        in_force = InForce(AFTER, PANE_MS)
        assert await one.look(to_end=True) is None
        await installation._declare(declared(AFTER, 0))
        in_force.learn(await one.look(to_end=True))
        assert await one.look(to_end=True) is None
        await installation._declare(declared(BEFORE, 5 * PANE_MS, AFTER.hash))
        found = None
        while found is None:
            await asyncio.sleep(0.05)
            found = await one.look()
        in_force.learn(found)
        assert [AFTER.hash, BEFORE.hash] == [in_force.at(pane).hash for pane in (4 * PANE_MS, 5 * PANE_MS)]
        with pytest.raises(ContractError, match="catalogue_changed"):
            InForce(msgspec.structs.replace(BEFORE, alarm=[]), PANE_MS).learn(found)
        await one.close()

    asyncio.run(asyncio.wait_for(follow(), 60))
