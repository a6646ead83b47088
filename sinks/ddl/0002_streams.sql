CREATE TABLE IF NOT EXISTS tallies
(
    source_topic LowCardinality(String) COMMENT 'Topic whose records the block counts',
    source_topic_id LowCardinality(String) COMMENT 'Id of that topic',
    source_partition UInt16 COMMENT 'Partition of that topic',
    from_pane DateTime64(3, 'UTC') COMMENT 'End of the first pane of the block; 1970 in the first block of a source',
    to_pane DateTime64(3, 'UTC') COMMENT 'End of the last pane of the block, whose counts these are',
    pane_ms UInt32 COMMENT 'Length of a pane in ms',
    block_arrived_at DateTime64(3, 'UTC') COMMENT 'Arrived time that the source had reached',
    next_offset UInt64 COMMENT 'First offset of the source that the block leaves out',
    catalogue_hash LowCardinality(String) COMMENT 'Catalogue by which it was counted',
    events UInt64 COMMENT 'Events of the whole block',
    repeats UInt64 COMMENT 'Repeats of the whole block',
    ticks UInt64 COMMENT 'Ticks of the whole block',
    undecodable UInt64 COMMENT 'Undecodable records of the whole block',
    metric LowCardinality(String) COMMENT 'Metric identity: name@hash of its definition',
    dimension LowCardinality(String) COMMENT '*, channel or touchpoint',
    key LowCardinality(String) COMMENT 'Key in that dimension; * for all',
    stratum LowCardinality(String) COMMENT 'Channel',
    minute DateTime('UTC') COMMENT 'Minute in which the feedback was given',
    bin Int32 COMMENT 'Scale point, or 1 and 0 for events',
    fresh Bool COMMENT 'Whether detectors may read it',
    count Int64 COMMENT 'Answers or events',
    sum Int64 COMMENT 'Sum of their scores',
    topic LowCardinality(String) COMMENT 'Topic of the record that holds the block',
    topic_id LowCardinality(String) COMMENT 'Id of that topic',
    partition UInt16 COMMENT 'Partition of the record',
    offset UInt64 COMMENT 'Offset of the record',
    arrived_at DateTime64(3, 'UTC') COMMENT 'Arrived time of the record',
    INDEX by_offset offset TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(arrived_at)
ORDER BY (metric, dimension, key, minute, to_pane)
TTL toDateTime(arrived_at) + INTERVAL 25 MONTH
SETTINGS non_replicated_deduplication_window = 40000, ttl_only_drop_parts = 1
COMMENT 'Counts as stage 1 closed them, one row a cell and bin; kept 25 months';

CREATE TABLE IF NOT EXISTS readings
(
    metric LowCardinality(String) COMMENT 'Metric by its name in the catalogue',
    metric_version LowCardinality(String) COMMENT 'Metric identity: name@hash of its definition',
    dimension LowCardinality(String) COMMENT '*, channel or touchpoint',
    key LowCardinality(String) COMMENT 'Key in that dimension; * for all',
    window LowCardinality(String) COMMENT 'Trailing window: 1h, 24h, 7d or 28d',
    window_end DateTime64(3, 'UTC') COMMENT 'End of the window, not included' CODEC(Delta, ZSTD(1)),
    as_of DateTime64(3, 'UTC') COMMENT 'Arrived time up to which it was known' CODEC(Delta, ZSTD(1)),
    revision UInt32 COMMENT 'Number of the row for this window end, from 0',
    status LowCardinality(String) COMMENT 'provisional, final or revised',
    quality LowCardinality(String) COMMENT 'ok, no_data, low_n or withheld',
    n Int64 COMMENT 'Answers, or events exposed, in the window',
    value Nullable(Float64) COMMENT 'Value: shares 0..1, NPS -100..100, means on their scale; NULL without data',
    lo Nullable(Float64) COMMENT 'Lower bound of the interval',
    hi Nullable(Float64) COMMENT 'Upper bound of the interval',
    level Float64 COMMENT 'Level of the interval',
    method LowCardinality(String) COMMENT 'How the interval was made: wilson, adjusted_wald, t, poisson_exact',
    bins Map(String, Int64) COMMENT 'Counts by scale point, or 1 and 0 for events',
    catalogue_hash LowCardinality(String) COMMENT 'Catalogue by which it was judged',
    seq UInt64 COMMENT 'Sequence number of the output of the judge',
    topic LowCardinality(String) COMMENT 'Topic of the record',
    topic_id LowCardinality(String) COMMENT 'Id of that topic',
    partition UInt16 COMMENT 'Partition of the record',
    offset UInt64 COMMENT 'Offset of the record',
    arrived_at DateTime64(3, 'UTC') COMMENT 'Arrived time of the record',
    INDEX by_offset offset TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(arrived_at)
ORDER BY (metric, window, dimension, key, window_end, revision)
TTL toDateTime(arrived_at) + INTERVAL 60 MONTH
SETTINGS non_replicated_deduplication_window = 40000, ttl_only_drop_parts = 1
COMMENT 'Readings as the judge gave them, every revision; kept 60 months';

CREATE TABLE IF NOT EXISTS alarm_transitions
(
    transition_id String COMMENT 'Hash of alarm and sequence',
    alarm_id String COMMENT 'Hash of rule, definition, key, direction and first pane; of the event for a dispute',
    sequence UInt32 COMMENT 'Number of the transition of this alarm, from 1',
    rule LowCardinality(String) COMMENT 'Alarm rule in the catalogue',
    definition_hash LowCardinality(String) COMMENT 'Hash of its definition',
    metric LowCardinality(String) COMMENT 'Metric that it watches; empty: none',
    dimension LowCardinality(String) COMMENT 'Dimension of the key',
    key LowCardinality(String) COMMENT 'Key that the alarm is about',
    direction LowCardinality(String) COMMENT 'Direction of the change',
    severity LowCardinality(String) COMMENT 'Severity by the catalogue',
    state LowCardinality(String) COMMENT 'open or resolved',
    pane DateTime64(3, 'UTC') COMMENT 'Arrived time of the transition',
    first_pane DateTime64(3, 'UTC') COMMENT 'Arrived time of the opening',
    statistic Nullable(Float64) COMMENT 'R: the alarm opens at 1',
    weight Nullable(Float64) COMMENT 'w: budget of false alarms per pane and key',
    p0 Nullable(Float64) COMMENT 'Bad share of the baseline (upper confidence bound)',
    p1 Nullable(Float64) COMMENT 'Bad share worth detecting',
    n Int64 COMMENT 'Answers since the statistic started',
    bad Int64 COMMENT 'Bad ones among them',
    change_pane Nullable(DateTime64(3, 'UTC')) COMMENT 'Estimated begin of the change',
    occurred_first Nullable(DateTime64(3, 'UTC')) COMMENT 'First occurred time of the evidence',
    occurred_last Nullable(DateTime64(3, 'UTC')) COMMENT 'Last occurred time of the evidence',
    event_id String COMMENT 'Event of a dispute; empty: none',
    actor LowCardinality(String) COMMENT 'Who caused the transition',
    note String COMMENT 'Note of the operator',
    evidence String COMMENT 'JSON: strata with n, bad, p0 and p1',
    seq UInt64 COMMENT 'Sequence number of the output of the judge; 0 for a dispute that opens',
    topic LowCardinality(String) COMMENT 'Topic of the record',
    topic_id LowCardinality(String) COMMENT 'Id of that topic',
    partition UInt16 COMMENT 'Partition of the record',
    offset UInt64 COMMENT 'Offset of the record',
    arrived_at DateTime64(3, 'UTC') COMMENT 'Arrived time of the record',
    INDEX by_offset offset TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(arrived_at)
ORDER BY (rule, key, alarm_id, sequence)
TTL toDateTime(arrived_at) + INTERVAL 60 MONTH
SETTINGS non_replicated_deduplication_window = 40000, ttl_only_drop_parts = 1
COMMENT 'Every step in the life of every alarm; kept 60 months';

CREATE TABLE IF NOT EXISTS rejected_events
(
    rejected_id String COMMENT 'Id of the rejection; of an undecodable record the hash of topic id, partition and offset',
    stage LowCardinality(String) COMMENT 'Who rejected it: gateway, import, gate or sink',
    channel LowCardinality(String) COMMENT 'Channel, if known',
    source LowCardinality(String) COMMENT 'Where it came from',
    reason LowCardinality(String) COMMENT 'Reason code',
    field String COMMENT 'Field that is at fault; empty: the whole',
    detail String COMMENT 'What is wrong, in words',
    raw String COMMENT 'The bytes as they came, cut to 64 KiB' CODEC(ZSTD(3)),
    raw_bytes UInt64 COMMENT 'Size before the cut',
    received_at DateTime64(3, 'UTC') COMMENT 'When it came in',
    replays UInt32 COMMENT 'How often it was fed again',
    topic LowCardinality(String) COMMENT 'Topic of the record',
    topic_id LowCardinality(String) COMMENT 'Id of that topic',
    partition UInt16 COMMENT 'Partition of the record',
    offset UInt64 COMMENT 'Offset of the record',
    arrived_at DateTime64(3, 'UTC') COMMENT 'Arrived time of the record',
    INDEX by_offset offset TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMMDD(arrived_at)
ORDER BY (reason, received_at, rejected_id)
TTL toDateTime(arrived_at) + INTERVAL 7 DAY
SETTINGS non_replicated_deduplication_window = 40000, ttl_only_drop_parts = 1
COMMENT 'What could not become an event, with its raw bytes; kept 7 days';
