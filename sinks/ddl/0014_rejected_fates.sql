-- The life of a rejection: what became of it is said in rows of its own. And what is set aside late is kept as long as everything else:
-- seven days from when its row was made. Rows of before count from now on.
ALTER TABLE rejected_events ADD COLUMN IF NOT EXISTS rejected_at DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'When the row was made; it is kept 7 days from then on';

ALTER TABLE rejected_events MODIFY TTL toDateTime(rejected_at) + INTERVAL 7 DAY;

CREATE TABLE IF NOT EXISTS rejected_fates
(
    rejected_id String COMMENT 'Rejection that this is about' CODEC(ZSTD(1)),
    topic_id LowCardinality(String) COMMENT 'Id of the topic of the row of the rejection',
    partition UInt16 COMMENT 'Partition of that row: the same input may be rejected again, elsewhere in the log',
    offset UInt64 COMMENT 'Offset of that row',
    fate LowCardinality(String) COMMENT 'reinjected: sent again as an event; expired: its bytes were emptied',
    event_id String COMMENT 'Event that it became; empty: none' CODEC(ZSTD(1)),
    at DateTime64(3, 'UTC') COMMENT 'When',
    by LowCardinality(String) COMMENT 'Who gave the command',
    note String COMMENT 'What was changed: the mapping; empty: nothing'
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(at)
ORDER BY (rejected_id, topic_id, partition, offset, at)
TTL toDateTime(at) + INTERVAL 25 MONTH
SETTINGS non_replicated_deduplication_window = 1000, ttl_only_drop_parts = 1
COMMENT 'What became of rejected inputs by command; kept 25 months';

CREATE VIEW IF NOT EXISTS v_rejected
(
    rejected_id String COMMENT 'Id of the rejection',
    received_at DateTime64(3, 'UTC') COMMENT 'When the input came in',
    stage LowCardinality(String) COMMENT 'Who rejected it: gateway, import, gate or sink',
    channel LowCardinality(String) COMMENT 'Channel, if known',
    source LowCardinality(String) COMMENT 'Where it came from',
    reason LowCardinality(String) COMMENT 'Reason code',
    field String COMMENT 'Field that is at fault; empty: the whole',
    detail String COMMENT 'What is wrong, in words',
    raw_bytes UInt64 COMMENT 'Size of the input',
    replays UInt64 COMMENT 'How often it was fed again',
    fate LowCardinality(String) COMMENT 'open, reinjected or expired',
    event_id String COMMENT 'Event that it became; empty: none',
    fate_at Nullable(DateTime64(3, 'UTC')) COMMENT 'When that was done; NULL: open',
    fate_by LowCardinality(String) COMMENT 'Who did it',
    topic_id LowCardinality(String) COMMENT 'Id of the topic of its record',
    partition UInt16 COMMENT 'Partition of its record',
    offset UInt64 COMMENT 'Offset of its record',
    arrived_at DateTime64(3, 'UTC') COMMENT 'Arrived time of its record',
    rejected_at DateTime64(3, 'UTC') COMMENT 'When its row was made'
)
AS SELECT
    r.rejected_id AS rejected_id,
    r.received_at AS received_at,
    r.stage AS stage,
    r.channel AS channel,
    r.source AS source,
    r.reason AS reason,
    r.field AS field,
    r.detail AS detail,
    r.raw_bytes AS raw_bytes,
    r.replays + f.reinjected AS replays,
    if(f.fate = '', 'open', f.fate) AS fate,
    f.event_id AS event_id,
    if(f.fate = '', NULL, f.last_at) AS fate_at,
    f.last_by AS fate_by,
    r.topic_id AS topic_id,
    r.partition AS partition,
    r.offset AS offset,
    r.arrived_at AS arrived_at,
    r.rejected_at AS rejected_at
FROM rejected_events AS r
LEFT JOIN
(
    SELECT
        rejected_id,
        topic_id,
        partition,
        offset,
        toString(argMax(one.fate, (at, one.fate))) AS fate,
        argMaxIf(one.event_id, at, one.event_id != '') AS event_id,
        countIf(one.fate = 'reinjected') AS reinjected,
        max(at) AS last_at,
        toString(argMax(by, (at, one.fate))) AS last_by
    FROM rejected_fates AS one
    GROUP BY rejected_id, topic_id, partition, offset
) AS f ON r.rejected_id = f.rejected_id AND r.topic_id = f.topic_id AND r.partition = f.partition AND r.offset = f.offset
COMMENT 'What was rejected and what became of it, without the bytes';
