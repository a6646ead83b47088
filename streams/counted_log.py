"""What stage 1 checks before it counts: its pane length, catalogues and topics are those of the tallies log."""

import asyncio
from collections.abc import Collection, Mapping

from aiokafka import TopicPartition

from schemas.blocks import Block
from schemas.catalogue import Catalogue
from schemas.codec import Kind, kind_of
from schemas.declared import Catalogues
from schemas.errors import ContractError, UndecodableError
from schemas.outputs import DecisionKind
from schemas.settings import Settings
from schemas.topics import TALLIES
from streams.ranges import open_partition
from streams.tallies_log import ANOTHER, check_sources, entry_of, sources_body
from streams.topic_ids import Found

LOOK_RECORDS = 200_000
"""Records from the begin of the log among which the decision `sources` is sought; the first judge writes it early on."""


async def check_log(
    settings: Settings, found: Mapping[str, Found], catalogue: Catalogue, catalogues: Catalogues
) -> None:
    """Compare the tallies log with what runs: the declared catalogues, or where none is declared yet that of the settings.

    Raises ContractError that names the difference and the remedy.
    """
    hashes = [one.catalogue.hash for one in catalogues] or [catalogue.hash]
    ours = sources_body(found, settings, hashes[0])
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
                    _check_block(entry, settings.pane_ms, hashes)
                elif entry.kind is DecisionKind.SOURCES:
                    # The judge's own steps are the judge's business.
                    check_sources(entry.body, {**ours, "provisional_step_ms": entry.body["provisional_step_ms"]})
                    return
            await asyncio.sleep(0)


def _check_block(block: Block, pane_ms: int, hashes: Collection[str]) -> None:
    if block.pane_ms != pane_ms:
        raise ContractError(
            "step_changed",
            f"the log is counted in panes of {block.pane_ms} ms, the settings say {pane_ms}",
            f"set BAROMETER_PANE_MS={block.pane_ms}, or {ANOTHER}",
        )
    if block.catalogue_hash not in hashes:
        raise ContractError(
            "catalogue_changed",
            f"the log was counted with catalogue {block.catalogue_hash}, here counts {' or '.join(hashes)}",
            f"restore the old catalogue, or {ANOTHER}",
        )
