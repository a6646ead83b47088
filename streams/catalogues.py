"""Read which catalogues the log was and is counted with."""

from aiokafka import TopicPartition

from schemas.codec import Kind, decode_as
from schemas.declared import Catalogues
from schemas.outputs import Decision, decision_from_record
from schemas.topics import CATALOGUES
from streams.ranges import open_partition


async def read_catalogues(bootstrap: str, prefix: str) -> Catalogues:
    """Return the declared catalogues. Raises UnavailableError, and ContractError for one that this version cannot read."""
    found: list[Decision] = []
    async with open_partition(bootstrap, TopicPartition(prefix + CATALOGUES.name, 0)) as reader:
        async for records in reader.read(reader.first, reader.end):
            found += [decision_from_record(decode_as(Kind.DECISION, one.value)) for one in records if one.value]
    return Catalogues.of(found)
