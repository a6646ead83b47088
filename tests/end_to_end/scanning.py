"""Where some bytes stand on the disks of an installation: raw, in the compressed blocks of ClickHouse, and in Kafka's records."""

import mmap
import os
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
from clickhouse_driver import Client
from kafka import KafkaConsumer, TopicPartition

_CHECKSUM_BYTES, _HEADER_BYTES = 16, 9
_NONE, _LZ4, _ZSTD, _SEVERAL = 0x02, 0x82, 0x90, 0x91


def engines_folder(client: Client) -> Path:
    """Return the data folder of both engines."""
    store = Path(client.execute("SELECT path FROM system.disks WHERE name = 'default'")[0][0])
    folder = store.parents[1]
    assert (folder / "kafka" / "log").is_dir() and (folder / "clickhouse").is_dir()
    return folder


def files_with(folder: Path, sought: bytes) -> list[Path]:
    """Return the files below a folder that hold some bytes as they are."""
    return [path for path in _files(folder) if _holds(path, sought)]


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder; what others delete meanwhile is left out."""
    for place, _, names in os.walk(folder):
        yield from (path for path in (Path(place) / name for name in names) if path.is_file())


def _holds(path: Path, sought: bytes) -> bool:
    try:
        with path.open("rb") as file:
            if not path.stat().st_size:
                return False
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                return content.find(sought) >= 0
    except (FileNotFoundError, ValueError):  # the engines go on meanwhile: gone, or empty by now
        return False


def columns_with(client: Client, sought: bytes, *, of_server: bool = False) -> list[Path]:
    """Return the column files of this database, and of the server's own tables, that hold some bytes once decompressed.

    Parts that a table has replaced and that are still on the disk are among them.
    """
    places = client.execute(
        "SELECT arrayJoin(data_paths) FROM system.tables WHERE engine LIKE '%%MergeTree'"
        " AND (database = currentDatabase() OR %(server)s AND database = 'system')",
        {"server": int(of_server)},
    )
    found = []
    for (place,) in places:
        for path in (one for one in _files(Path(place)) if one.suffix == ".bin"):
            try:
                content = path.read_bytes()
            except FileNotFoundError:
                continue
            if any(sought in block for block in _blocks(content)):
                found.append(path)
    return found


def _blocks(content: bytes) -> Iterator[bytes]:
    """Yield the decompressed blocks of a column file. Source: ClickHouse, CompressedReadBufferBase."""
    at = 0
    while at + _CHECKSUM_BYTES + _HEADER_BYTES <= len(content):
        at += _CHECKSUM_BYTES
        size = int.from_bytes(content[at + 1 : at + 5], "little")
        yield _inflated(content[at : at + size])
        assert size >= _HEADER_BYTES
        at += size


def _inflated(block: bytes) -> bytes:
    method, size = block[0], int.from_bytes(block[5:9], "little")
    body = block[_HEADER_BYTES:]
    if method == _LZ4:
        return bytes(pa.decompress(body, decompressed_size=size, codec="lz4_raw"))
    if method == _ZSTD:
        return bytes(pa.decompress(body, decompressed_size=size, codec="zstd"))
    assert method in {_NONE, _SEVERAL} or method >= 0x90, f"method {method:#x}"
    return body  # several codecs: numbers, never texts


def topics_with(bootstrap: str, prefix: str, sought: bytes) -> set[str]:
    """Return the topics, without the prefix, of which a record holds some bytes."""
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
    try:
        places = [
            TopicPartition(topic, partition)
            for topic in consumer.topics()
            if topic.startswith(prefix)
            for partition in consumer.partitions_for_topic(topic)
        ]
        ends = consumer.end_offsets(places)
        found: set[str] = set()
        consumer.assign(places)
        consumer.seek_to_beginning(*places)
        # by positions: the markers of transactions leave holes, so a count of records would wait for ever
        while any(consumer.position(place) < ends[place] for place in places):
            for place, records in consumer.poll(timeout_ms=200).items():
                for one in records:
                    whole = b"".join((one.key or b"", one.value or b"", *(value for _, value in one.headers)))
                    if sought in whole:
                        found.add(place.topic.removeprefix(prefix))
        return found
    finally:
        consumer.close()
