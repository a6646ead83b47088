"""Read which catalogues the log was and is counted with, once or for as long as a process runs."""

from typing import Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from schemas.broker import reaching
from schemas.catalogue import Catalogue
from schemas.codec import Kind, decode_as
from schemas.declared import Catalogues, Declared, as_settings_say, declared
from schemas.errors import UnavailableError
from schemas.outputs import Decision, decision_from_record
from schemas.topics import CATALOGUES
from streams.core.grid import up
from streams.ranges import open_partition

POLL_MS = 500


async def read_catalogues(bootstrap: str, prefix: str) -> Catalogues:
    """Return the declared catalogues. Raises UnavailableError, and ContractError for one that this version cannot read."""
    return Catalogues.of(await read_declarations(bootstrap, prefix))


async def read_declarations(bootstrap: str, prefix: str) -> list[Decision]:
    """Return the decisions that declare them, each once, by the pane from which they count. Raises UnavailableError."""
    found: dict[str, Decision] = {}
    async with open_partition(bootstrap, TopicPartition(prefix + CATALOGUES.name, 0)) as reader:
        async for records in reader.read(reader.first, reader.end):
            for record in records:
                if record.value:
                    decision = decision_from_record(decode_as(Kind.DECISION, record.value))
                    found[decision.decision_id] = decision
    return sorted(found.values(), key=lambda one: one.from_pane or 0)


class CatalogueLog:
    """The topic of catalogues, kept open for whoever follows it."""

    def __init__(self, consumer: AIOKafkaConsumer, partition: TopicPartition) -> None:
        self._consumer, self._partition = consumer, partition
        self._found: dict[str, Declared] = {}

    @classmethod
    async def open(cls, bootstrap: str, prefix: str) -> Self:
        """Connect, without a consumer group. Raises UnavailableError."""
        partition = TopicPartition(prefix + CATALOGUES.name, 0)
        consumer = AIOKafkaConsumer(
            **reaching(bootstrap),
            isolation_level="read_committed",
            auto_offset_reset="none",
            enable_auto_commit=False,
            fetch_max_wait_ms=POLL_MS,
        )
        try:
            await consumer.start()
            try:
                consumer.assign([partition])
                consumer.seek(partition, (await consumer.beginning_offsets([partition]))[partition])
            except KafkaError:
                await consumer.stop()
                raise
        except KafkaError as error:
            raise _unavailable(partition, error) from error
        return cls(consumer, partition)

    async def look(self, *, to_end: bool = False) -> Catalogues | None:
        """Return all that is declared if anything has come since the last look, as far as it is fetched, which takes no time.

        With `to_end` all that is committed by now is read first. Raises UnavailableError, and ContractError for a catalogue
        that this version cannot read.
        """
        try:
            end = (await self._consumer.end_offsets([self._partition]))[self._partition] if to_end else 0
            news = await self._take(0)
            # by position, not by record: markers and compacted offsets at the end carry no record
            while await self._consumer.position(self._partition) < end:
                news |= await self._take(POLL_MS)
        except KafkaError as error:
            raise _unavailable(self._partition, error) from error
        return Catalogues(self._found.values()) if news else None

    async def _take(self, timeout_ms: int) -> bool:
        """Take what has been fetched; return whether it is anything."""
        before = len(self._found)
        for records in (await self._consumer.getmany(timeout_ms=timeout_ms)).values():
            for record in records:
                if record.value:
                    decision = decision_from_record(decode_as(Kind.DECISION, record.value))
                    if decision.decision_id not in self._found:
                        self._found[decision.decision_id] = declared(decision)
        return len(self._found) > before

    async def close(self) -> None:
        """Disconnect."""
        await self._consumer.stop()


class InForce:
    """Which catalogue counts a pane: the one that is declared for it; before the first declaration that of the settings."""

    def __init__(self, settings: Catalogue, pane_ms: int) -> None:
        self._settings, self._pane_ms = settings, pane_ms
        self._by_hash = {settings.hash: settings}
        self._known = Catalogues()

    def learn(self, catalogues: Catalogues) -> None:
        """Take all that is declared. Raises ContractError where that of the settings is not among it."""
        as_settings_say(catalogues, self._settings)
        known = []
        for from_pane, catalogue in catalogues:
            # One object a hash: that of the settings also says what a hash leaves out, and a hash takes time.
            same = self._by_hash.setdefault(catalogue.hash, catalogue)
            known.append(Declared(up(from_pane, self._pane_ms), same))
        self._known = Catalogues(known)

    def at(self, pane: int) -> Catalogue:
        """Return the catalogue of a pane."""
        found = self._known.at(pane)
        return self._settings if found is None else found.catalogue

    def change(self, counting: Catalogue, pane: int) -> Declared | None:
        """Return when and to what to change for whoever counts with `counting` and can change at `pane` or later.

        None while nothing is declared. Who has learnt of a change too late changes at `pane`.
        """
        wanted = self.at(pane)
        if wanted is counting or wanted.hash == counting.hash:
            return self._known.after(pane)
        return Declared(pane, wanted)


def _unavailable(partition: TopicPartition, error: KafkaError) -> UnavailableError:
    return UnavailableError("kafka_unavailable", f"{partition.topic}: {error!r}")
