-- Counts for the audit: one row a stretch of offsets of one source partition, of one hour of arrived time, as each writer saw it.
CREATE TABLE IF NOT EXISTS ledger
(
    writer LowCardinality(String) COMMENT 'sink: what it stored; tally: what stage 1 counted; gate: what it decided; gateway: what was acknowledged to it',
    incarnation String COMMENT 'Run of the process that wrote it; empty: the line follows from the log alone' CODEC(ZSTD(1)),
    seq UInt64 COMMENT 'Number of the line within that run, from 1; 0: the line follows from the log alone',
    source_topic LowCardinality(String) COMMENT 'Topic whose records are counted',
    source_topic_id LowCardinality(String) COMMENT 'Id of that topic; a re-created topic has another',
    source_partition UInt16 COMMENT 'Partition of that topic',
    hour DateTime('UTC') COMMENT 'Begin of the hour of arrived time; of a gateway the hour of the acknowledgement',
    first_offset UInt64 COMMENT 'First offset that the line is about',
    next_offset UInt64 COMMENT 'First offset behind the line',
    events UInt64 COMMENT 'Records that stand somewhere as a row; of a gateway: records acknowledged to it',
    repeats UInt64 COMMENT 'Records left out because their id was known',
    undecodable UInt64 COMMENT 'Records that cannot be read, each a row of rejected_events',
    ticks UInt64 COMMENT 'Records that only carry time',
    holes Int64 COMMENT 'Offsets without a record: markers of transactions, and what was aborted',
    squares UInt64 COMMENT 'Sum of the squares of the offsets of events and undecodable records, modulo 2^64; 0: not said',
    topic LowCardinality(String) COMMENT 'Topic of the record with which the line was closed',
    topic_id LowCardinality(String) COMMENT 'Id of that topic',
    partition UInt16 COMMENT 'Partition of that record',
    offset UInt64 COMMENT 'Offset of that record',
    arrived_at DateTime64(3, 'UTC') COMMENT 'Arrived time of that record',
    INDEX by_offset offset TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(arrived_at)
ORDER BY (writer, source_topic, source_partition, hour, first_offset)
TTL toDateTime(arrived_at) + INTERVAL 25 MONTH
SETTINGS non_replicated_deduplication_window = 40000, ttl_only_drop_parts = 1
COMMENT 'What every stage says that it did with which offsets; barometer audit holds it against the rows; kept 25 months';
