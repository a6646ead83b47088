"""What stage 1 checks before it counts: its pane length, catalogue and topics are those that the tallies log was begun with."""

import asyncio
from collections.abc import Mapping

from aiokafka import TopicPartition

from schemas.blocks import Block
from schemas.codec import Kind, kind_of
from schemas.errors import ContractError, UndecodableError
from schemas.outputs import DecisionKind
from schemas.settings import Settings
from schemas.topics import TALLIES
from streams.ranges import open_partition
from streams.tallies_log import ANOTHER, check_sources, entry_of, sources_body
from streams.topic_ids import Found

LOOK_RECORDS = 200_000
"""Records from the begin of the log among which the decision `sources` is sought; the first judge writes it early on."""


async def check_log(settings: Settings, found: Mapping[str, Found], catalogue_hash: str) -> None:
    """Compare the tallies log with what runs. Raises ContractError that names the difference and the remedy."""
    ours = sources_body(found, settings, catalogue_hash)
    first_block = True
    async with open_partition(
        settings.kafka_bootstrap, TopicPartition(settings.topic_prefix + TALLIES.name, 0)
    ) as reader:
        async for records in reader.read(reader.first, min(reader.end, reader.first + LOOK_RECORDS)):
            for record in records:
                try:
                    kind = kind_of(record.value)
                    if kind is Kind.BLOCK and not first_block:
                        continue
                    entry = entry_of(record.value)
                except UndecodableError:
                    continue
                if isinstance(entry, Block):
                    first_block = False
                    _check_block(entry, settings.pane_ms, catalogue_hash)
                elif entry.kind is DecisionKind.SOURCES:
                    # The judge's own steps are the judge's business.
                    check_sources(entry.body, {**ours, "provisional_step_ms": entry.body["provisional_step_ms"]})
                    return
            await asyncio.sleep(0)


def _check_block(block: Block, pane_ms: int, catalogue_hash: str) -> None:
    if block.pane_ms != pane_ms:
        raise ContractError(
            "step_changed",
            f"the log is counted in panes of {block.pane_ms} ms, the settings say {pane_ms}",
            f"set BAROMETER_PANE_MS={block.pane_ms}, or {ANOTHER}",
        )
    if block.catalogue_hash != catalogue_hash:
        raise ContractError(
            "catalogue_changed",
            f"the log was counted with catalogue {block.catalogue_hash}, the settings name {catalogue_hash}",
            f"restore the old catalogue, or {ANOTHER}",
        )
