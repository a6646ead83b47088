-- Every accepted event, one row each. A string that the envelope leaves out is '' here; numbers and times are NULL.
CREATE TABLE IF NOT EXISTS feedback_events
(
    event_id String COMMENT 'UUID of the event; the same id again within the repeat window of its topic is no second row' CODEC(ZSTD(1)),
    channel LowCardinality(String) COMMENT 'card, email, call, web or order',
    kind LowCardinality(String) COMMENT 'rating, comment, complaint, dispute, order_placed, ...',
    source LowCardinality(String) COMMENT 'Integration and its version',
    subject String COMMENT 'Keyed pseudonym of the customer; empty: none' CODEC(ZSTD(1)),
    also_known_as Array(String) COMMENT 'Further pseudonyms of the same customer',
    conversation_ref String COMMENT 'Conversation that the event belongs to; empty: none' CODEC(ZSTD(1)),
    in_reply_to String COMMENT 'Message that it answers; empty: none' CODEC(ZSTD(1)),
    direction LowCardinality(String) COMMENT 'in: from the customer, out: to the customer',
    survey_ref LowCardinality(String) COMMENT 'Survey wave; empty: none',
    touchpoint LowCardinality(String) COMMENT 'Place of contact as named in the catalogue; empty: none',
    product LowCardinality(String) COMMENT 'Product; empty: none',
    order_ref String COMMENT 'Order number; empty: none' CODEC(ZSTD(1)),
    order_amount_minor Nullable(Int64) COMMENT 'Amount of the order in minor units',
    order_currency LowCardinality(String) COMMENT 'Currency of the amount; empty: none',
    order_items Nullable(Int32) COMMENT 'Items of the order',
    order_promised_at Nullable(DateTime64(3, 'UTC')) COMMENT 'Promised delivery',
    order_delivered_at Nullable(DateTime64(3, 'UTC')) COMMENT 'Delivery',
    agent_ref LowCardinality(String) COMMENT 'Agent who took the contact; empty: none',
    occurred_at DateTime64(3, 'UTC') COMMENT 'When the customer gave the feedback' CODEC(Delta, ZSTD(1)),
    received_at DateTime64(3, 'UTC') COMMENT 'When Barometer took it in' CODEC(Delta, ZSTD(1)),
    answer_question Array(LowCardinality(String)) COMMENT 'Question of each answer; the answer_ columns are parallel',
    answer_question_version Array(LowCardinality(String)) COMMENT 'Version of each question',
    answer_score Array(Float64) COMMENT 'Score of each answer, on its own scale',
    answer_scale_min Array(Float64) COMMENT 'Lowest point of each scale',
    answer_scale_max Array(Float64) COMMENT 'Highest point of each scale',
    answer_derived_by Array(LowCardinality(String)) COMMENT 'Model that derived the score from text; empty: the customer gave it',
    text String COMMENT 'What the customer wrote; empty: nothing' CODEC(ZSTD(3)),
    lang LowCardinality(String) COMMENT 'Language of the text; empty: unknown',
    text_ciphertext String COMMENT 'The text, encrypted under data_key_id; empty: none' CODEC(ZSTD(1)),
    data_key_id LowCardinality(String) COMMENT 'Key whose destruction erases the text; empty: none',
    attributes Map(String, String) COMMENT 'Further named values of the source',
    consent LowCardinality(String) COMMENT 'Consent under which it was given; empty: not stated',
    corrects String COMMENT 'event_id that this one corrects; empty: none' CODEC(ZSTD(1)),
    retract Bool COMMENT 'Whether it takes back the event that it names',
    backfill Bool COMMENT 'Trait of capture: filled in afterwards',
    second_hand Bool COMMENT 'Trait of capture: told by somebody else; scores leave it out',
    probe Bool COMMENT 'Trait of capture: a technical probe; counted nowhere',
    non_human Bool COMMENT 'Trait of capture: sent by a machine; scores leave it out',
    trait_reason LowCardinality(String) COMMENT 'Why a trait was set; empty: no reason given',
    lane LowCardinality(String) COMMENT 'live: by its channel topic; history: admitted by the gate',
    topic LowCardinality(String) COMMENT 'Topic of the record that this row stands for',
    topic_id LowCardinality(String) COMMENT 'Id of that topic; a re-created topic has another',
    partition UInt16 COMMENT 'Partition of the record',
    offset UInt64 COMMENT 'Offset of the record' CODEC(Delta, ZSTD(1)),
    arrived_at DateTime64(3, 'UTC') COMMENT 'Arrived time of the record: part of the log, never goes back in a partition' CODEC(Delta, ZSTD(1)),
    event_hash UInt64 DEFAULT sipHash64(channel, kind, source, subject, also_known_as, conversation_ref, in_reply_to, direction,
        survey_ref, touchpoint, product, order_ref, order_currency,
        toString((order_amount_minor, order_items, order_promised_at, order_delivered_at)), agent_ref, occurred_at,
        answer_question, answer_question_version, answer_score, answer_scale_min, answer_scale_max, answer_derived_by, text,
        lang, text_ciphertext, data_key_id, toString(attributes), consent, corrects, retract, backfill, second_hand, probe,
        non_human, trait_reason)
        COMMENT 'Hash of the body: all of the envelope but event_id and received_at; the same id with another hash is a conflict',
    INDEX by_offset offset TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(arrived_at)
ORDER BY (channel, touchpoint, occurred_at, event_id)
TTL toDateTime(arrived_at) + INTERVAL 25 MONTH
SETTINGS non_replicated_deduplication_window = 40000, ttl_only_drop_parts = 1
COMMENT 'Accepted feedback, one row an event; kept 25 months';
