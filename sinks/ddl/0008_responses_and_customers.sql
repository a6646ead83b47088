-- How fast customers are answered, and whose satisfaction a figure is: customers or mere users, and each of them once.

CREATE VIEW IF NOT EXISTS v_response_times
(
    event_id String COMMENT 'Message that wants an answer',
    channel LowCardinality(String) COMMENT 'card, email or call',
    kind LowCardinality(String) COMMENT 'question, complaint, letter; by mail comment and remark too',
    touchpoint String COMMENT 'Touchpoint; empty: none',
    asked_at DateTime64(3, 'UTC') COMMENT 'When the customer wrote or called',
    answered_at Nullable(DateTime64(3, 'UTC')) COMMENT 'First reply to the message or in its conversation, no automatic one; NULL: none so far',
    response_s Nullable(Float64) COMMENT 'Time to the reply in s; NULL: none so far',
    waiting_s Float64 COMMENT 'Time to the reply, or for which none has come so far, in s',
    target_s UInt32 COMMENT 'Time within which an answer is due',
    state LowCardinality(String) COMMENT 'within or late: answered; overdue: unanswered beyond the target; waiting: unanswered, not yet due',
    known_until DateTime64(3, 'UTC') COMMENT 'Arrived time up to which anything is known'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    event_id, by AS channel, what AS kind, place AS touchpoint, at AS asked_at,
    if(empty(replies), NULL, arrayMin(replies)) AS answered_at,
    if(empty(replies), NULL, (toUnixTimestamp64Milli(arrayMin(replies)) - toUnixTimestamp64Milli(at)) / 1000) AS response_s,
    if(empty(replies), greatest(0, toUnixTimestamp64Milli(until) - toUnixTimestamp64Milli(at)) / 1000, assumeNotNull(response_s)) AS waiting_s,
    toUInt32(86400) AS target_s,
    multiIf(empty(replies), if(waiting_s < target_s, 'waiting', 'overdue'), waiting_s <= target_s, 'within', 'late') AS state,
    until AS known_until
FROM
(
    SELECT m.event_id AS event_id, m.channel AS by, m.kind AS what, toString(m.touchpoint) AS place, m.occurred_at AS at, m.known_until AS until,
        arrayFilter(t -> t >= m.occurred_at, arrayConcat(d.replies, c.replies)) AS replies
    FROM
    (
        SELECT event_id, channel, kind, touchpoint, occurred_at, known_until, conversation_ref
        FROM v_standing_as_known_at(T = toDateTime64('2299-01-01 00:00:00', 3, 'UTC'))
        WHERE direction = 'in' AND NOT non_human AND (subject != '' OR conversation_ref != '')
            AND (channel IN ('email', 'call', 'card') AND kind IN ('question', 'complaint', 'letter') OR channel = 'email' AND kind IN ('comment', 'remark'))
    ) AS m
    LEFT JOIN
    (
        SELECT in_reply_to, groupArray(occurred_at) AS replies
        FROM v_standing_as_known_at(T = toDateTime64('2299-01-01 00:00:00', 3, 'UTC'))
        WHERE direction = 'out' AND kind = 'reply' AND NOT non_human AND in_reply_to != ''
        GROUP BY in_reply_to
    ) AS d ON d.in_reply_to = m.event_id
    LEFT JOIN
    (
        SELECT conversation_ref, groupArray(occurred_at) AS replies
        FROM v_standing_as_known_at(T = toDateTime64('2299-01-01 00:00:00', 3, 'UTC'))
        WHERE direction = 'out' AND kind = 'reply' AND NOT non_human AND conversation_ref != ''
        GROUP BY conversation_ref
    ) AS c ON c.conversation_ref = m.conversation_ref
)
COMMENT 'Messages that want an answer and can have one, with the first reply of a person';

CREATE VIEW IF NOT EXISTS v_response_daily
(
    day Date COMMENT 'Calendar day on which the customer wrote or called, in the time zone of the touchpoint',
    touchpoint String COMMENT 'Touchpoint; empty: messages without one, by UTC days',
    channel String COMMENT 'card, email or call',
    n UInt64 COMMENT 'Messages answered or overdue',
    within UInt64 COMMENT 'Those answered within the target',
    waiting UInt64 COMMENT 'Unanswered ones that are not yet due: in no share',
    overdue UInt64 COMMENT 'Unanswered ones beyond the target',
    target_s UInt32 COMMENT 'Time within which an answer is due',
    value Nullable(Float64) COMMENT 'Share answered within the target, 0..1; NULL without messages that count',
    lo Nullable(Float64) COMMENT 'Lower bound of the Wilson interval',
    hi Nullable(Float64) COMMENT 'Upper bound of the Wilson interval',
    level Float64 COMMENT 'Level of the interval'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    day, touchpoint, channel, n, within, waiting, overdue, target_s, if(n = 0, NULL, within / n) AS value,
    if(n = 0, NULL, lo_of) AS lo, if(n = 0, NULL, hi_of) AS hi, level
FROM
(
    SELECT
        day, place AS touchpoint, by AS channel, countIf(state != 'waiting') AS n, countIf(state = 'within') AS within,
        countIf(state = 'waiting') AS waiting, countIf(state = 'overdue') AS overdue, any(target) AS target_s, greatest(n, 1) AS m,
        if(within = 0, 0., greatest(0., (within / m + 1.959963984540054 * 1.959963984540054 / (2 * m)) / (1 + 1.959963984540054 * 1.959963984540054 / m)
            - 1.959963984540054 / (1 + 1.959963984540054 * 1.959963984540054 / m) * sqrt(within / m * (1 - within / m) / m + 1.959963984540054 * 1.959963984540054 / (4. * m * m)))) AS lo_of,
        if(within = m, 1., least(1., (within / m + 1.959963984540054 * 1.959963984540054 / (2 * m)) / (1 + 1.959963984540054 * 1.959963984540054 / m)
            + 1.959963984540054 / (1 + 1.959963984540054 * 1.959963984540054 / m) * sqrt(within / m * (1 - within / m) / m + 1.959963984540054 * 1.959963984540054 / (4. * m * m)))) AS hi_of,
        0.95 AS level
    FROM
    (
        SELECT toDate(formatDateTime(r.asked_at, '%F', if(t.time_zone = '', 'UTC', t.time_zone))) AS day, r.touchpoint AS place, toString(r.channel) AS by, r.state AS state, r.target_s AS target
        FROM v_response_times AS r
        LEFT JOIN touchpoints AS t ON t.name = r.touchpoint
    )
    GROUP BY day, place, by
)
COMMENT 'Share of messages answered within the target, by day, touchpoint and channel';

CREATE VIEW IF NOT EXISTS v_csat_answers
(
    event_id String COMMENT 'Event of the answer',
    subject String COMMENT 'Keyed pseudonym of the customer; empty: none',
    touchpoint String COMMENT 'Touchpoint; empty: none',
    day Date COMMENT 'Calendar day of the answer, in the time zone of the touchpoint',
    occurred_at DateTime64(3, 'UTC') COMMENT 'When it was given',
    satisfied Bool COMMENT 'Whether the score lies in the box of the catalogue',
    z Float64 COMMENT 'Normal quantile of the level',
    level Float64 COMMENT 'Level of the interval'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    event_id, subject, place AS touchpoint, day, at AS occurred_at, toBool(has(box, toInt32(score))) AS satisfied, z, level
FROM
(
    SELECT e.event_id AS event_id, e.subject AS subject, toString(e.touchpoint) AS place, e.occurred_at AS at,
        toDate(formatDateTime(e.occurred_at, '%F', if(t.time_zone = '', 'UTC', t.time_zone))) AS day,
        m.box AS box, m.z AS z, m.level AS level, m.scale_min AS lowest, m.scale_max AS highest,
        arrayFirstIndex((q, a, b) -> q = m.question AND a = m.scale_min AND b = m.scale_max,
            e.answer_question, e.answer_scale_min, e.answer_scale_max) AS found,
        e.answer_score[found] AS score
    FROM v_standing_as_known_at(T = toDateTime64('2299-01-01 00:00:00', 3, 'UTC')) AS e
    CROSS JOIN (SELECT * FROM metrics WHERE name = 'csat') AS m
    LEFT JOIN touchpoints AS t ON t.name = toString(e.touchpoint)
    WHERE NOT e.second_hand AND NOT e.non_human AND has(m.channels, e.channel)
)
WHERE found > 0 AND score = floor(score) AND score BETWEEN lowest AND highest
COMMENT 'Answers that count for customer satisfaction, with the pseudonym; granted to no reader';

CREATE VIEW IF NOT EXISTS v_buyers
(
    day Date COMMENT 'Calendar day of the answer, in the time zone of the touchpoint',
    touchpoint String COMMENT 'Touchpoint; empty: answers without one, by UTC days',
    customer_class LowCardinality(String) COMMENT 'customer: had placed an order when answering; user: had not; unknown: no pseudonym',
    n UInt64 COMMENT 'Answers',
    satisfied UInt64 COMMENT 'Answers in the box of the catalogue',
    value Float64 COMMENT 'Share of satisfied answers, 0..1',
    lo Float64 COMMENT 'Lower bound of the Wilson interval',
    hi Float64 COMMENT 'Upper bound of the Wilson interval',
    level Float64 COMMENT 'Level of the interval'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    day, touchpoint, customer_class, n, satisfied, satisfied / n AS value,
    if(satisfied = 0, 0., greatest(0., (satisfied / n + z * z / (2 * n)) / (1 + z * z / n)
        - z / (1 + z * z / n) * sqrt(satisfied / n * (1 - satisfied / n) / n + z * z / (4. * n * n)))) AS lo,
    if(satisfied = n, 1., least(1., (satisfied / n + z * z / (2 * n)) / (1 + z * z / n)
        + z / (1 + z * z / n) * sqrt(satisfied / n * (1 - satisfied / n) / n + z * z / (4. * n * n)))) AS hi,
    level
FROM
(
    SELECT a.day AS day, a.touchpoint AS touchpoint,
        multiIf(a.subject = '', 'unknown', o.buyer = 1 AND o.first_order_at <= a.occurred_at, 'customer', 'user') AS customer_class,
        count() AS n, countIf(a.satisfied) AS satisfied, any(a.z) AS z, any(a.level) AS level
    FROM v_csat_answers AS a
    LEFT JOIN
    (
        SELECT subject, min(occurred_at) AS first_order_at, 1 AS buyer
        FROM v_standing_as_known_at(T = toDateTime64('2299-01-01 00:00:00', 3, 'UTC'))
        WHERE kind = 'order_placed' AND subject != ''
        GROUP BY subject
    ) AS o ON o.subject = a.subject
    GROUP BY day, touchpoint, customer_class
)
COMMENT 'Customer satisfaction by day and touchpoint, customers and mere users apart';

CREATE VIEW IF NOT EXISTS v_first_answers
(
    week Date COMMENT 'Monday of the ISO week, in the time zone of the touchpoint',
    touchpoint String COMMENT 'Touchpoint; empty: answers without one',
    answers UInt64 COMMENT 'All answers',
    counted UInt64 COMMENT 'First answers of each customer in the week, and answers without a pseudonym',
    repeats UInt64 COMMENT 'Further answers of a customer in the same week: kept, marked, not counted',
    satisfied UInt64 COMMENT 'Counted answers in the box of the catalogue',
    value Nullable(Float64) COMMENT 'Share of satisfied among the counted, 0..1',
    lo Nullable(Float64) COMMENT 'Lower bound of the Wilson interval',
    hi Nullable(Float64) COMMENT 'Upper bound of the Wilson interval',
    level Float64 COMMENT 'Level of the interval',
    value_of_all Float64 COMMENT 'Share of satisfied among all answers, for comparison'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    week, touchpoint, answers, counted, repeats, satisfied, if(counted = 0, NULL, satisfied / counted) AS value,
    if(counted = 0, NULL, lo_of) AS lo, if(counted = 0, NULL, hi_of) AS hi, level, value_of_all
FROM
(
    SELECT
        week, place AS touchpoint, count() AS answers, countIf(first) AS counted, answers - counted AS repeats,
        countIf(first AND good) AS satisfied, countIf(good) / answers AS value_of_all, greatest(counted, 1) AS m, any(q) AS z, any(l) AS level,
        if(satisfied = 0, 0., greatest(0., (satisfied / m + z * z / (2 * m)) / (1 + z * z / m)
            - z / (1 + z * z / m) * sqrt(satisfied / m * (1 - satisfied / m) / m + z * z / (4. * m * m)))) AS lo_of,
        if(satisfied = m, 1., least(1., (satisfied / m + z * z / (2 * m)) / (1 + z * z / m)
            + z / (1 + z * z / m) * sqrt(satisfied / m * (1 - satisfied / m) / m + z * z / (4. * m * m)))) AS hi_of
    FROM
    (
        SELECT toMonday(day) AS week, v_csat_answers.touchpoint AS place, v_csat_answers.satisfied AS good, z AS q, v_csat_answers.level AS l,
            subject = '' OR row_number() OVER (PARTITION BY subject, toMonday(day) ORDER BY occurred_at, event_id) = 1 AS first
        FROM v_csat_answers
    )
    GROUP BY week, place
)
COMMENT 'Customer satisfaction where the first answer of a customer in an ISO week counts and the others are marked';
