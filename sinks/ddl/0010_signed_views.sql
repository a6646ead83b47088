-- Retractions count -1: sums of signs in the figures, and only events that stand in the lists.
ALTER TABLE metrics
    ADD COLUMN IF NOT EXISTS question_version String COMMENT 'Only answers to this version of the question count; empty: any',
    ADD COLUMN IF NOT EXISTS version UInt32 COMMENT 'Version of the definition',
    COMMENT COLUMN kind 'share, nps, mean, gap, gap_share, driver, grid, event_share, part, rate, count or amount';

ALTER TABLE tallies
    COMMENT COLUMN dimension '*, channel, touchpoint, parent, product, attr.NAME or a pair such as channel+touchpoint',
    COMMENT COLUMN key 'Key in that dimension; * for all, a JSON array for a pair',
    COMMENT COLUMN bin 'Scale point, 1 and 0 for events, or what the kind of metric makes of them',
    COMMENT COLUMN count 'Answers or events; a retraction counts -1',
    COMMENT COLUMN sum 'Sum of their scores, or of amounts in minor units';

CREATE OR REPLACE VIEW v_events
(
    event_id String COMMENT 'UUID of the event; the same id again within the repeat window of its topic is no second row',
    channel LowCardinality(String) COMMENT 'card, email, call, web or order',
    kind LowCardinality(String) COMMENT 'rating, comment, complaint, dispute, order_placed, ...',
    source LowCardinality(String) COMMENT 'Integration and its version',
    direction LowCardinality(String) COMMENT 'in: from the customer, out: to the customer',
    survey_ref LowCardinality(String) COMMENT 'Survey wave; empty: none',
    touchpoint LowCardinality(String) COMMENT 'Place of contact as named in the catalogue; empty: none',
    product LowCardinality(String) COMMENT 'Product; empty: none',
    order_ref String COMMENT 'Order number; empty: none',
    order_amount_minor Nullable(Int64) COMMENT 'Amount of the order in minor units',
    order_currency LowCardinality(String) COMMENT 'Currency of the amount; empty: none',
    order_items Nullable(Int32) COMMENT 'Items of the order',
    order_promised_at Nullable(DateTime64(3, 'UTC')) COMMENT 'Promised delivery',
    order_delivered_at Nullable(DateTime64(3, 'UTC')) COMMENT 'Delivery',
    agent_ref LowCardinality(String) COMMENT 'Agent who took the contact; empty: none',
    occurred_at DateTime64(3, 'UTC') COMMENT 'When the customer gave the feedback',
    received_at DateTime64(3, 'UTC') COMMENT 'When Barometer took it in',
    answer_question Array(LowCardinality(String)) COMMENT 'Question of each answer; the answer_ columns are parallel',
    answer_question_version Array(LowCardinality(String)) COMMENT 'Version of each question',
    answer_score Array(Float64) COMMENT 'Score of each answer, on its own scale',
    answer_scale_min Array(Float64) COMMENT 'Lowest point of each scale',
    answer_scale_max Array(Float64) COMMENT 'Highest point of each scale',
    answer_derived_by Array(LowCardinality(String)) COMMENT 'Model that derived the score from text; empty: the customer gave it',
    lang LowCardinality(String) COMMENT 'Language of the text; empty: unknown',
    consent LowCardinality(String) COMMENT 'Consent under which it was given; empty: not stated',
    corrects String COMMENT 'event_id that this one corrects; empty: none',
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
    offset UInt64 COMMENT 'Offset of the record',
    arrived_at DateTime64(3, 'UTC') COMMENT 'Arrived time of the record: part of the log, never goes back in a partition',
    event_hash UInt64 COMMENT 'Hash of the body; the same id with another hash is a conflict'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    event_id,
    channel,
    kind,
    source,
    direction,
    survey_ref,
    touchpoint,
    product,
    order_ref,
    order_amount_minor,
    order_currency,
    order_items,
    order_promised_at,
    order_delivered_at,
    agent_ref,
    occurred_at,
    received_at,
    answer_question,
    answer_question_version,
    answer_score,
    answer_scale_min,
    answer_scale_max,
    answer_derived_by,
    lang,
    consent,
    corrects,
    retract,
    backfill,
    second_hand,
    probe,
    non_human,
    trait_reason,
    lane,
    topic,
    topic_id,
    partition,
    offset,
    arrived_at,
    event_hash
FROM feedback_events
WHERE NOT retract AND if(corrects = '',
    event_id NOT IN (SELECT corrects FROM feedback_events WHERE corrects != ''),
    event_id IN
    (
        SELECT argMaxIf(event_id, (arrived_at, offset), NOT retract)
        FROM feedback_events
        WHERE corrects != ''
        GROUP BY corrects
        HAVING countIf(retract) <= countIf(NOT retract)
    ))
COMMENT 'Events that stand (nothing taken back; the last correction in place of what it corrects), without text, pseudonyms and free attributes';

CREATE OR REPLACE VIEW v_events_text
(
    event_id String COMMENT 'UUID of the event; the same id again within the repeat window of its topic is no second row',
    channel LowCardinality(String) COMMENT 'card, email, call, web or order',
    kind LowCardinality(String) COMMENT 'rating, comment, complaint, dispute, order_placed, ...',
    source LowCardinality(String) COMMENT 'Integration and its version',
    subject String COMMENT 'Keyed pseudonym of the customer; empty: none',
    also_known_as Array(String) COMMENT 'Further pseudonyms of the same customer',
    conversation_ref String COMMENT 'Conversation that the event belongs to; empty: none',
    in_reply_to String COMMENT 'Message that it answers; empty: none',
    direction LowCardinality(String) COMMENT 'in: from the customer, out: to the customer',
    survey_ref LowCardinality(String) COMMENT 'Survey wave; empty: none',
    touchpoint LowCardinality(String) COMMENT 'Place of contact as named in the catalogue; empty: none',
    product LowCardinality(String) COMMENT 'Product; empty: none',
    order_ref String COMMENT 'Order number; empty: none',
    order_amount_minor Nullable(Int64) COMMENT 'Amount of the order in minor units',
    order_currency LowCardinality(String) COMMENT 'Currency of the amount; empty: none',
    order_items Nullable(Int32) COMMENT 'Items of the order',
    order_promised_at Nullable(DateTime64(3, 'UTC')) COMMENT 'Promised delivery',
    order_delivered_at Nullable(DateTime64(3, 'UTC')) COMMENT 'Delivery',
    agent_ref LowCardinality(String) COMMENT 'Agent who took the contact; empty: none',
    occurred_at DateTime64(3, 'UTC') COMMENT 'When the customer gave the feedback',
    received_at DateTime64(3, 'UTC') COMMENT 'When Barometer took it in',
    answer_question Array(LowCardinality(String)) COMMENT 'Question of each answer; the answer_ columns are parallel',
    answer_question_version Array(LowCardinality(String)) COMMENT 'Version of each question',
    answer_score Array(Float64) COMMENT 'Score of each answer, on its own scale',
    answer_scale_min Array(Float64) COMMENT 'Lowest point of each scale',
    answer_scale_max Array(Float64) COMMENT 'Highest point of each scale',
    answer_derived_by Array(LowCardinality(String)) COMMENT 'Model that derived the score from text; empty: the customer gave it',
    text String COMMENT 'What the customer wrote; empty: nothing',
    lang LowCardinality(String) COMMENT 'Language of the text; empty: unknown',
    attributes Map(String, String) COMMENT 'Further named values of the source',
    consent LowCardinality(String) COMMENT 'Consent under which it was given; empty: not stated',
    corrects String COMMENT 'event_id that this one corrects; empty: none',
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
    offset UInt64 COMMENT 'Offset of the record',
    arrived_at DateTime64(3, 'UTC') COMMENT 'Arrived time of the record: part of the log, never goes back in a partition',
    event_hash UInt64 COMMENT 'Hash of the body; the same id with another hash is a conflict'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    event_id,
    channel,
    kind,
    source,
    subject,
    also_known_as,
    conversation_ref,
    in_reply_to,
    direction,
    survey_ref,
    touchpoint,
    product,
    order_ref,
    order_amount_minor,
    order_currency,
    order_items,
    order_promised_at,
    order_delivered_at,
    agent_ref,
    occurred_at,
    received_at,
    answer_question,
    answer_question_version,
    answer_score,
    answer_scale_min,
    answer_scale_max,
    answer_derived_by,
    text,
    lang,
    attributes,
    consent,
    corrects,
    retract,
    backfill,
    second_hand,
    probe,
    non_human,
    trait_reason,
    lane,
    topic,
    topic_id,
    partition,
    offset,
    arrived_at,
    event_hash
FROM feedback_events
WHERE NOT retract AND if(corrects = '',
    event_id NOT IN (SELECT corrects FROM feedback_events WHERE corrects != ''),
    event_id IN
    (
        SELECT argMaxIf(event_id, (arrived_at, offset), NOT retract)
        FROM feedback_events
        WHERE corrects != ''
        GROUP BY corrects
        HAVING countIf(retract) <= countIf(NOT retract)
    ))
COMMENT 'Events that stand, with text and pseudonyms; for the role bi_text only';

CREATE OR REPLACE VIEW v_csat_daily
(
    day Date COMMENT 'Calendar day on which the feedback was given, in the time zone of the touchpoint',
    touchpoint String COMMENT 'Touchpoint; empty: events without one, by UTC days',
    n UInt64 COMMENT 'Answers',
    satisfied UInt64 COMMENT 'Answers in the box of the catalogue (4 or 5 on 1..5)',
    value Float64 COMMENT 'Share of satisfied answers, 0..1',
    lo Float64 COMMENT 'Lower bound of the Wilson interval',
    hi Float64 COMMENT 'Upper bound of the Wilson interval',
    level Float64 COMMENT 'Level of the interval'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    day, touchpoint, n, satisfied, share AS value,
    if(satisfied = 0, 0., greatest(0., (share + z * z / (2 * n)) / (1 + z * z / n)
        - z / (1 + z * z / n) * sqrt(share * (1 - share) / n + z * z / (4. * n * n)))) AS lo,
    if(satisfied = n, 1., least(1., (share + z * z / (2 * n)) / (1 + z * z / n)
        + z / (1 + z * z / n) * sqrt(share * (1 - share) / n + z * z / (4. * n * n)))) AS hi,
    level
FROM
(
    SELECT day, touchpoint, toUInt64(sum(sign)) AS n, toUInt64(sumIf(sign, has(box, toInt32(score)))) AS satisfied, satisfied / n AS share,
        any(z) AS z, any(level) AS level
    FROM
    (
        SELECT
            toDate(formatDateTime(e.occurred_at, '%F', if(t.time_zone = '', 'UTC', t.time_zone))) AS day,
            toString(e.touchpoint) AS touchpoint, m.box AS box, m.z AS z, m.level AS level,
            m.scale_min AS lowest, m.scale_max AS highest,
            arrayFirstIndex((q, v, a, b) -> q = m.question AND (m.question_version = '' OR v = m.question_version) AND a = m.scale_min AND b = m.scale_max,
                e.answer_question, arrayResize(e.answer_question_version, length(e.answer_question)), e.answer_scale_min, e.answer_scale_max) AS at,
            e.answer_score[at] AS score, if(e.retract, -1, 1) AS sign
        FROM feedback_events AS e
        CROSS JOIN (SELECT * FROM metrics WHERE name = 'csat') AS m
        LEFT JOIN touchpoints AS t ON t.name = toString(e.touchpoint)
        WHERE NOT e.probe AND e.kind != 'probe' AND NOT e.second_hand AND NOT e.non_human AND has(m.channels, e.channel)
    )
    WHERE at > 0 AND score = floor(score) AND score BETWEEN lowest AND highest
    GROUP BY day, touchpoint
    HAVING sum(sign) > 0
)
COMMENT 'Customer satisfaction by day and touchpoint';

CREATE OR REPLACE VIEW v_nps_daily
(
    day Date COMMENT 'Calendar day on which the feedback was given, in the time zone of the touchpoint',
    touchpoint String COMMENT 'Touchpoint; empty: events without one, by UTC days',
    n UInt64 COMMENT 'Answers',
    promoters UInt64 COMMENT 'Answers 9 or 10',
    detractors UInt64 COMMENT 'Answers 0 to 6',
    value Float64 COMMENT 'Net promoter score: promoters minus detractors, -100..100',
    lo Float64 COMMENT 'Lower bound of the adjusted Wald interval',
    hi Float64 COMMENT 'Upper bound of the adjusted Wald interval',
    level Float64 COMMENT 'Level of the interval'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    day, touchpoint, n, promoters, detractors, 100 * (toFloat64(promoters) - toFloat64(detractors)) / n AS value,
    100 * greatest(-1., up - down - z * sqrt((up + down - (up - down) * (up - down)) / (n + 3))) AS lo,
    100 * least(1., up - down + z * sqrt((up + down - (up - down) * (up - down)) / (n + 3))) AS hi,
    level
FROM
(
    SELECT day, touchpoint, toUInt64(sum(sign)) AS n, toUInt64(sumIf(sign, score >= 9)) AS promoters, toUInt64(sumIf(sign, score <= 6)) AS detractors,
        (promoters + 0.75) / (n + 3) AS up, (detractors + 0.75) / (n + 3) AS down, any(z) AS z, any(level) AS level
    FROM
    (
        SELECT
            toDate(formatDateTime(e.occurred_at, '%F', if(t.time_zone = '', 'UTC', t.time_zone))) AS day,
            toString(e.touchpoint) AS touchpoint, m.z AS z, m.level AS level,
            arrayFirstIndex((q, v, a, b) -> q = m.question AND (m.question_version = '' OR v = m.question_version) AND a = m.scale_min AND b = m.scale_max,
                e.answer_question, arrayResize(e.answer_question_version, length(e.answer_question)), e.answer_scale_min, e.answer_scale_max) AS at,
            e.answer_score[at] AS score, if(e.retract, -1, 1) AS sign
        FROM feedback_events AS e
        CROSS JOIN (SELECT * FROM metrics WHERE name = 'nps') AS m
        LEFT JOIN touchpoints AS t ON t.name = toString(e.touchpoint)
        WHERE NOT e.probe AND e.kind != 'probe' AND NOT e.second_hand AND NOT e.non_human AND has(m.channels, e.channel)
    )
    WHERE at > 0 AND score = floor(score) AND score BETWEEN 0 AND 10
    GROUP BY day, touchpoint
    HAVING sum(sign) > 0
)
COMMENT 'Net promoter score by day and touchpoint';

CREATE OR REPLACE VIEW v_channel_volume
(
    day Date COMMENT 'UTC day on which the feedback was given',
    channel String COMMENT 'Channel',
    events UInt64 COMMENT 'Events that stand, probes left out',
    live UInt64 COMMENT 'Those that came live',
    history UInt64 COMMENT 'Those that came by the history lane',
    answered UInt64 COMMENT 'Those with at least one answer',
    complaints UInt64 COMMENT 'Complaints, letters and disputes'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    toDate(occurred_at) AS day, toString(v_events.channel) AS channel, count() AS events, countIf(lane = 'live') AS live,
    countIf(lane = 'history') AS history, countIf(notEmpty(answer_score)) AS answered,
    countIf(kind IN ('complaint', 'letter', 'dispute')) AS complaints
FROM v_events
WHERE NOT probe AND kind != 'probe'
GROUP BY day, channel
COMMENT 'Events by day and channel';
